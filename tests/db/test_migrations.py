"""Migrations: forward, back and forward again, by several at once, without superuser, never half."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection

from db import migrate as migrating
from db import tiers
from db.embedded import temporary
from db.migrate import app_url, current_revision, downgrade, events_url, examine, head_revision, migrate
from db.migrations import run_script
from tests.conftest import SECRET

CATALOG = {
    "columns": """select table_schema, table_name, column_name, data_type, is_nullable, column_default, generation_expression
                  from information_schema.columns where table_schema = any ($1)""",
    "indexes": "select schemaname, indexname, indexdef from pg_indexes where schemaname = any ($1)",
    "policies": "select schemaname, tablename, policyname, permissive, cmd, qual, with_check from pg_policies where schemaname = any ($1)",
    "constraints": """select c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) from pg_constraint c
                      join pg_namespace n on n.oid = c.connamespace where n.nspname = any ($1)""",
    "triggers": """select t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid) from pg_trigger t
                   join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
                   where not t.tgisinternal and n.nspname = any ($1)""",
    "functions": """select p.oid::regprocedure::text, p.prosecdef, p.prosrc, p.proacl::text from pg_proc p
                    join pg_namespace n on n.oid = p.pronamespace where n.nspname = any ($1)""",
    "grants": """select c.oid::regclass::text, pg_get_userbyid(c.relowner), array(select a::text from unnest(c.relacl) a order by 1)
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any ($1) and c.relkind <> 'i'""",
    "schemas": "select nspname, pg_get_userbyid(nspowner), nspacl::text from pg_namespace where nspname = any ($1)",
}
SCHEMAS = ["app", "tsdata", "auth", "ev"]


@pytest.fixture
async def url(server: str) -> AsyncIterator[str]:
    """A database of its own, empty."""
    name = f"m{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"create database {name}")
    yield server.rsplit("/", 1)[0] + f"/{name}"
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


async def catalog(url: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(url)
    try:
        return {
            what: sorted(str(tuple(row)) for row in await connection.fetch(query, SCHEMAS))
            for what, query in CATALOG.items()
        }
    finally:
        await connection.close()


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [
            row[0]
            for row in await connection.fetch(
                "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm')",
                SCHEMAS,
            )
        ]
    finally:
        await connection.close()


async def test_down_to_nothing_and_up_again_gives_the_same_database(url: str) -> None:
    await migrate(url, SECRET)
    before = await catalog(url)
    await downgrade(url, SECRET, "base")
    assert await tables(url) == []
    assert await current_revision(url) is None
    await migrate(url, SECRET)
    after = await catalog(url)
    for what in CATALOG:
        assert after[what] == before[what], what


async def test_every_step_can_be_taken_back(url: str) -> None:
    await migrate(url, SECRET)
    whole = await catalog(url)
    while (here := await current_revision(url)) is not None:
        here_before = await catalog(url)
        await downgrade(url, SECRET, "-1")
        await migrate(url, SECRET, "+1")
        assert await current_revision(url) == here
        here_after = await catalog(url)
        for what in CATALOG:
            assert here_after[what] == here_before[what], (here, what)
        await downgrade(url, SECRET, "-1")
    await migrate(url, SECRET)
    assert await catalog(url) == whole


async def test_several_migrators_at_once(url: str) -> None:
    await asyncio.gather(*(migrate(url, SECRET) for _ in range(3)))
    assert await current_revision(url) == head_revision()


async def test_a_second_migration_touches_nothing(url: str) -> None:
    await migrate(url, SECRET)
    connection = await asyncpg.connect(url)
    try:
        state = "select sum(p.xmin::text::bigint) from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = any ($1)"
        before = await connection.fetchrow(state, SCHEMAS)
        await migrate(url, SECRET)
        assert await connection.fetchrow(state, SCHEMAS) == before
    finally:
        await connection.close()


async def test_a_migration_does_not_queue_behind_a_long_lock(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", "100ms")
    await migrate(url, SECRET)
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("lock table ev.head in access share mode")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await downgrade(url, SECRET, "base")
        assert await current_revision(url) == head_revision()
    finally:
        await connection.close()


async def test_the_timeouts_of_a_migration(url: str) -> None:
    def settings(connection: Connection) -> list[str]:
        migrating._wait_for_turn(connection)
        return [
            connection.exec_driver_sql(f"show {name}").scalar_one() for name in ("lock_timeout", "statement_timeout")
        ]

    assert await examine(url, settings) == ["5s", "15min"]


async def test_what_fails_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_connection: Connection) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(tiers, "record", broken)
    with pytest.raises(RuntimeError, match="on purpose"):
        await migrate(url, SECRET)
    assert await tables(url) == []


async def test_it_needs_no_superuser() -> None:
    with temporary() as admin:
        connection = await asyncpg.connect(admin)
        await connection.execute("create role deployer login createrole password 'deploy'")
        await connection.execute("create database plain")
        await connection.execute("grant create on database plain to deployer")
        await connection.close()
        url = admin.replace(admin.split("//")[1].split("@")[0], "deployer:deploy").replace("/unison", "/plain")
        await migrate(url, SECRET)
        await migrate(url, SECRET)
        for as_role, name in ((app_url(url, SECRET), "unison_app"), (events_url(url, SECRET), "unison_events")):
            connected = await asyncpg.connect(as_role)
            assert await connected.fetchval("select current_user") == name
            await connected.close()
        await downgrade(url, SECRET, "base")


async def test_a_new_secret_key_gives_the_roles_new_passwords() -> None:
    with temporary() as admin:
        await migrate(admin, SECRET)
        other = SECRET[::-1]
        await migrate(admin, other)
        await (await asyncpg.connect(app_url(admin, other))).close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(app_url(admin, SECRET))


async def test_the_roles_can_do_no_more_than_their_work(url: str) -> None:
    await migrate(url, SECRET)
    connection = await asyncpg.connect(app_url(url, SECRET))
    try:
        for statement in (
            "table meta.database_capabilities",
            "select ev.relay(1)",
            "table ev.log",
            "set role unison_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(statement)
    finally:
        await connection.close()
    connection = await asyncpg.connect(events_url(url, SECRET))
    try:
        assert await connection.fetchval("select ev.relay(1)") == 0
        for statement in ("table app.organizations", "table ev.log", "set role unison_owner"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(statement)
    finally:
        await connection.close()


async def test_capabilities_are_recorded(url: str) -> None:
    await migrate(url, SECRET)
    connection = await asyncpg.connect(url)
    try:
        recorded = {row[0] for row in await connection.fetch("select name from meta.database_capabilities")}
    finally:
        await connection.close()
    assert recorded == {*tiers.EXTENSIONS, "pgmq"}
    found = await examine(url, tiers.detect)
    assert tiers.tier(found) is tiers.Tier.EMBEDDED


async def test_a_script_is_run_as_written_and_blamed_by_line(url: str, tmp_path: Path) -> None:
    good = tmp_path / "good.sql"
    good.write_text("create table t (a text default '100% :x $1');\ninsert into t values (default);")

    def run(connection: Connection) -> str:
        run_script(connection, good)
        return str(connection.exec_driver_sql("select a from t").scalar_one())

    assert await examine(url, run) == "100% :x $1"
    bad = tmp_path / "bad.sql"
    bad.write_text("select 1;\nselect nothing_of_that_name;\n")
    with pytest.raises(asyncpg.UndefinedColumnError) as caught:
        await examine(url, lambda connection: run_script(connection, bad))
    assert caught.value.__notes__ == ["in bad.sql:2"]


async def test_the_event_log_is_kept_through_its_change_of_shape(url: str) -> None:
    """0007 divides the log by day, and puts it together again."""
    events = "select pos, topic, entity_id, changed_fields, occurred_at from ev.log order by pos"
    await migrate(url, SECRET, "0006_production")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "insert into ev.log (pos, organization_id, topic, entity_id, operation, changed_fields, occurred_at)"
            " select n, 1, 'X', n, 'update', '{a}', now() - interval '6 days' + n * interval '1 hour'"
            " - case n % 7 when 3 then interval '30 hours' else '0' end from generate_series(1, 120) n"
        )
        await connection.execute("update ev.head set pos = 120")
        before = await connection.fetch(events)
        await migrate(url, SECRET)
        await connection.reload_schema_state()
        assert await connection.fetch(events) == before
        assert await connection.fetchval("select count(*) from ev.log_default") == 0
        in_order = "select bool_and(logged_at >= before) from (select logged_at, lag(logged_at) over (order by pos) before from ev.log) l"
        assert await connection.fetchval(in_order), "days are in the order of positions"
        await connection.execute(
            "insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields) values (1, 'X', 1, 'update', '{}')"
        )
        assert await connection.fetchval("select ev.relay(10)") == 1
        after = await connection.fetch(events)
        assert [row["pos"] for row in after] == list(range(1, 122))
        await downgrade(url, SECRET, "-1")
        await connection.reload_schema_state()
        assert await connection.fetch(events) == after
    finally:
        await connection.close()
