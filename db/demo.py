"""Ground for the demo factory: bulk inserts into one organization, as the owner, without audit trail and events."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import orjson

from db.migrate import ONE_AT_A_TIME
from db.roles import OWNER

ROWS_PER_STATEMENT = 5_000
CONTEXT = [f"app.{verb}_{what}" for verb in ("read", "write") for what in ("plants", "whole_plants", "departments")]
TRACKING = ("app.touch", "app.record_change", "app.record_event", "app.announce_notifications")


class Demo:
    """One organization being furnished. Modules run lowest first and leave what others need in `shared`."""

    def __init__(
        self, connection: asyncpg.Connection[Any], org: int, org_code: str, *, now: datetime, scale: float
    ) -> None:
        self.org = org
        self.org_code = org_code
        self.now = now
        self.scale = scale
        self.rng = random.Random(f"unison {org_code}")  # the same factory every time
        self.shared: dict[str, Any] = {}
        self.connection = connection

    def times(self, count: int) -> int:
        """A volume at the scale asked for."""
        return max(1, round(count * self.scale))

    async def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[int]:
        """Insert rows that all have the same columns; answers their ids in order (none for a table without ids)."""
        rows = [{"organization_id": self.org, **row} for row in rows]
        if not rows:
            return []
        columns = list(rows[0])
        if odd := next((row for row in rows if row.keys() != rows[0].keys()), None):
            raise ValueError(f"{table}: rows differ in columns: {sorted(odd.keys() ^ rows[0].keys())}")
        names = ", ".join(f'"{name}"' for name in columns)
        has_id = await self.connection.fetchval(
            "select exists(select from pg_attribute where attrelid = to_regclass($1) and attname = 'id')", table
        )
        # Not COPY: it is refused under row-level security.
        statement = (
            f"insert into {table} ({names}) select {names} from jsonb_populate_recordset(null::{table}, $1::jsonb)"
            + (" returning id" if has_id else "")
        )
        ids: list[int] = []
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            body = orjson.dumps(rows[start : start + ROWS_PER_STATEMENT], default=_plain).decode()
            ids += [record[0] for record in await self.connection.fetch(statement, body) if has_id]
        return ids

    async def execute(self, statement: str, *values: Any) -> None:
        """One statement of a module's own; every name in it says its schema."""
        await self.connection.execute(statement, *values)


def _plain(value: object) -> object:
    if isinstance(value, timedelta | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is no value of a demo row")


@asynccontextmanager
async def furnishing(
    connection: asyncpg.Connection[Any], org_code: str, *, now: datetime, scale: float
) -> AsyncIterator[Demo]:
    """One transaction that makes one organization, all of it or nothing."""
    async with connection.transaction():
        await _become_owner(connection)
        org = await connection.fetchval(
            "select nextval(pg_get_serial_sequence('app.organizations', 'organization_id'))::integer"
        )
        settings = {"app.org_id": str(org), **dict.fromkeys(CONTEXT, "all")}
        for name, value in settings.items():
            await connection.execute("select set_config($1, $2, true)", name, value)
        triggers = await connection.fetch(
            "select tgrelid::regclass::text as relation, quote_ident(tgname) as name from pg_trigger"
            " where tgparentid = 0 and tgfoid = any (select to_regproc(f)::oid from unnest($1::text[]) f)",
            list(TRACKING),
        )
        for trigger in triggers:
            await connection.execute(f"alter table {trigger['relation']} disable trigger {trigger['name']}")
        yield Demo(connection, org, org_code, now=now, scale=scale)
        await connection.execute("set constraints all immediate")  # pending checks forbid what follows
        for trigger in triggers:
            await connection.execute(f"alter table {trigger['relation']} enable trigger {trigger['name']}")


async def organizations(connection: asyncpg.Connection[Any]) -> list[str]:
    """Codes of the tenants there are."""
    async with connection.transaction(readonly=True):
        await connection.execute(f"set local role {OWNER}")
        return [record[0] for record in await connection.fetch("select code from app.organizations order by 1")]


async def clear(connection: asyncpg.Connection[Any]) -> None:
    """Empty every table that holds a tenant's rows. For a database with nothing but demo organizations in it."""
    async with connection.transaction():
        await _become_owner(connection)
        tables = await connection.fetch(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where (n.nspname in ('app', 'tsdata', 'auth') or n.nspname = 'pgmq' and c.relname ~ '^[qa]_')"
            " and c.relkind in ('r', 'p') and not c.relispartition"
        )
        names = ", ".join(record[0] for record in tables)
        await connection.execute(f"truncate {names}, ev.inbox, ev.log restart identity")


async def analyze(connection: asyncpg.Connection[Any], schemas: Sequence[str] = ("app", "tsdata", "auth")) -> None:
    """Tell the planner how large the tables have become."""
    async with connection.transaction():
        await connection.execute(f"set local role {OWNER}")
        tables = await connection.fetch(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = any ($1) and c.relkind in ('r', 'p') and not c.relispartition",
            list(schemas),
        )
        await connection.execute(f"analyze {', '.join(record[0] for record in tables)}")


async def _become_owner(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute("set local lock_timeout = '10s'")
    await connection.execute("select pg_advisory_xact_lock($1)", ONE_AT_A_TIME)
    await connection.execute(f"set local role {OWNER}")
    await connection.execute("set local search_path = pg_catalog")
