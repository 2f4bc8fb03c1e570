"""The demo factory's people were told things that are so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from api.seeding import seed
from db.migrate import migrate
from tests.conftest import SECRET


@pytest.fixture
async def factory(server: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server)
    await connection.execute("drop database if exists told with (force)")
    await connection.execute("create database told")
    await connection.close()
    url = server.rsplit("/", 1)[0] + "/told"
    await migrate(url, SECRET)
    await seed(url)
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def test_people_were_told_of_their_plants(factory: asyncpg.Connection):
    told = await factory.fetch(
        "select u.email, count(*) as n, count(*) filter (where n.read_at is null) as unread from app.notifications n"
        " join app.users u on u.id = n.user_id group by 1"
    )
    people = {row["email"]: row for row in told}
    for known in ("admin@acme", "manager@acme", "supervisor@acme", "maintenance@acme", "admin@globex"):
        assert people[f"{known}.example"]["n"] >= 1, known
    assert people["admin@acme.example"]["n"] > people["admin@acme.example"]["unread"]
    strangers = await factory.fetchval(
        "select count(*) from app.notifications n join app.users u on u.id = n.user_id where n.plant_id is not null"
        " and not u.all_plants and not exists (select from app.user_plant_access a"
        " where a.user_id = u.id and a.plant_id = n.plant_id and a.can_read)"
    )
    assert strangers == 0
    down = await factory.fetchval(
        "select count(*) from app.notifications n left join app.machines m on m.id = n.entity_id and m.plant_id = n.plant_id"
        " where n.kind = 'equipment.machine_down' and (m.status is distinct from 'down' or not starts_with(n.title, m.code))"
    )
    assert down == 0
    held = await factory.fetchval(
        "select count(*) from app.notifications n left join app.work_orders w on w.id = n.entity_id and w.plant_id = n.plant_id"
        " where n.kind like 'production.%' and position(w.number in n.title) is distinct from 12"
    )
    assert held == 0
    assert await factory.fetchval("select count(*) from ev.inbox where topic = 'Notification'") == 0
