"""Jobs: exactly when the transaction commits, once, retried, buried and dug up again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from db.queue import MOST_BYTES, Queue, enqueue, enqueue_many
from db.session import Database
from schema.ids import encode
from tests.conftest import Urls
from tests.support import House, Tenant
from tests.worker.queues import consuming, job, words
from tests.worker.test_relay import until
from worker import runs

pytestmark = pytest.mark.usefixtures("empty")
Q = Queue.BACKGROUND_JOBS


async def status(admin: asyncpg.Connection, id: int) -> str:
    return (await job(admin, id))["status"]


async def test_what_is_rolled_back_was_never_queued(database: Database, admin: asyncpg.Connection, tenant: Tenant):
    with pytest.raises(RuntimeError, match="no"):
        async with database.write(tenant.actor()) as tx:
            await enqueue(tx, Q, "test.note", {"word": "a"})
            raise RuntimeError("no")
    assert await admin.fetchval("select count(*) from pgmq.q_background_jobs") == 0
    assert await admin.fetchval("select count(*) from app.jobs where organization_id = $1", tenant.organization_id) == 0


async def test_a_job_belongs_to_who_asked_for_it_and_runs_once(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    actor = tenant.actor()
    async with database.write(actor) as tx:
        id = await enqueue(tx, Q, "test.note", {"word": "a"})
    found = await job(admin, id)
    assert (found["organization_id"], found["created_by_user_id"]) == (tenant.organization_id, actor.user_id)
    assert (found["status"], found["request_id"]) == ("queued", actor.request_id)
    async with consuming(urls, database):
        await until(lambda: _is(admin, id, "succeeded"))
        await asyncio.sleep(0.5)
    assert await words(admin, tenant) == ["a"]
    assert (await job(admin, id))["attempts"] == 1
    assert await admin.fetchval("select count(*) from pgmq.q_background_jobs") == 0


async def _is(admin: asyncpg.Connection, id: int, wanted: str) -> bool:
    return await status(admin, id) == wanted


async def test_many_jobs_of_many_kinds_run_once_each(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    for owner in (tenant, stranger):
        async with database.write(owner.actor()) as tx:
            await enqueue_many(tx, Q, "test.note", [{"word": str(n)} for n in range(700)])
            await enqueue(tx, Q, "test.fail", {"times": 1})
            await enqueue_many(tx, Q, "test.note", [{"word": str(n)} for n in range(700, 1000)])
    async with consuming(urls, database), consuming(urls, database):
        await until(lambda: _empty(admin), 30)
    for owner in (tenant, stranger):
        found = await words(admin, owner)
        assert sorted(w for w in found if w != "lost") == sorted(str(n) for n in range(1000))
        assert found.count("lost") == 1


async def _empty(admin: asyncpg.Connection) -> bool:
    return await admin.fetchval("select count(*) from pgmq.q_background_jobs") == 0


async def test_a_delayed_job_waits(urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant):
    async with database.write(tenant.actor()) as tx:
        id = await enqueue(tx, Q, "test.note", {"word": "a"}, delay=timedelta(seconds=1.5))
    async with consuming(urls, database):
        await asyncio.sleep(0.7)
        assert await status(admin, id) == "queued"
        await until(lambda: _is(admin, id, "succeeded"))


async def test_a_failure_is_tried_again_later_and_leaves_nothing_behind(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    async with database.write(tenant.actor()) as tx:
        id = await enqueue(tx, Q, "test.fail", {"times": 2})
    async with consuming(urls, database):
        await until(lambda: _is(admin, id, "succeeded"), 20)
    assert (await job(admin, id))["attempts"] == 3
    assert await words(admin, tenant) == ["lost"]  # the two failed attempts rolled theirs back


async def test_the_waits_double_with_jitter_and_end():
    policy = runs.Policy(attempts=6, shortest=2, longest=10)
    for attempt, most in ((1, 2), (2, 4), (3, 8), (4, 10), (5, 10)):
        seen = {policy.delay(attempt) for _ in range(50)}
        assert most / 2 <= min(seen) < max(seen) <= most
    assert policy.delay(6) is None


async def test_a_dead_letter_is_seen_retried_and_discarded(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant, house: House
):
    async with database.write(tenant.actor()) as tx:
        dead, gone = [await enqueue(tx, Q, "test.fail", {"times": 3}) for _ in range(2)]
        hopeless = await enqueue(tx, Q, "test.hopeless", {})
    async with consuming(urls, database):
        for id in (dead, gone, hopeless):
            await until(lambda id=id: _is(admin, id, "dead"), 20)
    letters = '{ deadLetters(where: {kind: {startsWith: "test."}}) { nodes { id kind status attempts lastError } } }'
    answer = (await house.data(tenant.actor(), letters))["deadLetters"]["nodes"]
    assert {node["id"]: (node["attempts"], node["lastError"]) for node in answer} == {
        encode("Job", dead): (3, "Unexpected error (ValueError); the log has it"),
        encode("Job", gone): (3, "Unexpected error (ValueError); the log has it"),
        encode("Job", hopeless): (1, "The receiver is gone for good"),
    }
    assert (await house.data(stranger.actor(), letters))["deadLetters"]["nodes"] == []

    decide = "mutation($id: ID!) { done: job%s(input: {id: $id}) { job { status attempts } errors { code message } } }"
    foreign = await house.data(stranger.actor(), decide % "Retry", {"id": encode("Job", dead)})
    assert foreign["done"]["errors"][0]["code"] == "NOT_FOUND"
    assert await house.code(tenant.actor("viewer"), decide % "Retry", {"id": encode("Job", dead)}) == "FORBIDDEN"
    done = await house.data(tenant.actor(), decide % "Discard", {"id": encode("Job", gone)})
    assert done["done"]["job"]["status"] == "DISCARDED"
    again = await house.data(tenant.actor(), decide % "Retry", {"id": encode("Job", gone)})
    assert again["done"]["errors"][0]["code"] == "INVALID_TRANSITION"
    done = await house.data(tenant.actor(), decide % "Retry", {"id": encode("Job", dead)})
    assert done["done"]["job"] == {"status": "QUEUED", "attempts": 0}
    async with consuming(urls, database):
        await until(lambda: _is(admin, dead, "dead"), 20)  # its payload fails three times again
    assert await admin.fetchval("select count(*) from pgmq.q_background_jobs_dlq") == 2


async def test_a_waiting_job_can_be_discarded_a_held_one_not(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, house: House
):
    async with database.write(tenant.actor()) as tx:
        later = await enqueue(tx, Q, "test.note", {"word": "never"}, delay=timedelta(hours=1))
        running = await enqueue(tx, Q, "test.slow", {"word": "slow", "seconds": 2})
    decide = "mutation($id: ID!) { jobDiscard(input: {id: $id}) { job { status } errors { code message } } }"
    async with consuming(urls, database):
        await until(lambda: _is(admin, running, "running"))
        held = await house.data(tenant.actor(), decide, {"id": encode("Job", running)})
        assert held["jobDiscard"]["errors"][0]["code"] == "INVALID_TRANSITION"
        gone = await house.data(tenant.actor(), decide, {"id": encode("Job", later)})
        assert gone["jobDiscard"]["job"]["status"] == "DISCARDED"
        await until(lambda: _is(admin, running, "succeeded"))
    assert await words(admin, tenant) == ["slow"]


async def test_poison_is_buried_and_the_queue_goes_on(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runs, "UNKNOWN", runs.Policy(attempts=2, shortest=0.05))
    poison = ["null", "[1]", '"x"', "{}", '{"org": "x"}', '{"org": 1, "job": "a", "kind": 3, "payload": []}']
    for body in poison:
        await admin.execute("select pgmq.send('background_jobs', $1::jsonb)", body)
        await admin.execute("select pgmq.send('background_jobs', $1::jsonb, '{\"org\": \"1\"}'::jsonb)", body)
    await admin.execute("select pgmq.send('background_jobs', null::jsonb, '[]'::jsonb)")
    async with database.write(tenant.actor()) as tx:
        unknown = await enqueue(tx, Q, "nobody.knows", {})
        known = await enqueue(tx, Q, "test.note", {"word": "a"})
    async with consuming(urls, database):
        await until(lambda: _is(admin, known, "succeeded"), 5)
        await until(lambda: _is(admin, unknown, "dead"), 15)
        await until(lambda: _empty(admin), 15)
    assert await admin.fetchval("select count(*) from pgmq.q_background_jobs_dlq") == 2 * len(poison) + 2
    assert (await job(admin, unknown))["last_error"] == "No module handles this kind of job"


async def test_the_message_cannot_choose_its_tenant(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    async with database.write(tenant.actor()) as tx:
        await enqueue(tx, Q, "test.note", {"word": "mine", "org": stranger.organization_id})
    async with consuming(urls, database):
        await until(lambda: _empty(admin))
    assert (await words(admin, tenant), await words(admin, stranger)) == (["mine"], [])


async def test_the_application_reaches_no_queue(urls: Urls):
    connection = await asyncpg.connect(urls.app)
    try:
        for statement in (
            "select * from pgmq.q_background_jobs", "select pgmq.send('background_jobs', '{}'::jsonb)",
            "select * from ev.take_jobs('background_jobs', 1, 1, 1, '{}', '', '{}')", "delete from app.jobs",
            "update app.jobs set status = 'queued'",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):  # no organization, no job
            await connection.execute("select app.enqueue('background_jobs', 'x', array['{}'::jsonb], null, 0)")
    finally:
        await connection.close()


async def test_a_payload_is_of_ids_not_of_files(database: Database, tenant: Tenant):
    async with database.write(tenant.actor()) as tx:
        with pytest.raises(ValueError, match="pass ids"):
            await enqueue(tx, Q, "test.note", {"word": "x" * MOST_BYTES})


async def test_a_backlog_is_taken_though_the_queue_is_known_as_empty(admin: asyncpg.Connection) -> None:
    """As it is after each vacuum of a quiet time: the planner takes it for a single row, whatever has come since."""
    queue = "pgmq.q_background_jobs"
    send = f"""insert into {queue} (vt, message, headers)
      select clock_timestamp(), '{{}}', '{{"org": "backlog", "kind": "k"}}' from generate_series(1, $1::integer)"""
    gone = f"delete from {queue} where headers ->> 'org' = 'backlog'"
    take = "select count(*) from ev.take_jobs('background_jobs', 30, 10, 500, '{k}', 'backlof', '{}') where org = 'backlog'"
    try:
        await admin.execute(send, 5_000)
        await admin.execute(gone)
        await admin.execute(f"vacuum (analyze, truncate off) {queue}")
        await admin.execute(send, 150_000)
        assert await asyncio.wait_for(admin.fetchval(take), 8) == 500
    finally:
        await admin.execute(gone)
