"""Work orders against a real database: planning, decisions, and what each state leaves open."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import pytest

from db.refusal import (
    AlreadyExists,
    Archived,
    InvalidTransition,
    NotFound,
    NotPermitted,
    ValidationFailed,
    VersionConflict,
)
from modules.production.operations.rules import OperationStatus
from modules.production.orders import service
from modules.production.orders.rules import AlreadyReported, Incomplete, NotEditable
from modules.production.orders.rules import WorkOrderStatus as S
from modules.production.routings.rules import RoutingNotActive, Step
from tests.modules.production.shop import D, Shop, machine, now
from tests.modules.production.test_routings_service import routing
from tests.support import Tenant


async def test_numbers_follow_each_other(shop: Shop) -> None:
    first, second = [await shop.get(await shop.order(released=False)) for _ in range(2)]
    year = datetime.now(UTC).year
    assert (first.number, second.number) == (f"WO-{year}-000001", f"WO-{year}-000002")


async def test_the_operations_are_a_copy_frozen_at_release(shop: Shop) -> None:
    master = await routing(shop, [Step(10, "Saw"), Step(20, "Mill")], active=True)
    order = await shop.order(routing_id=master.id, released=False, steps=0)
    assert await shop.operations(order) == []  # its own, empty list was given
    async with shop.tx("production.plan") as tx:
        made = await service.create(
            tx, plant_id=shop.plant, routing_id=master.id, quantity_ordered=D(5), unit="pcs", priority="medium",
            over_completion_tolerance=None, now=now(),
        )  # fmt: skip
    copied = await shop.operations(made.id)
    assert [(step.sequence, step.name, step.quantity_available) for step in copied] == [(10, "Saw", 5), (20, "Mill", 0)]
    await shop.do(made.id, "update", changes={}, steps=[Step(10, "Saw by hand")])
    await shop.do(made.id, "release")
    with pytest.raises(NotEditable):
        await shop.do(made.id, "update", changes={}, steps=[Step(10, "Laser")])
    assert [step.name for step in await shop.operations(made.id)] == ["Saw by hand"]


async def test_only_an_active_routing_of_the_plant_is_copied(shop: Shop, tenant: Tenant) -> None:
    draft = await routing(shop, [Step(10, "Saw")])
    away = await routing(shop, [Step(10, "Saw")], active=True, plant=tenant.plants[1])
    for id, refusal in ((draft.id, RoutingNotActive), (away.id, ValidationFailed), (2**62, NotFound)):
        with pytest.raises(refusal):
            async with shop.tx("production.plan") as tx:
                await service.create(
                    tx, plant_id=shop.plant, routing_id=id, quantity_ordered=D(5), unit="pcs", priority="medium",
                    over_completion_tolerance=D(0), now=now(),
                )  # fmt: skip


async def test_an_order_without_operations_is_not_released(shop: Shop) -> None:
    order = await shop.order(0, released=False)
    with pytest.raises(ValidationFailed):
        await shop.do(order, "release")


async def test_the_whole_way_through(shop: Shop) -> None:
    order = await shop.order(ordered=2, released=False)
    assert (await shop.get(order)).status is S.PLANNED
    released = await shop.do(order, "release")
    assert released.status is S.RELEASED
    assert released.released_at is not None
    (step,) = await shop.operations(order)
    await shop.report(step, good=1)
    held = await shop.do(order, "hold", reason="Material blocked")
    assert (held.status, held.status_reason) == (S.ON_HOLD, "Material blocked")
    assert (await shop.do(order, "resume")).status is S.IN_PROGRESS
    with pytest.raises(Incomplete) as refused:
        await shop.do(order, "complete")
    assert refused.value.remaining == 1
    await shop.report(step, good=1)
    reopened = await shop.do(order, "reopen", reason="One more is needed")
    assert (reopened.status, reopened.status_reason) == (S.IN_PROGRESS, "One more is needed")
    assert (await shop.do(order, "complete")).status is S.COMPLETED
    closed = await shop.do(order, "close")
    assert closed.status is S.CLOSED
    for decision in ("release", "hold", "resume", "complete", "short_close", "close", "cancel", "reopen"):
        with pytest.raises(InvalidTransition) as end:
            await shop.do(order, decision)
        assert end.value.allowed == []
    await shop.check(order)


async def test_a_hold_before_work_began_ends_in_released(shop: Shop) -> None:
    order = await shop.order()
    await shop.do(order, "hold")
    assert (await shop.do(order, "resume")).status is S.RELEASED


async def test_cancel_is_for_orders_on_which_nothing_was_made(shop: Shop) -> None:
    order = await shop.order(2)
    first, _ = await shop.operations(order)
    made = await shop.report(first, good=1)
    with pytest.raises(AlreadyReported):
        await shop.do(order, "cancel")
    await shop.reverse(made.log.id)
    with pytest.raises(InvalidTransition) as refused:
        await shop.do(order, "cancel")
    assert refused.value.allowed == ["ON_HOLD", "COMPLETED"]
    await shop.do(order, "hold")
    cancelled = await shop.do(order, "cancel", reason="Customer withdrew")
    assert (cancelled.status, cancelled.status_reason) == (S.CANCELLED, "Customer withdrew")
    assert {step.status for step in await shop.operations(order)} == {OperationStatus.CANCELLED}


async def test_short_close_ends_an_order_below_its_quantity(shop: Shop) -> None:
    order = await shop.order(2, ordered=10)
    first, _ = await shop.operations(order)
    await shop.report(first, good=4)
    closed = await shop.do(order, "short_close", reason="No more material")
    assert (closed.status, closed.short_closed) == (S.COMPLETED, True)
    assert [s.status for s in await shop.operations(order)] == [OperationStatus.COMPLETED, OperationStatus.CANCELLED]
    reopened = await shop.do(order, "reopen")
    assert (reopened.status, reopened.short_closed) == (S.IN_PROGRESS, False)
    await shop.check(order)


async def test_lowering_the_quantity_to_what_is_made_completes_the_order(shop: Shop) -> None:
    order = await shop.order(2, ordered=10, tolerance="0.1")
    first, second = await shop.operations(order)
    await shop.report(first, good=7)
    await shop.report(second, good=5)
    with pytest.raises(ValidationFailed):
        await shop.do(order, "update", changes={"quantity_ordered": D(4)})
    updated = await shop.do(order, "update", changes={"quantity_ordered": D(5)})
    assert updated.status is S.COMPLETED
    await shop.check(order)


async def test_what_may_be_edited_in_which_state(shop: Shop) -> None:
    order = await shop.order(released=False)
    await shop.do(order, "update", changes={"product_code": "A-1", "unit": "kg", "quantity_ordered": D("2.5")})
    (step,) = await shop.operations(order)
    assert (step.unit, step.quantity_planned, step.quantity_available) == ("kg", D("2.5"), D("2.5"))
    await shop.do(order, "release")
    with pytest.raises(NotEditable) as refused:
        await shop.do(order, "update", changes={"product_code": "A-2"})
    assert refused.value.path == ("productCode",)
    await shop.do(order, "update", changes={"priority": "urgent", "quantity_ordered": D(3)})
    await shop.do(order, "cancel")
    with pytest.raises(NotEditable):
        await shop.do(order, "update", changes={"description": "Late words"})


async def test_the_external_key_is_unique_in_its_system(shop: Shop, stranger: Tenant) -> None:
    ref = {"external_system": "SAP", "external_key": "000010004711"}
    await shop.order(**ref)
    with pytest.raises(AlreadyExists) as refused:
        await shop.order(**ref)
    assert refused.value.path == ("externalRef",)
    await shop.order(external_system="SAP-2", external_key="000010004711")
    await Shop(shop.database, stranger).order(**ref)


async def test_a_stale_version_is_refused(shop: Shop) -> None:
    order = await shop.order()
    with pytest.raises(VersionConflict) as refused:
        await shop.do(order, "hold", version=1)
    assert refused.value.current == (await shop.get(order)).version


async def test_reports_do_not_stand_in_the_way_of_a_decision(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    await shop.report(step, good=1)
    version = (await shop.get(order)).version
    await shop.report(step, good=1)
    held = await shop.do(order, "hold", version=version)
    assert (held.status, held.quantity_good) == (S.ON_HOLD, 2)


async def test_the_tolerance_of_the_organization_stands_in(shop: Shop) -> None:
    from modules.platform.settings import service as settings

    async with shop.tx("settings.manage") as tx:
        await settings.put(tx, "production.over_completion_tolerance", D("0.05"), version=0, now=now())
    async with shop.tx("production.plan") as tx:
        order = await service.create(
            tx, plant_id=shop.plant, quantity_ordered=D(5), unit="pcs", priority="medium",
            over_completion_tolerance=None, now=now(),
        )  # fmt: skip
    assert order.over_completion_tolerance == D("0.05")


@pytest.mark.parametrize("name", ["project_id", "assignee_id", "department_id"])
async def test_what_an_order_names_exists(shop: Shop, name: str) -> None:
    with pytest.raises(NotFound):
        await shop.order(**{name: 2**62})
    order = await shop.order(released=False)
    with pytest.raises(NotFound):
        await shop.do(order, "update", changes={name: 2**62})


async def test_departments_and_machines_are_those_of_the_plant(
    shop: Shop, admin: asyncpg.Connection, tenant: Tenant
) -> None:
    with pytest.raises(ValidationFailed):
        await shop.order(department_id=tenant.departments[1])
    away, old = await machine(admin, tenant, "M9", plant=1), await machine(admin, tenant, "M8")
    await admin.execute("update app.machines set archived_at = now() where id = $1", old)
    with pytest.raises(ValidationFailed):
        await shop.order(machine=away)
    with pytest.raises(Archived):
        await shop.order(machine=old)
    order = await shop.order(department_id=tenant.departments[0], released=False)
    await shop.do(order, "update", changes={"department_id": None})
    assert {step.department_id for step in await shop.operations(order)} == {None}


async def test_a_planner_of_one_plant_plans_there_only(shop: Shop, tenant: Tenant) -> None:
    actor = tenant.actor("planner", plants=[tenant.plants[0]])
    order = await shop.order(plant_id=tenant.plants[1], released=False)
    async with shop.database.write(actor, "production.plan") as tx:
        with pytest.raises(NotFound):
            await service.cancel(tx, order, version=1, reason="No", now=now())
        with pytest.raises(NotFound):
            await service.create(
                tx, plant_id=tenant.plants[1], quantity_ordered=D(5), unit="pcs", priority="medium",
                over_completion_tolerance=D(0), now=now(),
            )  # fmt: skip


async def test_whoever_reads_a_plant_but_holds_the_right_elsewhere_is_not_permitted(shop: Shop, tenant: Tenant) -> None:
    from dataclasses import replace

    from db.actor import EVERYWHERE, Scope

    here = Scope.of_plants([tenant.plants[0]])
    actor = replace(tenant.actor("planner"), permissions={"production.read": EVERYWHERE, "production.plan": here})
    order = await shop.order(plant_id=tenant.plants[1], released=False)
    async with shop.database.write(actor, "production.plan") as tx:
        with pytest.raises(NotPermitted):
            await service.cancel(tx, order, version=1, reason="No", now=now())
        with pytest.raises(NotPermitted):
            await service.create(
                tx, plant_id=tenant.plants[1], quantity_ordered=D(5), unit="pcs", priority="medium",
                over_completion_tolerance=D(0), now=now(),
            )  # fmt: skip


async def test_counts_by_state(shop: Shop) -> None:
    await shop.order()
    await shop.order(released=False)
    await shop.order(released=False)
    async with shop.database.read(shop.actor) as tx:
        found = await service.counts(tx, shop.plant)
        assert found == {**dict.fromkeys(S, 0), S.PLANNED: 2, S.RELEASED: 1}
        assert sum((await service.counts(tx, shop.tenant.plants[1])).values()) == 0
