"""One operation and its answer: signing in, and what a caller knows of itself."""

import pytest

from db.actor import ANONYMOUS
from modules.identity.public import TokenSigner, load_user_actor
from schema.ids import encode
from tests.modules.identity.conftest import PASSWORD
from tests.support import House, Statements, Tenant

ERRORS = "errors { __typename code path retryable }"
SIGN_IN = f"""mutation($i: SessionCreateInput!) {{ sessionCreate(input: $i) {{
  accessToken accessTokenExpiresAt refreshToken mustChangePassword user {{ id email fullName }} {ERRORS} }} }}"""


def credentials(tenant: Tenant, role: str = "admin", password: str = PASSWORD) -> dict[str, object]:
    return {"i": {"organization": tenant.code, "email": f"{role}@{tenant.code}.example", "password": password}}


async def version(house: House, tenant: Tenant, field: str, id: str) -> int:
    return (await house.data(tenant.actor(), f'{{ {field}(by: {{id: "{id}"}}) {{ version }} }}'))[field]["version"]


# --- sign-in ----------------------------------------------------------------------------------------------------------------


async def test_sign_in_use_refresh_and_end(desk: House, people: Tenant, signer: TokenSigner):
    opened = (await desk.data(ANONYMOUS, SIGN_IN, credentials(people)))["sessionCreate"]
    assert opened["errors"] == []
    assert opened["user"] == {
        "id": encode("User", people.users["admin"]), "email": f"admin@{people.code}.example", "fullName": "Administrator",
    }  # fmt: skip
    claims = signer.verify(opened["accessToken"])
    assert opened["accessTokenExpiresAt"] == claims.expires_at.isoformat().replace("+00:00", "Z")
    actor = await load_user_actor(desk.database, claims.organization_id, claims.user_id, claims.session_id)
    (session,) = (await desk.data(actor, "{ sessions { id isCurrent } }"))["sessions"]
    assert session["isCurrent"]

    document = f"mutation($t: String!) {{ sessionRefresh(input: {{refreshToken: $t}}) {{ accessToken refreshToken {ERRORS} }} }}"
    renewed = (await desk.data(ANONYMOUS, document, {"t": opened["refreshToken"]}))["sessionRefresh"]
    assert signer.verify(renewed["accessToken"]).session_id == claims.session_id
    reused = (await desk.data(ANONYMOUS, document, {"t": opened["refreshToken"]}))["sessionRefresh"]
    assert reused == {
        "accessToken": None, "refreshToken": None,
        "errors": [{"__typename": "NotSignedIn", "code": "NOT_SIGNED_IN", "path": ["refreshToken"], "retryable": False}],
    }  # fmt: skip
    assert await load_user_actor(desk.database, claims.organization_id, claims.user_id, claims.session_id) is None


async def test_a_wrong_password_and_then_the_lock(desk: House, people: Tenant):
    for _ in range(5):
        answer = (await desk.data(ANONYMOUS, SIGN_IN, credentials(people, password="wrong password")))["sessionCreate"]
        assert answer["accessToken"] is None
        assert answer["errors"] == [
            {"__typename": "NotSignedIn", "code": "NOT_SIGNED_IN", "path": [], "retryable": False}
        ]
    document = """mutation($i: SessionCreateInput!) { sessionCreate(input: $i) {
      errors { code retryable ... on SignInLocked { retryAfterSeconds } } } }"""
    locked = (await desk.data(ANONYMOUS, document, credentials(people)))["sessionCreate"]["errors"]
    assert [(e["code"], e["retryable"]) for e in locked] == [("SIGN_IN_LOCKED", True)]
    assert 1 <= locked[0]["retryAfterSeconds"] <= 31


async def test_signing_out(desk: House, people: Tenant, signer: TokenSigner):
    token = (await desk.data(ANONYMOUS, SIGN_IN, credentials(people)))["sessionCreate"]["accessToken"]
    claims = signer.verify(token)
    actor = await load_user_actor(desk.database, claims.organization_id, claims.user_id, claims.session_id)
    assert (await desk.data(actor, "mutation { sessionEnd { ended errors { code } } }"))["sessionEnd"] == {
        "ended": True,
        "errors": [],
    }
    assert await load_user_actor(desk.database, claims.organization_id, claims.user_id, claims.session_id) is None


async def test_an_administrator_ends_a_session_of_another(desk: House, people: Tenant):
    await desk.data(ANONYMOUS, SIGN_IN, credentials(people, "viewer"))
    of = encode("User", people.users["viewer"])
    (session,) = (await desk.data(people.actor(), f'{{ sessions(userId: "{of}") {{ id }} }}'))["sessions"]
    revoke = f"mutation($s: ID!) {{ sessionRevoke(input: {{sessionId: $s}}) {{ ended {ERRORS} }} }}"
    refused = (await desk.data(people.actor("planner"), revoke, {"s": session["id"]}))["sessionRevoke"]
    assert [e["code"] for e in refused["errors"]] == ["NOT_FOUND"]
    assert (await desk.data(people.actor(), revoke, {"s": session["id"]}))["sessionRevoke"]["ended"]
    assert (await desk.data(people.actor(), f'{{ sessions(userId: "{of}") {{ id }} }}'))["sessions"] == []
    for bad in ("x", encode("User", 1), "U2Vzc2lvbjp4"):
        assert await desk.code(people.actor(), revoke, {"s": bad}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("email", ["admin@{}.example", "nobody@{}.example"])
async def test_asking_for_a_new_password_tells_nothing(desk: House, people: Tenant, email: str):
    document = f"mutation($i: PasswordResetRequestInput!) {{ passwordResetRequest(input: $i) {{ accepted {ERRORS} }} }}"
    given = {"organization": people.code, "email": email.format(people.code)}
    answer = await desk.data(ANONYMOUS, document, {"i": given})
    assert answer == {"passwordResetRequest": {"accepted": True, "errors": []}}


async def test_a_token_handed_over_sets_a_password(desk: House, people: Tenant):
    document = f"mutation($u: ID!) {{ userPasswordResetCreate(input: {{userId: $u}}) {{ token user {{ username }} {ERRORS} }} }}"
    made = (await desk.data(people.actor(), document, {"u": encode("User", people.users["operator"])}))[
        "userPasswordResetCreate"
    ]
    assert made["user"] == {"username": "operator"}
    use = f"mutation($i: PasswordResetInput!) {{ passwordReset(input: $i) {{ changed {ERRORS} }} }}"
    short = (await desk.data(ANONYMOUS, use, {"i": {"token": made["token"], "newPassword": "short"}}))["passwordReset"]
    assert [(e["code"], e["path"]) for e in short["errors"]] == [("VALIDATION_FAILED", ["newPassword"])]
    done = {"i": {"token": made["token"], "newPassword": "long enough now"}}
    assert (await desk.data(ANONYMOUS, use, done))["passwordReset"] == {"changed": True, "errors": []}
    assert (await desk.data(ANONYMOUS, use, done))["passwordReset"]["errors"][0]["code"] == "RESET_TOKEN_INVALID"
    opened = (await desk.data(ANONYMOUS, SIGN_IN, credentials(people, "operator", "long enough now")))["sessionCreate"]
    assert opened["accessToken"]


async def test_a_first_password_is_changed_before_anything_else(desk: House, people: Tenant, signer: TokenSigner):
    document = f"mutation($i: UserCreateInput!) {{ userCreate(input: $i) {{ user {{ id email username }} {ERRORS} }} }}"
    given = {"email": "Ada@Acme.Example", "fullName": "Ada", "initialPassword": "for the first day"}
    made = (await desk.data(people.actor(), document, {"i": given}))["userCreate"]["user"]
    assert made["email"] == "Ada@Acme.Example"
    signed = {"i": {"organization": people.code, "email": "ada@acme.example", "password": "for the first day"}}
    opened = (await desk.data(ANONYMOUS, SIGN_IN, signed))["sessionCreate"]
    assert opened["mustChangePassword"]
    claims = signer.verify(opened["accessToken"])
    actor = await load_user_actor(desk.database, claims.organization_id, claims.user_id, claims.session_id)
    me = "{ me { mustChangePassword account { fullName } permissions { code } } }"
    assert (await desk.data(actor, me))["me"] == {
        "mustChangePassword": True,
        "account": {"fullName": "Ada"},
        "permissions": [],
    }
    given = '{currentPassword: "for the first day", newPassword: "my very own one"}'
    change = f"mutation {{ passwordChange(input: {given}) {{ changed errors {{ code }} }} }}"
    assert (await desk.data(actor, change))["passwordChange"] == {"changed": True, "errors": []}
    assert not (await desk.data(actor, me))["me"]["mustChangePassword"]


async def test_branding_before_sign_in(desk: House, tenant: Tenant):
    update = f"""mutation($i: OrganizationUpdateInput!) {{ organizationUpdate(input: $i) {{
      organization {{ brandName primaryColor }} {ERRORS} }} }}"""
    given = {
        "expectedVersion": 1,
        "brandName": "Acme MES",
        "primaryColor": "#0A5FFF",
        "logoUrl": "https://acme.example/logo.svg",
    }
    answer = (await desk.data(tenant.actor(), update, {"i": given}))["organizationUpdate"]
    assert answer == {"organization": {"brandName": "Acme MES", "primaryColor": "#0a5fff"}, "errors": []}
    shown = "query($s: String!) { branding(subdomain: $s) { name logoUrl primaryColor accentColor } }"
    assert (await desk.data(ANONYMOUS, shown, {"s": tenant.code}))["branding"] == {
        "name": "Acme MES", "logoUrl": "https://acme.example/logo.svg", "primaryColor": "#0a5fff", "accentColor": None,
    }  # fmt: skip
    for unknown in ("nobody", "\x00", "ä", "x" * 100):
        assert (await desk.data(ANONYMOUS, shown, {"s": unknown}))["branding"] is None
    insecure = {"expectedVersion": 2, "logoUrl": "http://acme.example/logo.svg"}
    refused = (await desk.data(tenant.actor(), update, {"i": insecure}))["organizationUpdate"]["errors"]
    assert [(e["code"], e["path"]) for e in refused] == [("VALIDATION_FAILED", ["logoUrl"])]


# --- the caller -------------------------------------------------------------------------------------------------------------


async def test_me(desk: House, tenant: Tenant):
    document = """{ me { account { fullName } allPlants organization { code } user { username }
      plants { code timeZone } permissions { code everywhere plants { code } departments { code } } } }"""
    me = (await desk.data(tenant.actor("viewer"), document))["me"]
    assert me["account"] == {"fullName": "Viewer"}
    assert me["organization"] == {"code": tenant.code}
    assert [p["code"] for p in me["plants"]] == ["P1", "P2"]
    assert {"code": "identity.read", "everywhere": True, "plants": [], "departments": []} in me["permissions"]
    in_one = (await desk.data(tenant.actor("viewer", plants=tenant.plants[:1]), document))["me"]
    assert [p["code"] for p in in_one["plants"]] == ["P1"]
    assert not in_one["allPlants"]
    assert {"code": "identity.read", "everywhere": False, "plants": [{"code": "P1"}], "departments": []} in in_one[
        "permissions"
    ]


async def test_nobody_is_told_to_sign_in(desk: House):
    for document in (
        "{ me { allPlants } }",
        "{ users { nodes { id } } }",
        "{ sessions { id } }",
        "mutation { sessionEnd { ended } }",
    ):
        assert await desk.code(ANONYMOUS, document) == "UNAUTHENTICATED"


async def test_a_telephone_number_is_for_who_manages_people(desk: House, tenant: Tenant):
    assert await desk.code(tenant.actor("viewer"), "{ users { nodes { phone } } }") == "FORBIDDEN"
    assert (await desk.data(tenant.actor(), "{ users(first: 1) { nodes { phone } } }"))["users"]["nodes"] == [
        {"phone": None}
    ]


async def test_people_with_their_roles_cost_one_statement_per_link(desk: House, tenant: Tenant):
    document = "{ users { nodes { fullName grants { nodes { role { name } plant { name } } } plantAccess { nodes { plant { name } } } } } }"
    with Statements(desk.database) as statements:
        await desk.data(tenant.actor(), document)
    assert len(statements.selects) == 4, statements.selects


async def test_one_of_another_tenant_is_one_that_does_not_exist(desk: House, tenant: Tenant, stranger: Tenant):
    for field, type_name, id in (
        ("user", "User", stranger.users["admin"]),
        ("plant", "Plant", stranger.plants[0]),
        ("user", "User", 10**15),
    ):
        document = f'{{ {field}(by: {{id: "{encode(type_name, id)}"}}) {{ id }} }}'
        assert (await desk.data(tenant.actor(), document))[field] is None
    document = (
        f'{{ user(by: {{email: "admin@{stranger.code}.example"}}) {{ id }} role(by: {{code: "viewer"}}) {{ code }} }}'
    )
    assert await desk.data(tenant.actor(), document) == {"user": None, "role": {"code": "viewer"}}
