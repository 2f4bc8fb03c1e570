"""One operation and its answer."""

from dataclasses import replace

from db.actor import Actor, Scope
from modules.identity.public import load_app_actor
from schema.ids import encode
from tests.modules.identity.conftest import PASSWORD
from tests.support import House, Tenant

ERRORS = "errors { __typename code path retryable }"
SIGN_IN = f"""mutation($i: SessionCreateInput!) {{ sessionCreate(input: $i) {{
  accessToken accessTokenExpiresAt refreshToken mustChangePassword user {{ id email fullName }} {ERRORS} }} }}"""


def credentials(tenant: Tenant, role: str = "admin", password: str = PASSWORD) -> dict[str, object]:
    return {"i": {"organization": tenant.code, "email": f"{role}@{tenant.code}.example", "password": password}}


async def version(house: House, tenant: Tenant, field: str, id: str) -> int:
    return (await house.data(tenant.actor(), f'{{ {field}(by: {{id: "{id}"}}) {{ version }} }}'))[field]["version"]


# --- people, roles, plants, apps --------------------------------------------------------------------------------------------


async def test_granting_a_role_in_a_plant_and_taking_it_back(desk: House, tenant: Tenant):
    roles = (await desk.data(tenant.actor(), '{ role(by: {code: "operator"}) { id } }'))["role"]
    grant = f"mutation($i: UserRoleGrantInput!) {{ userRoleGrant(input: $i) {{ grant {{ id level plant {{ code }} }} {ERRORS} }} }}"
    given = {
        "userId": encode("User", tenant.users["viewer"]),
        "roleId": roles["id"],
        "plantId": encode("Plant", tenant.plants[0]),
    }
    made = (await desk.data(tenant.actor(), grant, {"i": given}))["userRoleGrant"]["grant"]
    assert (made["level"], made["plant"]) == ("PLANT", {"code": "P1"})
    again = (await desk.data(tenant.actor(), grant, {"i": given}))["userRoleGrant"]
    assert [(e["code"], e["path"]) for e in again["errors"]] == [("ALREADY_EXISTS", ["roleId"])]
    revoke = f"mutation($g: ID!) {{ userRoleRevoke(input: {{grantId: $g}}) {{ user {{ grants {{ nodes {{ level }} }} }} {ERRORS} }} }}"
    left = (await desk.data(tenant.actor(), revoke, {"g": made["id"]}))["userRoleRevoke"]
    assert left == {"user": {"grants": {"nodes": [{"level": "ORGANIZATION"}]}}, "errors": []}


async def test_the_last_administrator_is_told_as_data(desk: House, tenant: Tenant):
    me = encode("User", tenant.users["admin"])
    archive = f"mutation($u: ID!, $v: Int!) {{ userArchive(input: {{id: $u, expectedVersion: $v}}) {{ user {{ id }} {ERRORS} }} }}"
    answer = (await desk.data(tenant.actor(), archive, {"u": me, "v": await version(desk, tenant, "user", me)}))[
        "userArchive"
    ]
    assert answer["errors"] == [
        {"__typename": "LastAdministrator", "code": "LAST_ADMINISTRATOR", "path": ["id"], "retryable": False}
    ]


async def test_a_role_with_its_permissions(desk: House, tenant: Tenant):
    create = f"mutation($i: RoleCreateInput!) {{ roleCreate(input: $i) {{ role {{ id code isSystem permissions version }} {ERRORS} }} }}"
    given = {"code": "lead", "name": "Shift lead", "permissions": ["identity.read"], "idempotencyKey": "once"}
    first = (await desk.data(tenant.actor(), create, {"i": given}))["roleCreate"]["role"]
    assert (first["isSystem"], first["permissions"], first["version"]) == (False, ["identity.read"], 1)
    assert (await desk.data(tenant.actor(), create, {"i": given}))["roleCreate"]["role"] == first, (
        "the same key, the same answer"
    )
    update = f"mutation($i: RoleUpdateInput!) {{ roleUpdate(input: $i) {{ role {{ permissions version }} {ERRORS} }} }}"
    changed = {"id": first["id"], "expectedVersion": 1, "permissions": ["identity.apps", "identity.read"]}
    assert (await desk.data(tenant.actor(), update, {"i": changed}))["roleUpdate"]["role"] == {
        "permissions": ["identity.apps", "identity.read"], "version": 2,
    }  # fmt: skip
    unknown = {"id": first["id"], "expectedVersion": 2, "permissions": ["identity.read", "x"]}
    refused = (await desk.data(tenant.actor(), update, {"i": unknown}))["roleUpdate"]["errors"]
    assert [(e["code"], e["path"]) for e in refused] == [("VALIDATION_FAILED", ["permissions", "1"])]
    catalogue = (await desk.data(tenant.actor("viewer"), "{ permissions { code description systemRoles } }"))[
        "permissions"
    ]
    assert {"admin"} == set(next(p for p in catalogue if p["code"] == "identity.apps")["systemRoles"])


async def test_plants_and_departments(desk: House, tenant: Tenant):
    create = f"mutation($i: PlantCreateInput!) {{ plantCreate(input: $i) {{ plant {{ id code plantType timeZone version }} {ERRORS} }} }}"
    given = {"code": "P3", "name": "Pune", "plantType": "ASSEMBLY", "timeZone": "Asia/Kolkata"}
    plant = (await desk.data(tenant.actor(), create, {"i": given}))["plantCreate"]["plant"]
    assert plant["plantType"] == "ASSEMBLY"
    department = f"mutation($i: DepartmentCreateInput!) {{ departmentCreate(input: $i) {{ department {{ plant {{ code }} }} {ERRORS} }} }}"
    made = (
        await desk.data(tenant.actor(), department, {"i": {"plantId": plant["id"], "code": "D", "name": "Welding"}})
    )["departmentCreate"]
    assert made["department"] == {"plant": {"code": "P3"}}
    update = f"mutation($i: PlantUpdateInput!) {{ plantUpdate(input: $i) {{ plant {{ manager {{ username }} name }} {ERRORS} }} }}"
    changed = {"id": plant["id"], "expectedVersion": 1, "managerId": encode("User", tenant.users["plant_manager"])}
    assert (await desk.data(tenant.actor(), update, {"i": changed}))["plantUpdate"]["plant"] == {
        "manager": {"username": "plant_manager"},
        "name": "Pune",
    }
    stale = (await desk.data(tenant.actor(), update, {"i": changed}))["plantUpdate"]["errors"]
    assert [(e["code"], e["path"]) for e in stale] == [("VERSION_CONFLICT", ["expectedVersion"])]
    cleared = {"id": plant["id"], "expectedVersion": 2, "managerId": None}
    assert (await desk.data(tenant.actor(), update, {"i": cleared}))["plantUpdate"]["plant"]["manager"] is None
    archive = f"mutation($i: PlantArchiveInput!) {{ plantArchive(input: $i) {{ plant {{ archivedAt }} {ERRORS} }} }}"
    assert (await desk.data(tenant.actor(), archive, {"i": {"id": plant["id"], "expectedVersion": 3}}))["plantArchive"][
        "plant"
    ]["archivedAt"]


async def test_an_app_and_its_key(desk: House, tenant: Tenant):
    app = (
        await desk.data(
            tenant.actor(), 'mutation { appCreate(input: {code: "erp", name: "ERP"}) { app { id } errors { code } } }'
        )
    )["appCreate"]["app"]
    create = f"""mutation($i: AppKeyCreateInput!) {{ appKeyCreate(input: $i) {{
      appKey {{ id prefix scopes use {{ lastUsedAt }} }} secret {ERRORS} }} }}"""
    given = {
        "appId": app["id"],
        "name": "production",
        "scopes": ["identity.read"],
        "plantId": encode("Plant", tenant.plants[0]),
    }
    made = (await desk.data(tenant.actor(), create, {"i": given}))["appKeyCreate"]
    assert made["secret"].startswith(made["appKey"]["prefix"])
    assert made["appKey"]["use"] is None
    actor = await load_app_actor(desk.database, made["secret"])
    answer = await desk.data(actor, "{ me { account { email } organization { code } } plants { nodes { code } } }")
    assert answer == {
        "me": {"account": None, "organization": {"code": tenant.code}},
        "plants": {"nodes": [{"code": "P1"}]},
    }
    shown = (
        await desk.data(
            tenant.actor(), "{ apps { nodes { code keys { nodes { use { lastUsedAt } plant { code } } } } } }"
        )
    )["apps"]
    assert shown["nodes"][0]["keys"]["nodes"][0]["use"]["lastUsedAt"]
    revoke = f"mutation($k: ID!) {{ appKeyRevoke(input: {{id: $k}}) {{ appKey {{ revokedAt }} {ERRORS} }} }}"
    assert (await desk.data(tenant.actor(), revoke, {"k": made["appKey"]["id"]}))["appKeyRevoke"]["appKey"]["revokedAt"]
    assert await load_app_actor(desk.database, made["secret"]) is None


async def test_ones_own_profile(desk: House, tenant: Tenant):
    document = f"mutation($i: ProfileUpdateInput!) {{ profileUpdate(input: $i) {{ user {{ locale }} {ERRORS} }} }}"
    answer = (await desk.data(tenant.actor("viewer"), document, {"i": {"expectedVersion": 1, "locale": "de"}}))[
        "profileUpdate"
    ]
    assert answer == {"user": {"locale": "de"}, "errors": []}
    bad = (await desk.data(tenant.actor("viewer"), document, {"i": {"expectedVersion": 2, "locale": "Deutsch"}}))[
        "profileUpdate"
    ]["errors"]
    assert [(e["code"], e["path"]) for e in bad] == [("VALIDATION_FAILED", ["locale"])]


WRITES = """mutation($u: ID!, $p: ID!, $r: ID!) {
  a: userUpdate(input: {id: $u, expectedVersion: 1, fullName: "x"}) { errors { code } }
  b: plantUpdate(input: {id: $p, expectedVersion: 1, name: "x"}) { errors { code } }
  c: userRoleGrant(input: {userId: $u, roleId: $r}) { errors { code } }
  d: userPlantAccessSet(input: {userId: $u, plantId: $p, canRead: true}) { errors { code } }
  e: userArchive(input: {id: $u, expectedVersion: 1}) { errors { code } }
  f: userPasswordResetCreate(input: {userId: $u}) { errors { code } }
  g: departmentCreate(input: {plantId: $p, code: "X", name: "x"}) { errors { code } } }"""


async def test_writes_with_ids_of_another_tenant_change_nothing(desk: House, tenant: Tenant, stranger: Tenant, admin):
    async def state() -> list[object]:
        tables = ("users", "plants", "role_grants", "user_plant_access", "departments", "audit_logs")
        org = stranger.organization_id
        return [await admin.fetchval(f"select count(*) from app.{t} where organization_id = {org}") for t in tables]

    before = await state()
    role = await admin.fetchval("select id from app.roles where organization_id = $1 limit 1", stranger.organization_id)
    ids = {
        "u": encode("User", stranger.users["viewer"]),
        "p": encode("Plant", stranger.plants[0]),
        "r": encode("Role", role),
    }
    answers = await desk.data(tenant.actor(), WRITES, ids)
    assert {name: [e["code"] for e in a["errors"]] for name, a in answers.items()} == {
        name: ["NOT_FOUND"] for name in "abcdefg"
    }
    assert await state() == before
    forbidden: Actor = replace(tenant.actor("viewer"))
    assert await desk.code(forbidden, WRITES, ids) == "FORBIDDEN"


async def test_a_right_in_one_department_changes_no_other_and_not_the_plant(desk: House, tenant: Tenant, admin):
    neighbour = await admin.fetchval(
        "insert into app.departments (organization_id, plant_id, code, name) values ($1, $2, 'N', 'Neighbour') returning id",
        tenant.organization_id, tenant.plants[0],
    )  # fmt: skip
    plant = encode("Plant", tenant.plants[0])
    own, other = encode("Department", tenant.departments[0]), encode("Department", neighbour)
    refused = {
        f'plantUpdate(input: {{id: "{plant}", expectedVersion: 1, name: "Mine"}})': ["id"],
        f'departmentCreate(input: {{plantId: "{plant}", code: "M", name: "Mine"}})': ["plantId"],
        f'departmentUpdate(input: {{id: "{other}", expectedVersion: 1, name: "Mine"}})': ["id"],
        f'departmentArchive(input: {{id: "{other}", expectedVersion: 1}})': ["id"],
        f'departmentUnarchive(input: {{id: "{other}", expectedVersion: 1}})': ["id"],
    }
    head = tenant.in_department()
    for call, path in refused.items():
        (answer,) = (await desk.data(head, f"mutation {{ {call} {{ errors {{ code path }} }} }}")).values()
        assert answer["errors"] == [{"code": "FORBIDDEN", "path": path}], call
    rename = f'departmentUpdate(input: {{id: "{own}", expectedVersion: 1, name: "Mine"}}) {{ errors {{ code }} }}'
    assert (await desk.data(head, f"mutation {{ {rename} }}"))["departmentUpdate"]["errors"] == []


async def test_a_count_is_as_readable_as_what_it_counts(desk: House, tenant: Tenant):
    asked = "{ users { nodes { managedProjects { totalCount { value } edges { cursor } } } } }"
    reader = tenant.actor()
    without = {code: scope for code, scope in reader.permissions.items() if code != "projects.read"}
    assert await desk.code(replace(reader, permissions=without), asked) == "FORBIDDEN"
    await desk.data(reader, asked)


async def test_a_replay_shows_only_what_the_caller_may_still_see(desk: House, tenant: Tenant):
    here, there = tenant.plants
    rename = """mutation($id: ID!) { plantUpdate(input: {id: $id, expectedVersion: 1, name: "New", idempotencyKey: "k"}) {
      plant { name } errors { code } } }"""
    may, elsewhere = tenant.actor(), frozenset({there})
    without_access = replace(may, readable=elsewhere, writable=elsewhere)
    without_right = replace(may, permissions=dict.fromkeys(may.permissions, Scope.of_plants(elsewhere)))
    answers = [
        (await desk.data(actor, rename, {"id": encode("Plant", here)}))["plantUpdate"]
        for actor in (may, may, without_access, without_right)
    ]
    shown = [{"plant": {"name": "New"}, "errors": []}] * 2 + [{"plant": None, "errors": []}] * 2
    assert answers == shown


async def test_a_user_is_found_by_the_address_whatever_the_case(desk: House, tenant: Tenant):
    ask = "query($e: String!, $n: String!) { user(by: {email: $e}) { id } named: user(by: {username: $n}) { id } }"
    address = f"Viewer@{tenant.code}.EXAMPLE"
    name = (
        await desk.data(tenant.actor(), "query($e: String!) { user(by: {email: $e}) { username } }", {"e": address})
    )["user"]["username"]
    found = await desk.data(tenant.actor(), ask, {"e": address, "n": name.upper()})
    assert found == {key: {"id": encode("User", tenant.users["viewer"])} for key in ("user", "named")}


async def test_a_taken_code_is_told_also_beside_a_new_head(desk: House, tenant: Tenant):
    person = encode("User", tenant.users["viewer"])
    made = f'departmentCreate(input: {{plantId: "{encode("Plant", tenant.plants[0])}", code: "TAKEN", name: "A"}})'
    assert (await desk.data(tenant.actor(), f"mutation {{ {made} {{ errors {{ code }} }} }}"))["departmentCreate"] == {
        "errors": []
    }
    department, plant = encode("Department", tenant.departments[0]), encode("Plant", tenant.plants[0])
    for call in (
        f'departmentUpdate(input: {{id: "{department}", expectedVersion: 1, code: "TAKEN", headId: "{person}"}})',
        f'plantUpdate(input: {{id: "{plant}", expectedVersion: 1, code: "P2", managerId: "{person}"}})',
    ):
        (answer,) = (await desk.data(tenant.actor(), f"mutation {{ {call} {{ errors {{ code path }} }} }}")).values()
        assert answer["errors"] == [{"code": "ALREADY_EXISTS", "path": ["code"]}]


async def test_an_address_somebody_has_is_refused_as_taken(desk: House, tenant: Tenant):
    taken = f"admin@{tenant.code}.example"
    update = """mutation($i: UserUpdateInput!) { userUpdate(input: $i) { user { email } errors { code path } } }"""
    for role in ("operator", "admin"):
        wanted = taken if role == "operator" else f"operator@{tenant.code}.example"
        given = {"id": encode("User", tenant.users[role]), "expectedVersion": 1, "email": wanted}
        answer = (await desk.data(tenant.actor(), update, {"i": given}))["userUpdate"]
        assert answer == {"user": None, "errors": [{"code": "ALREADY_EXISTS", "path": ["email"]}]}
