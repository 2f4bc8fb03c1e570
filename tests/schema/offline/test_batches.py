"""Offline batches: every fact once, in the device's order, however often they are sent."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import asyncpg

from schema.ids import encode
from schema.scalars import show_instant
from tests.conftest import Urls
from tests.modules.production.shop import Shop, ago, now
from tests.schema.offline.batches import APPLY, apply, batch, outcomes, report, step_of
from tests.support import House

RECORD = """mutation($input: ProductionLogRecordInput!) { productionLogRecord(input: $input) {
  errors { code } productionLog { id } } }"""


async def test_the_devices_order_decides_not_the_lists(shop: Shop, house: House) -> None:
    order = await shop.order(2, ordered=10)
    first, second = await shop.operations(order)
    downstream, upstream = report(second.id, "b", good=4, sequence=20), report(first.id, "a", good=4, sequence=10)
    answer = await apply(house, shop.actor, downstream, upstream)
    assert [(one["sequence"], one["status"]) for one in answer["items"]] == [(20, "APPLIED"), (10, "APPLIED")]
    backwards = [report(second.id, "d", good=3, sequence=1), report(first.id, "c", good=3, sequence=2)]
    assert outcomes(await apply(house, shop.actor, *backwards)) == [("CONFLICT", ["INSUFFICIENT_WIP"]), ("APPLIED", [])]
    await shop.check(order)


async def test_a_batch_sent_again_is_given_the_first_answers(shop: Shop, house: House) -> None:
    order, step = await step_of(shop)
    items = [report(step, f"k{n}", good=1, sequence=n) for n in range(3)]
    first = await apply(house, shop.actor, *items)
    await shop.report(step, good=50)
    again = await apply(house, shop.actor, *items)
    assert outcomes(again) == [("DUPLICATE", [])] * 3
    assert [one["result"] for one in again["items"]] == [one["result"] for one in first["items"]]
    assert (await shop.get(order)).quantity_good == 53


async def test_what_was_posted_online_is_a_duplicate_and_the_other_way_round(shop: Shop, house: House) -> None:
    order, step = await step_of(shop)
    one, two = report(step, "one"), report(step, "two")
    online = await house.data(shop.actor, RECORD, {"input": one["action"]["productionLogRecord"]})
    answer = await apply(house, shop.actor, one, two)
    assert outcomes(answer) == [("DUPLICATE", []), ("APPLIED", [])]
    made = [one["result"]["productionLog"]["id"] for one in answer["items"]]
    assert made[0] == online["productionLogRecord"]["productionLog"]["id"]
    result = await house.ask(shop.actor, RECORD, {"input": two["action"]["productionLogRecord"]})
    assert result.data is not None
    assert result.data["productionLogRecord"]["productionLog"]["id"] == made[1]
    assert (await shop.get(order)).quantity_good == 2


async def test_the_skew_of_the_clock_is_recorded_and_changes_no_time(shop: Shop, house: House) -> None:
    _, step = await step_of(shop)
    said = ago(minutes=50)
    answer = await apply(
        house, shop.actor, report(step, "k", occurredAt=show_instant(said)), sent_at=ago(minutes=20)
    )  # fmt: skip
    assert answer["items"][0]["result"]["productionLog"]["occurredAt"] == show_instant(said)
    assert 1200 <= Decimal(answer["skewSeconds"]) < 1260
    ahead = await apply(house, shop.actor, report(step, "k2"), sent_at=now() + timedelta(minutes=20))
    assert -1200 <= Decimal(ahead["skewSeconds"]) < -1140
    document = """{ offlineBatches(orderBy: [{field: RECEIVED_AT, direction: ASC}], where: {device: {eq: "saw-terminal"}}) {
      nodes { deviceId sentByUser { id } sentByApp { id } skewSeconds items applied duplicates conflicts rejected
              requestId finishedAt } } }"""
    first, second = (await house.data(shop.actor, document))["offlineBatches"]["nodes"]
    assert first["finishedAt"] is not None
    assert first["requestId"] is not None
    assert first["sentByUser"] == {"id": encode("User", shop.tenant.users["admin"])}
    assert {k: first[k] for k in ("items", "applied", "duplicates", "conflicts", "rejected", "skewSeconds")} == {
        "items": 1, "applied": 1, "duplicates": 0, "conflicts": 0, "rejected": 0, "skewSeconds": answer["skewSeconds"],
    }  # fmt: skip
    assert second["skewSeconds"] == ahead["skewSeconds"]
    assert await house.code(shop.tenant.actor("operator"), document) == "FORBIDDEN"


async def test_a_batch_has_1_to_500_items_and_a_named_device(shop: Shop, house: House) -> None:
    _, step = await step_of(shop)
    for items in ([], [report(step, f"k{n}") for n in range(501)]):
        answer = await apply(house, shop.actor, *items)
        assert answer["items"] is None
        assert [(e["code"], e["path"]) for e in answer["errors"]] == [("VALIDATION_FAILED", ["items"])]
    given = batch(report(step, "k"))
    given["input"]["deviceId"] = " "
    answer = (await house.data(shop.actor, APPLY, given))["offlineBatchApply"]
    assert [e["path"] for e in answer["errors"]] == [["deviceId"]]


async def test_a_batch_under_way_many_times_posts_each_fact_once(shop: Shop, house: House) -> None:
    """Two terminals with the same queue, and each of them impatient."""
    order, step = await step_of(shop, ordered=1000)
    items = [report(step, f"k{n}", good=n + 1, sequence=n) for n in range(12)]
    mixed = [random.sample(items, len(items)) for _ in range(6)]
    answers = await asyncio.gather(*(apply(house, shop.actor, *each) for each in mixed))
    came = [one for answer in answers for one in answer["items"]]
    applied = [one["idempotencyKey"] for one in came if one["status"] == "APPLIED"]
    assert sorted(applied) == sorted(f"k{n}" for n in range(12))
    assert {one["status"] for one in came} == {"APPLIED", "DUPLICATE"}
    assert len({one["result"]["productionLog"]["id"] for one in came}) == 12
    assert (await shop.get(order)).quantity_good == sum(range(1, 13))
    assert await shop.log_count(order) == 12
    await shop.check(order)


async def test_a_database_that_goes_away_says_nothing_of_the_items(
    shop: Shop, house: House, urls: Urls, admin: asyncpg.Connection
) -> None:
    first, held = [await step_of(shop) for _ in range(2)]
    items = [report(first[1], "a", sequence=1), report(held[1], "b", sequence=2)]
    waiting = "from pg_stat_activity where $1 = any (pg_blocking_pids(pid))"
    holder = await asyncpg.connect(urls.admin)
    try:
        hold = holder.transaction()
        await hold.start()
        await holder.execute("select from app.work_orders where id = $1 for update", held[0])
        sending = asyncio.create_task(house.ask(shop.actor, APPLY, batch(*items)))
        async with asyncio.timeout(20):
            while not await admin.fetch(f"select pid {waiting}", holder.get_server_pid()):
                await asyncio.sleep(0.01)
        await admin.execute(f"select pg_terminate_backend(pid) {waiting}", holder.get_server_pid())
        result = await sending
        await hold.rollback()
    finally:
        await holder.close()
    assert result.data == {"offlineBatchApply": None}
    assert result.errors
    assert outcomes(await apply(house, shop.actor, *items)) == [("DUPLICATE", []), ("APPLIED", [])]
