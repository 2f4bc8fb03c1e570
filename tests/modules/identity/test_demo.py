"""The demo's people can sign in and do what their role says, where it says so."""

from datetime import UTC, datetime

import asyncpg
import pytest

from db.demo import furnishing
from db.session import Database
from modules.identity import demo as identity
from modules.identity.public import load_user_actor
from modules.identity.sessions import service
from tests.conftest import Urls

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
async def made(urls: Urls) -> dict[str, int]:
    """Both companies, once for this file; ids by code."""
    connection = await asyncpg.connect(urls.admin)
    organizations = {}
    for code in ("acme", "globex"):
        async with furnishing(connection, code, now=NOW, scale=1) as demo:
            await identity.make(demo)
        organizations[code] = demo.org
    await connection.close()
    return organizations


async def actor(database: Database, code: str, name: str):
    async with database.anonymous() as tx:
        opened = await service.sign_in(
            tx, organization=code, email=f"{name}@{code}.example", password="unison-demo", device=None, now=NOW
        )
    return await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW)


@pytest.mark.parametrize("name", identity.ROLES)
async def test_everyone_named_signs_in_to_acme(made, database, name):
    found = await actor(database, "acme", name)
    assert found.may("identity.read")
    assert found.may("identity.manage") == (name == "admin")
    assert (found.readable is None) == (name != "operator")


async def test_the_operator_sees_one_plant(made, house, database):
    document = "{ plants { nodes { code timeZone departments { nodes { code } } } } me { plants { code } } }"
    seen = await house.data(await actor(database, "acme", "operator"), document)
    assert [p["code"] for p in seen["plants"]["nodes"]] == ["BER"]
    everything = await house.data(await actor(database, "acme", "viewer"), document)
    assert {p["code"]: p["timeZone"] for p in everything["plants"]["nodes"]} == {
        "BER": "Europe/Berlin", "PNQ": "Asia/Kolkata", "SYD": "Australia/Sydney",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "plants", "users"), [("acme", 3, 48), ("globex", 1, 15)])
async def test_companies(made, admin, code, plants, users):
    async def count(table: str) -> int:
        return await admin.fetchval(f"select count(*) from app.{table} where organization_id = $1", made[code])

    assert (await count("plants"), await count("users"), await count("roles")) == (plants, users, 10)
    assert await count("role_grants") == users
    led = "select bool_and(manager_id is not null) from app.plants where organization_id = $1"
    assert await admin.fetchval(led, made[code])


async def test_globex_has_its_own(made, house, database):
    found = await house.data(
        await actor(database, "globex", "admin"), "{ organization { code } plants { nodes { code } } }"
    )
    assert found == {"organization": {"code": "globex"}, "plants": {"nodes": [{"code": "CHI"}]}}
