"""Rows that belong to one person: what was read for one caller is shared with no other (api/sharing.py)."""

from __future__ import annotations

import asyncpg

from schema.build import build
from schema.node import NODES
from tests.conftest import Urls

BY_PERSON = """
  select distinct tablename from pg_policies where schemaname in ('app', 'tsdata') and cmd in ('SELECT', 'ALL')
    and roles && '{public,unison_app}' and (qual ~ 'app\\.user_id' or qual ~ 'app\\.app_id')"""


async def shareable(connection: asyncpg.Connection) -> list[str]:
    """Types whose rows the database shows by who asks, and that do not say so."""
    tables = {row["tablename"] for row in await connection.fetch(BY_PERSON)}
    declared = [node.__declared__ for node in NODES.values()]
    return sorted(d.name for d in declared if d.table.__table__.name in tables and not d.personal)


async def test_types_of_personal_rows_say_so(urls: Urls) -> None:
    build()
    connection = await asyncpg.connect(urls.admin)
    try:
        assert await shareable(connection) == []
        offence = connection.transaction()
        await offence.start()
        await connection.execute(
            "create policy own on app.projects as restrictive for select using (current_setting('app.user_id') = '1')"
        )
        assert await shareable(connection) == ["Project"], "it would be caught"
        await offence.rollback()
    finally:
        await connection.close()
