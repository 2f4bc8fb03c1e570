"""Schedules: by the plant's clock, once however many leaders, caught up once, visible."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from cronsim import CronSimError

from modules.platform.work import jobs
from schema.ids import encode
from schema.work import Schedule
from tests.conftest import Urls
from tests.support import House, Tenant
from tests.worker import queues
from tests.worker.queues import consuming
from tests.worker.test_relay import until
from worker import schedules as scheduling
from worker.schedules import Scheduler
from worker.times import caught_up, following

pytestmark = pytest.mark.usefixtures("empty")
SCHEDULES = {
    "test.hourly": Schedule(cron="0 * * * *", kind="test.note", description="Every hour"),
    "test.daily": Schedule(cron="0 6 * * *", kind="test.note", description="At six of the plant", per="plant"),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # six in the morning is six in the morning on both sides of a change
        ("0 6 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T04:00Z", "2026-03-30T04:00Z"]),
        ("0 6 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T05:00Z", "2026-10-26T05:00Z"]),
        # 02:30 does not exist in spring: right after the change; exists twice in autumn: once
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        # intervals keep their pace
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:45Z", ["2026-10-25T01:00Z", "2026-10-25T01:30Z"]),
        ("0 6 * * *", "Australia/Sydney", "2026-10-03T12:00Z", ["2026-10-03T19:00Z", "2026-10-04T19:00Z"]),
    ],
)
def test_clock_changes(cron: str, zone: str, after: str, expected: list[str]):
    first = following(cron, zone, at(after))
    assert [first, following(cron, zone, first)] == [at(e) for e in expected]


def test_missed_times_are_counted_and_the_next_lies_ahead():
    due, now = at("2026-11-20T01:00Z"), at("2026-11-20T05:30Z")
    assert caught_up("0 * * * *", "UTC", due, now) == (at("2026-11-20T06:00Z"), 4)
    assert caught_up("0 * * * *", "UTC", due, due) == (at("2026-11-20T02:00Z"), 0)
    assert caught_up("* * * * *", "UTC", due - timedelta(days=30), now)[0] == at("2026-11-20T05:31Z")


def test_a_wrong_expression_is_told_when_it_is_written():
    with pytest.raises(CronSimError):
        Schedule(cron="61 * * * *", kind="x", description="x")


async def rows(admin: asyncpg.Connection, tenant: Tenant) -> list[asyncpg.Record]:
    return await admin.fetch(
        "select * from app.schedules where organization_id = $1 order by code, plant_id", tenant.organization_id
    )


@pytest.fixture
async def events(urls: Urls):
    connection = await asyncpg.connect(urls.events)
    yield connection
    await connection.close()


async def test_every_organization_and_plant_has_its_rows(
    urls: Urls, admin: asyncpg.Connection, events: asyncpg.Connection, tenant: Tenant
):
    now = at("2026-11-20T12:00Z")
    await Scheduler(urls.events, SCHEDULES).sync(events, now)
    berlin, sydney, hourly = await rows(admin, tenant)
    assert [berlin["plant_id"], sydney["plant_id"]] == tenant.plants
    assert (berlin["next_run_at"], sydney["next_run_at"]) == (at("2026-11-21T05:00Z"), at("2026-11-20T19:00Z"))
    assert (hourly["plant_id"], hourly["time_zone"], hourly["next_run_at"]) == (None, "UTC", at("2026-11-20T13:00Z"))
    # the same again changes nothing; a plant that moves its clock, or leaves, does
    await Scheduler(urls.events, SCHEDULES).sync(events, now + timedelta(hours=5))
    assert await rows(admin, tenant) == [berlin, sydney, hourly]
    await admin.execute("update app.plants set time_zone = 'America/New_York' where id = $1", tenant.plants[0])
    await admin.execute("update app.plants set archived_at = now() where id = $1", tenant.plants[1])
    await Scheduler(urls.events, SCHEDULES).sync(events, now)
    moved, left, _ = await rows(admin, tenant)
    assert (moved["next_run_at"], left["next_run_at"]) == (at("2026-11-21T11:00Z"), None)


async def test_missed_runs_are_caught_up_once_and_two_leaders_run_once(
    urls: Urls, database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant, house: House
):
    org = tenant.organization_id
    other = await asyncpg.connect(urls.events)
    mine = await asyncpg.connect(urls.events)
    leaders = [Scheduler(urls.events, SCHEDULES) for _ in range(2)]
    now = datetime.now(UTC)
    await leaders[0].sync(mine, now)
    await admin.execute(
        "update app.schedules set next_run_at = date_trunc('hour', now()) - interval '4 hours'"
        " where organization_id = $1 and code = 'test.hourly'",
        org,
    )
    await admin.execute(
        "update app.schedules set next_run_at = now() - interval '1 minute' where organization_id = $1 and plant_id = $2",
        org,
        tenant.plants[0],
    )
    await asyncio.gather(leaders[0].fire(mine, now), leaders[1].fire(other, now))
    await asyncio.gather(leaders[0].fire(mine, now), leaders[1].fire(other, now))
    await mine.close()
    await other.close()
    ran = await admin.fetch("select * from app.schedule_runs where organization_id = $1 order by missed", org)
    assert [(run["missed"], run["plant_id"]) for run in ran] == [(0, tenant.plants[0]), (4, None)]
    (hourly,) = [row for row in await rows(admin, tenant) if row["code"] == "test.hourly"]
    assert hourly["next_run_at"] > now
    payloads = await admin.fetch(
        "select message -> 'payload' as sent from pgmq.q_background_jobs where headers ->> 'org' = $1", str(org)
    )
    assert sum(f'"schedule": {hourly["id"]}' in row["sent"] for row in payloads) == 1
    document = """{ schedules(where: {code: {eq: "test.hourly"}}) { nodes { code nextRunAt runs { nodes { missed job { status kind } } } } }
                    scheduleRuns { nodes { scheduledFor schedule { code } plant { id } } } }"""
    shown = await house.data(tenant.actor(), document)
    (node,) = shown["schedules"]["nodes"]
    assert node["runs"]["nodes"] == [{"missed": 4, "job": {"status": "QUEUED", "kind": "test.note"}}]
    ran_for = {(run["schedule"]["code"], (run["plant"] or {}).get("id")) for run in shown["scheduleRuns"]["nodes"]}
    assert ran_for == {("test.hourly", None), ("test.daily", encode("Plant", tenant.plants[0]))}
    assert (await house.data(stranger.actor(), document))["scheduleRuns"]["nodes"] == []


async def test_one_leads_and_the_next_takes_over(
    urls: Urls, admin: asyncpg.Connection, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduling, "STANDBY_SECONDS", 0.05)
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.05)
    first, second = Scheduler(urls.events, SCHEDULES), Scheduler(urls.events, SCHEDULES)
    tasks = [asyncio.create_task(first.run())]
    await asyncio.wait_for(first.leading.wait(), 10)
    tasks.append(asyncio.create_task(second.run()))
    await asyncio.sleep(0.3)
    assert not second.leading.is_set()
    first.stop()
    await asyncio.wait_for(second.leading.wait(), 10)
    second.stop()
    await asyncio.gather(*tasks)
    state = {row["code"]: row for row in await admin.fetch("select * from ev.upkeep_state()")}
    assert all(row["last_run_at"] is not None and row["last_error"] is None for row in state.values())
    assert set(state) == set(scheduling.UPKEEP)


async def test_jobs_that_are_over_are_forgotten_by_schedule(
    urls: Urls, database, admin: asyncpg.Connection, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    org = tenant.organization_id
    for days, status in ((31, "succeeded"), (31, "dead"), (29, "succeeded")):
        await admin.execute(
            "insert into app.jobs (organization_id, queue, kind, message_id, status, run_at, created_at)"
            " values ($1, 'webhooks', $3::text || $2::integer::text, 0, $3::text, now(), now() - make_interval(days => $2::integer))",
            org, days, status,
        )  # fmt: skip
    connection = await asyncpg.connect(urls.events)
    scheduler = Scheduler(urls.events, jobs.SCHEDULES)
    await scheduler.sync(connection, datetime.now(UTC))
    await scheduler.fire(connection, datetime.now(UTC) + timedelta(days=1))
    await connection.close()
    monkeypatch.setattr(queues, "JOBS", jobs.JOBS)

    async def gone() -> bool:
        kinds = await admin.fetch("select kind from app.jobs where organization_id = $1 and queue = 'webhooks'", org)
        return {row["kind"] for row in kinds} == {"dead31", "succeeded29"}

    async with consuming(urls, database):
        await until(gone)
