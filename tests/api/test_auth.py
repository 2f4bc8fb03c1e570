"""Tokens and keys: which are accepted, and how soon a change of rights is felt."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from db.session import Database
from modules.identity.public import TokenSigner
from tests.api.conftest import Live, serving
from tests.conftest import SECRET, Urls
from tests.support import Tenant

WHOAMI = "{ whoami }"


def claims(tenant: Tenant, **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "iss": "unison", "aud": "unison", "sub": str(tenant.users["admin"]), "org": tenant.organization_id,
        "sid": "00000000-0000-0000-0000-000000000000", "jti": "x", "iat": now, "exp": now + timedelta(minutes=5),
    }  # fmt: skip
    return {name: value for name, value in (known | changed).items() if value is not None}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    ("changed", "key", "algorithm"),
    [
        ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, SECRET, "HS256"),
        ({"exp": None}, SECRET, "HS256"),
        ({"aud": "another"}, SECRET, "HS256"),
        ({"iss": "another"}, SECRET, "HS256"),
        ({"sub": "1 or 1"}, SECRET, "HS256"),
        ({"org": "x"}, SECRET, "HS256"),
        ({"sid": None}, SECRET, "HS256"),
        ({}, SECRET, "HS256"),  # well signed, of a session that does not exist
        ({}, "another-secret-of-at-least-thirty-two-characters", "HS256"),
        ({}, SECRET, "HS384"),
        ({}, None, "none"),
    ],
)
async def test_no_such_token_is_accepted(
    live: Live, tenant: Tenant, changed: dict[str, Any], key: str | None, algorithm: str
) -> None:
    token = jwt.encode(claims(tenant, **changed), key or "", algorithm=algorithm)
    answer = await live.post(WHOAMI, token=token)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_changed_token_is_not_accepted(live: Live, tenant: Tenant) -> None:
    head, body, signature = (await live.token(tenant)).split(".")
    other = jwt.encode(claims(tenant), SECRET, algorithm="HS256").split(".")[1]
    for changed in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}",
    ):
        assert (await live.post(WHOAMI, token=changed)).status_code == 401


async def test_each_tenant_is_itself(live: Live, tenant: Tenant, stranger: Tenant) -> None:
    for one in (tenant, stranger, tenant):
        answer = await live.post(WHOAMI, token=await live.token(one))
        assert answer.json()["data"]["whoami"] == f"{one.organization_id}:user:{one.users['admin']}"


async def until_status(live: Live, token: str, query: str, expected: set[str]) -> None:
    """A change of rights is felt within seconds."""
    async with asyncio.timeout(7):
        while True:
            answer = await live.post(query, token=token)
            codes = {error["extensions"]["code"] for error in answer.json().get("errors", [])}
            if codes == expected:
                return
            await asyncio.sleep(0.2)


async def test_changed_roles_and_disabled_users_take_effect(
    live: Live, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    token = await live.token(tenant, "operator")
    assert (await live.post("{ secret }", token=token)).status_code == 200
    await until_status(live, token, "{ secret }", {"FORBIDDEN"})
    user, org = tenant.users["operator"], tenant.organization_id
    await admin.execute(
        "insert into app.role_grants (organization_id, user_id, role_id)"
        " select $1, $2, id from app.roles where organization_id = $1 and code = 'admin'", org, user,
    )  # fmt: skip
    await until_status(live, token, "{ secret }", set())
    await admin.execute("update app.users set archived_at = now() where organization_id = $1 and id = $2", org, user)
    await until_status(live, token, WHOAMI, {"UNAUTHENTICATED"})


async def test_a_revoked_session_ends(live: Live, tenant: Tenant, admin: asyncpg.Connection) -> None:
    token = await live.token(tenant, "warehouse")
    assert "errors" not in (await live.post(WHOAMI, token=token)).json()
    await admin.execute(
        "update auth.sessions set revoked_at = now() where organization_id = $1 and user_id = $2",
        tenant.organization_id, tenant.users["warehouse"],
    )  # fmt: skip
    await until_status(live, token, WHOAMI, {"UNAUTHENTICATED"})


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def published() -> Iterator[str]:
    """An identity provider's keys, on a server of its own."""
    keys = [
        {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "r", "alg": "RS256", "use": "sig"},
        {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "e", "alg": "ES256", "use": "sig"},
    ]
    body = json.dumps({"keys": keys}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_tokens_of_a_trusted_issuer(urls: Urls, database: Database, tenant: Tenant, published: str) -> None:
    given = {"jwt_jwks_url": published, "jwt_issuer": "https://sso.example", "jwt_audience": "unison-api"}
    said = {
        "iss": "https://sso.example",
        "aud": "unison-api",
        "org": tenant.code,
        "email": f"viewer@{tenant.code}.example",
    }

    def token(key: Any, algorithm: str, kid: str, **changed: Any) -> str:
        content = claims(tenant, **({**said, "sub": "ab-12"} | changed))
        return jwt.encode(content, key, algorithm=algorithm, headers={"kid": kid})

    async with serving(urls, database, **given) as live:
        for good in (token(RSA, "RS256", "r"), token(EC, "ES256", "e"), token(RSA, "RS256", "r", org=None)):
            answer = await live.post(WHOAMI, token=good)
            assert answer.json()["data"] == {"whoami": f"{tenant.organization_id}:user:{tenant.users['viewer']}"}
        for bad in (
            token(rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", "r"),
            token(RSA, "RS256", "unknown"),
            token(EC, "ES256", "r"),
            token(RSA, "RS256", "r", aud="other"),
            token(RSA, "RS256", "r", email="nobody@example.com"),
            token(RSA, "RS256", "r", email_verified=False),
            token(RSA, "RS256", "r", org=7),
            token(RSA, "RS256", "r", exp=datetime(2020, 1, 1, tzinfo=UTC)),
            token(SECRET, "HS256", "r"),
        ):
            assert (await live.post(WHOAMI, token=bad)).status_code == 401
        assert (await live.post(WHOAMI, token=await live.token(tenant))).status_code == 200, "own tokens still count"


async def test_own_tokens_may_be_signed_with_a_private_key(urls: Urls, database: Database, tenant: Tenant) -> None:
    pem = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with serving(urls, database, jwt_algorithm="ES256", jwt_private_key=pem) as live:
        token = await live.token(tenant)
        assert jwt.get_unverified_header(token)["alg"] == "ES256"
        assert (await live.post(WHOAMI, token=token)).status_code == 200
        confused = TokenSigner(SECRET).issue(
            organization_id=tenant.organization_id, user_id=tenant.users["admin"], session_id="x", now=datetime.now(UTC)
        )[0]
        assert (await live.post(WHOAMI, token=confused)).status_code == 401


async def test_an_app_calls_with_its_key(live: Live, tenant: Tenant, admin: asyncpg.Connection) -> None:
    from modules.identity.sessions.tokens import KEY_PREFIX, digest, new_secret

    secret = new_secret(KEY_PREFIX)
    org = tenant.organization_id
    app = await admin.fetchval(
        "insert into app.apps (organization_id, code, name) values ($1, 'erp', 'ERP') returning id", org
    )
    key = await admin.fetchval(
        "insert into app.app_keys (organization_id, app_id, name, prefix, scopes) values ($1, $2, 'k', 'p', '{probe.secret}')"
        " returning id", org, app,
    )  # fmt: skip
    await admin.execute(
        "insert into auth.api_keys (organization_id, key_id, key_hash) values ($1, $2, $3)", org, key, digest(secret)
    )
    by_bearer = await live.post("{ whoami secret }", token=secret)
    assert by_bearer.json()["data"] == {"whoami": f"{org}:app:{app}", "secret": "told"}
    by_header = await live.post("{ whoami }", headers={"x-api-key": secret})
    assert by_header.json()["data"]["whoami"] == f"{org}:app:{app}"
    assert (await live.post("{ whoami }", token=secret[:-1] + "_")).status_code == 401
    await admin.execute("update app.app_keys set revoked_at = now() where id = $1 and organization_id = $2", key, org)
    await until_status(live, secret, WHOAMI, {"UNAUTHENTICATED"})


async def test_guesses_at_one_account_leave_connections_for_others(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    """Guesses queue at the account's row; they must not queue with every connection in hand."""
    guess = "mutation($i: SessionCreateInput!) { sessionCreate(input: $i) { errors { code } } }"
    given = {"organization": tenant.code, "email": f"admin@{tenant.code}.example", "password": "not this one"}
    async with serving(urls, database, pool_size=3) as live:
        token = await live.token(tenant)
        await live.post(guess, variables={"i": given})
        holding = await asyncpg.connect(urls.admin)
        try:
            async with holding.transaction():
                await holding.execute("select * from auth.sign_in_attempts for update")
                guesses = [asyncio.create_task(live.post(guess, variables={"i": given})) for _ in range(6)]
                await asyncio.sleep(0.5)
                answers = [await live.post(WHOAMI, token=token) for _ in range(3)]
            assert [a.status_code for a in answers] == [200] * 3
            codes = [(await g).json()["data"]["sessionCreate"]["errors"][0]["code"] for g in guesses]
            assert set(codes) <= {"NOT_SIGNED_IN", "SIGN_IN_LOCKED"}
        finally:
            await holding.close()
