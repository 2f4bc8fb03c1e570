"""Items of offline batches: each as its mutation would have done it, and whatever is wrong with one is said of it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import asyncpg
import pytest

from schema.context import Context
from schema.fields import Offline, mutation
from schema.ids import encode
from schema.scalars import show_instant
from tests.modules.production.shop import Shop, ago, machine, now
from tests.schema import widgets
from tests.schema.offline.batches import APPLY, apply, batch, item, outcomes, report, status, step_of
from tests.support import House, NoHub, NoTokens, Tenant


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


@pytest.mark.parametrize(
    ("posts_fact", "offline"), [(False, Offline(about="code")), (True, Offline(about="no_such_field")), (True, Offline("code", at="when"))]
)  # fmt: skip
def test_a_replayed_mutation_posts_a_fact_and_names_fields_of_its_input(posts_fact: bool, offline: Offline) -> None:
    async def made(tx: Any, input: widgets.WidgetMakeInput) -> None: ...

    with pytest.raises(TypeError, match="replayed"):
        mutation("widget.make", widgets.WidgetPayload, description="x", posts_fact=posts_fact, offline=offline)(made)
