"""The demo factory as a whole: the same every time, replaced and never mixed, and nobody else's rows touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from api.seeding import ORGANIZATIONS, NotOnlyDemo, is_demo, is_empty, seed
from db.embedded import temporary
from db.migrate import migrate
from tests.conftest import SECRET

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SCALE = 0.1
OF_CHANCE = {"auth.credentials"}  # salted hashes


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    with temporary() as url:
        await migrate(url, SECRET)
        yield url


async def contents(url: str) -> dict[str, str]:
    """A fingerprint of every table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname in ('app', 'tsdata', 'auth') and c.relkind in ('r', 'p') and not c.relispartition"
        )
        return {
            name: await connection.fetchval(
                f"select count(*) || md5(string_agg((to_jsonb(t) - 'created_at' - 'updated_at')::text, ',' order by t::text))"
                f" from {name} t"
            )
            for (name,) in tables
            if name not in OF_CHANCE
        }
    finally:
        await connection.close()


async def test_the_same_moment_gives_the_same_factory(url: str) -> None:
    assert await is_empty(url)
    await seed(url, scale=SCALE, now=NOW)
    assert await is_demo(url)
    first = await contents(url)
    await seed(url, scale=SCALE, now=NOW)
    second = await contents(url)
    assert {name for name in first if first[name] != second[name]} == set()


async def test_the_scale_makes_it_larger(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        counts = []
        for scale in (SCALE, SCALE * 2):
            await seed(url, scale=scale, now=NOW)
            counts.append(await connection.fetchval("select count(*) from app.work_orders"))
    finally:
        await connection.close()
    assert counts[1] > counts[0]


async def test_nobody_elses_organization_is_touched(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("insert into app.organizations (code, name) values ('real', 'A customer')")
        before = await contents(url)
        with pytest.raises(NotOnlyDemo, match="real"):
            await seed(url, scale=SCALE, now=NOW)
        assert await contents(url) == before
        await connection.execute("delete from app.organizations where code = 'real'")
    finally:
        await connection.close()


async def test_every_sign_in_exists(url: str) -> None:
    await seed(url, scale=SCALE, now=NOW)
    connection = await asyncpg.connect(url)
    try:
        known = {row["email"] for row in await connection.fetch("select email from app.users")}
    finally:
        await connection.close()
    assert {f"{name}@{code}.example" for code, names in ORGANIZATIONS.items() for name in names} <= known
