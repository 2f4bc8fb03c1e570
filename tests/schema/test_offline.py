"""Offline batches: every item as its mutation would have done it, once, in the device's order."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import asyncpg
import pytest

from db.actor import Actor
from schema.context import Context
from schema.fields import Offline, mutation
from schema.ids import encode
from schema.scalars import show_instant
from tests.conftest import Urls
from tests.modules.production.shop import Shop, ago, machine, now
from tests.schema import widgets
from tests.support import House, NoHub, NoTokens, Tenant

APPLY = """mutation($input: OfflineBatchApplyInput!) { offlineBatchApply(input: $input) {
  receivedAt skewSeconds errors { code path }
  items { sequence idempotencyKey status
    errors { __typename code message path retryable ... on OverCompletion { maxRemaining } }
    result { __typename
      ... on ProductionLogPayload { productionLog { id kind occurredAt good { value } } workOrder { id status } }
      ... on StatusPeriodPayload { statusPeriod { id status startedAt } }
      ... on MeterReadingPayload { meterReading { id total } } }
    current { id ... on WorkOrderOperation { workOrder { status version } } ... on Machine { code status } } } } }"""
RECORD = """mutation($input: ProductionLogRecordInput!) { productionLogRecord(input: $input) {
  errors { code } productionLog { id } } }"""


@pytest.fixture
def shop(database: Any, house: House, tenant: Tenant) -> Shop:
    return Shop(database, tenant)


def report(operation: int, key: str, *, good: int = 1, sequence: int = 1, **given: Any) -> dict[str, Any]:
    about = {"operationId": encode("WorkOrderOperation", operation), "kind": "REPORT", "good": str(good)}
    return item("productionLogRecord", sequence, idempotencyKey=key, **{**about, **given})


def status(machine_id: int, key: str, to: str, *, sequence: int = 1, at: Any = None) -> dict[str, Any]:
    given = {"machineId": encode("Machine", machine_id), "status": to, "occurredAt": show_instant(at or now())}
    return item("machineStatusRecord", sequence, idempotencyKey=key, **given)


def item(name: str, sequence: int, **action: Any) -> dict[str, Any]:
    return {"sequence": sequence, "recordedAt": show_instant(now()), "action": {name: action}}


def batch(*items: dict[str, Any], sent_at: Any = None) -> dict[str, Any]:
    return {"input": {"deviceId": "saw-terminal", "sentAt": show_instant(sent_at or now()), "items": list(items)}}


async def apply(house: House, actor: Actor, *items: dict[str, Any], **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await house.data(actor, APPLY, batch(*items, **given)))["offlineBatchApply"]
    return answer


def outcomes(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(one["status"], [error["code"] for error in one["errors"]]) for one in answer["items"]]


async def step_of(shop: Shop, **given: Any) -> tuple[int, int]:
    """A released order of one operation: their ids."""
    order = await shop.order(**given)
    return order, (await shop.operations(order))[0].id


async def test_facts_of_every_kind_are_applied(shop: Shop, house: House, admin: asyncpg.Connection) -> None:
    order, step = await step_of(shop)
    saw = await machine(admin, shop.tenant, "SAW-1")
    await admin.execute("update app.machines set status_since = now() - interval '1 day' where id = $1", saw)
    meter = await admin.fetchval(
        "insert into app.machine_meters (organization_id, plant_id, machine_id, code, name, kind, unit)"
        " values ($1, $2, $3, 'H', 'Hours', 'operating_hours', 'h') returning id",
        shop.tenant.organization_id, shop.plant, saw,
    )  # fmt: skip
    await admin.execute(
        "insert into app.machine_status_history (organization_id, plant_id, machine_id, status, started_at, received_at)"
        " select organization_id, plant_id, id, 'available', status_since, status_since from app.machines where id = $1",
        saw,
    )
    first = await shop.report(step, good=2)
    answer = await apply(
        house,
        shop.actor,
        report(step, "a", good=5, sequence=1),
        status(saw, "b", "RUNNING", sequence=2),
        item("meterReadingRecord", 3, meterId=encode("Meter", meter), value="7.5", readAt=show_instant(now()), idempotencyKey="c"),
        item("productionLogReverse", 4, id=encode("ProductionLog", first.log.id), reason="Miscounted", idempotencyKey="d"),
    )  # fmt: skip
    assert outcomes(answer) == [("APPLIED", [])] * 4
    results = [one["result"] for one in answer["items"]]
    assert results[0]["productionLog"]["good"] == {"value": "5"}
    assert results[1]["statusPeriod"]["status"] == "RUNNING"
    assert results[2]["meterReading"]["total"] == "7.5"
    assert results[3]["productionLog"]["kind"] == "REVERSAL"
    assert [one["idempotencyKey"] for one in answer["items"]] == ["a", "b", "c", "d"]
    assert (await shop.get(order)).quantity_good == 5
    await shop.check(order)


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


async def test_a_key_with_another_body_is_rejected_alone(shop: Shop, house: House) -> None:
    _, step = await step_of(shop)
    items = [
        report(step, "k", good=1, sequence=1),
        report(step, "k", good=2, sequence=2),
        report(step, "l", sequence=3),
    ]
    answer = await apply(house, shop.actor, *items)
    assert outcomes(answer) == [("APPLIED", []), ("REJECTED", ["IDEMPOTENCY_KEY_REUSED"]), ("APPLIED", [])]
    (error,) = answer["items"][1]["errors"]
    assert error["path"] == ["items", "1", "action", "productionLogRecord", "idempotencyKey"]


async def test_a_conflict_shows_the_object_as_it_is_now(shop: Shop, house: House) -> None:
    order, step = await step_of(shop, ordered=10)
    await shop.do(order, "hold")
    (one,) = (await apply(house, shop.actor, report(step, "k")))["items"]
    assert (one["status"], one["result"]) == ("CONFLICT", None)
    assert [e["code"] for e in one["errors"]] == ["INVALID_TRANSITION"]
    version = (await shop.get(order)).version
    assert one["current"] == {
        "id": encode("WorkOrderOperation", step),
        "workOrder": {"status": "ON_HOLD", "version": version},
    }
    await shop.do(order, "resume")
    assert outcomes(await apply(house, shop.actor, report(step, "k"))) == [("APPLIED", [])], "its key is free"


async def test_later_items_of_a_refused_object_are_still_tried(shop: Shop, house: House) -> None:
    order, step = await step_of(shop, ordered=10)
    answer = await apply(
        house, shop.actor, *(report(step, f"k{n}", good=g, sequence=n) for n, g in enumerate((11, 4, 6)))
    )
    assert outcomes(answer) == [("CONFLICT", ["OVER_COMPLETION"]), ("APPLIED", []), ("APPLIED", [])]
    assert answer["items"][0]["errors"][0]["maxRemaining"] == "10"
    await shop.check(order)


async def test_what_is_wrong_with_an_item_is_said_of_it_alone(shop: Shop, house: House, stranger: Tenant) -> None:
    _, theirs = await step_of(Shop(shop.database, stranger))
    order, step = await step_of(shop)
    answer = await apply(
        house,
        shop.actor,
        report(theirs, "a", sequence=1),
        report(step, "b", sequence=2, operationId="nonsense"),
        report(step, "", sequence=3),
        report(step, "d", sequence=4, scrap="1"),
        report(step, "e", sequence=5),
    )
    assert outcomes(answer) == [
        ("REJECTED", ["NOT_FOUND"]), ("REJECTED", ["BAD_USER_INPUT"]), ("REJECTED", ["BAD_USER_INPUT"]),
        ("REJECTED", ["VALIDATION_FAILED"]), ("APPLIED", []),
    ]  # fmt: skip
    assert all(one["current"] is None for one in answer["items"])
    assert (await shop.get(order)).quantity_good == 1


async def test_an_item_needs_the_permission_of_its_mutation(shop: Shop, house: House) -> None:
    _, step = await step_of(shop)
    log = (await shop.report(step, good=1)).log
    reverse = item("productionLogReverse", 2, id=encode("ProductionLog", log.id), reason="No", idempotencyKey="r")
    operator = outcomes(await apply(house, shop.tenant.actor("operator"), report(step, "a"), reverse))
    assert operator == [("APPLIED", []), ("REJECTED", ["FORBIDDEN"])]
    viewer = outcomes(await apply(house, shop.tenant.actor("viewer"), report(step, "a"), reverse))
    assert viewer == [("REJECTED", ["FORBIDDEN"])] * 2


async def test_a_permission_held_in_another_plant_is_none_here(shop: Shop, house: House) -> None:
    order, step = await step_of(shop)
    elsewhere = shop.tenant.actor(plants=[shop.tenant.plants[1]])
    assert outcomes(await apply(house, elsewhere, report(step, "k"))) == [("REJECTED", ["NOT_FOUND"])]
    reads_here = replace(elsewhere, readable=None)
    assert outcomes(await apply(house, reads_here, report(step, "k"))) == [("REJECTED", ["FORBIDDEN"])]
    assert (await shop.get(order)).quantity_good == 0


async def test_the_device_time_of_an_item_stands_in_for_the_moment_of_the_replay(shop: Shop, house: House) -> None:
    _, step = await step_of(shop)
    early, late = ago(hours=5), ago(days=8)
    items = [report(step, "a", sequence=1), report(step, "b", sequence=2), report(step, "c", sequence=3)]
    items[0]["recordedAt"], items[1]["recordedAt"] = show_instant(early), show_instant(late)
    items[2]["recordedAt"] = show_instant(now() + timedelta(hours=1))
    answer = await apply(house, shop.actor, *items)
    assert outcomes(answer) == [
        ("APPLIED", []),
        ("REJECTED", ["TIME_OUT_OF_RANGE"]),
        ("REJECTED", ["TIME_OUT_OF_RANGE"]),
    ]
    assert answer["items"][0]["result"]["productionLog"]["occurredAt"] == show_instant(early)


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


async def test_items_whose_turn_did_not_come_in_time_are_to_be_sent_again(shop: Shop, house: House) -> None:
    order, step = await step_of(shop)
    context = Context(shop.actor, house.database, NoHub(), NoTokens())  # type: ignore[arg-type]
    context.deadline = monotonic() - 1
    result = await house.schema.execute(APPLY, variable_values=batch(report(step, "k")), context_value=context)
    await context.close()
    assert result.data is not None
    (one,) = result.data["offlineBatchApply"]["items"]
    assert one["status"] == "REJECTED"
    assert [(e["code"], e["retryable"]) for e in one["errors"]] == [("OPERATION_TIMEOUT", True)]
    assert await shop.log_count(order) == 0


async def test_a_bug_in_one_item_leaves_the_others(shop: Shop, house: House, admin: asyncpg.Connection) -> None:
    """The database refuses what no rule foresaw: a constraint stands in for the bug."""
    _, step = await step_of(shop)
    await admin.execute(
        "alter table tsdata.production_logs add constraint unforeseen check (notes <> 'boom') not valid"
    )
    try:
        items = [report(step, "a", sequence=1, notes="boom"), report(step, "b", sequence=2)]
        answer = await apply(house, shop.actor, *items)
    finally:
        await admin.execute("alter table tsdata.production_logs drop constraint unforeseen")
    assert outcomes(answer) == [("REJECTED", ["INTERNAL_SERVER_ERROR"]), ("APPLIED", [])]
    assert "unforeseen" not in answer["items"][0]["errors"][0]["message"]
    assert str(shop.actor.request_id).partition("-")[0] in answer["items"][0]["errors"][0]["message"]


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


@pytest.mark.parametrize(
    ("posts_fact", "offline"), [(False, Offline(about="code")), (True, Offline(about="no_such_field")), (True, Offline("code", at="when"))]
)  # fmt: skip
def test_a_replayed_mutation_posts_a_fact_and_names_fields_of_its_input(posts_fact: bool, offline: Offline) -> None:
    async def made(tx: Any, input: widgets.WidgetMakeInput) -> None: ...

    with pytest.raises(TypeError, match="replayed"):
        mutation("widget.make", widgets.WidgetPayload, description="x", posts_fact=posts_fact, offline=offline)(made)
