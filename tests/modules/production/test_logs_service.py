"""Reporting against a real database: the oracles, corrections, and what follows from a report."""

from __future__ import annotations

import asyncpg
import pytest

from db.refusal import Archived, InvalidTransition, NotFound, ValidationFailed
from modules.production.logs.rules import AlreadyReversed
from modules.production.logs.rules import LogKind as K
from modules.production.operations.rules import InsufficientWip, OperationStatus, OverCompletion, ReversalBlocked
from modules.production.orders.rules import WorkOrderStatus as S
from tests.modules.production.shop import D, Shop, ago, machine, now
from tests.support import Tenant


async def test_the_tolerance_oracle(shop: Shop) -> None:
    order = await shop.order(ordered=100, tolerance="0.3")
    (step,) = await shop.operations(order)
    await shop.report(step, good=80)
    with pytest.raises(OverCompletion) as refused:
        await shop.report(step, good=51)
    assert refused.value.max_remaining == 50
    recorded = await shop.report(step, good=30)
    assert recorded.order.quantity_good == 110
    assert recorded.order.status is S.COMPLETED
    await shop.check(order)


async def test_the_resume_oracle(shop: Shop) -> None:
    order = await shop.order(ordered=10)
    (step,) = await shop.operations(order)
    await shop.report(step, good=8)
    await shop.do(order, "hold")
    with pytest.raises(InvalidTransition):
        await shop.report(step, good=1)
    resumed = await shop.do(order, "resume")
    assert resumed.status is S.IN_PROGRESS
    with pytest.raises(OverCompletion) as refused:
        await shop.report(step, good=10)
    assert refused.value.max_remaining == 2
    await shop.check(order)


async def test_the_pipeline_oracle(shop: Shop) -> None:
    order = await shop.order(2, ordered=100)
    first, second = await shop.operations(order)
    await shop.report(first, good=5)
    with pytest.raises(InsufficientWip) as refused:
        await shop.report(second, good=6)
    assert refused.value.available == 5
    await shop.report(second, good=3, scrap=2)
    assert [s.quantity_available for s in await shop.operations(order)] == [97, 0]
    await shop.check(order)


async def test_the_first_report_starts_the_order_and_the_last_good_piece_completes_it(shop: Shop) -> None:
    order = await shop.order(2, ordered=3)
    first, second = await shop.operations(order)
    begun = ago(hours=2)
    recorded = await shop.report(first, good=2, at=begun)
    assert (recorded.order.status, recorded.order.actual_start_at) == (S.IN_PROGRESS, begun)
    assert [s.status for s in await shop.operations(order)] == [OperationStatus.IN_PROGRESS, OperationStatus.PENDING]
    await shop.report(first, good=1, scrap=1)
    assert [s.status for s in await shop.operations(order)] == [OperationStatus.COMPLETED, OperationStatus.PENDING]
    ended = now()
    recorded = await shop.report(second, good=3, at=ended)
    assert (recorded.order.status, recorded.order.actual_end_at) == (S.COMPLETED, ended)
    assert recorded.order.quantity_scrapped == 1
    await shop.check(order)


async def test_scrap_needs_a_reason_that_is_in_use(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    with pytest.raises(ValidationFailed):
        await shop.report(step, scrap=1, scrap_reason_id=None)
    with pytest.raises(NotFound):
        await shop.report(step, scrap=1, scrap_reason_id=2**62)
    reason = await shop.scrap_reason()
    async with shop.tx("production.scrap_reason.manage") as tx:
        from modules.production.scrap import service

        await service.archive(tx, reason, version=1, now=now())
    with pytest.raises(Archived):
        await shop.report(step, scrap=1, scrap_reason_id=reason)
    assert await shop.log_count(order) == 0


async def test_rework_flows_back_and_does_not_count_as_first_pass(shop: Shop) -> None:
    order = await shop.order(2, ordered=200)
    first, second = await shop.operations(order)
    await shop.report(first, good=200)
    await shop.report(second, good=184, scrap=6, rework=10, back_to=second)
    await shop.report(second, good=10, reworked=True)
    _, second = await shop.operations(order)
    from modules.production.operations.rules import first_pass_yield

    assert first_pass_yield(
        second.quantity_good,
        second.quantity_scrapped,
        second.quantity_rework,
        second.quantity_reworked,
        second.quantity_reworked_good,
    ) == D("0.92")
    assert second.rework_loops == 1
    await shop.check(order)
    with pytest.raises(InsufficientWip):
        await shop.report(second, good=1, reworked=True)


async def test_rework_names_an_operation_of_the_order_at_or_before_its_own(shop: Shop) -> None:
    order, other = await shop.order(2), await shop.order(1)
    first, second = await shop.operations(order)
    (foreign,) = await shop.operations(other)
    await shop.report(first, good=5)
    with pytest.raises(ValidationFailed):
        await shop.report(first, rework=1, back_to=second)
    with pytest.raises(ValidationFailed):
        await shop.report(second, rework=1, back_to=foreign)


async def test_a_reversal_is_full_once_and_linked(shop: Shop) -> None:
    order = await shop.order(2, ordered=10)
    first, second = await shop.operations(order)
    made = await shop.report(first, good=6, scrap=1)
    await shop.report(second, good=4)
    with pytest.raises(ReversalBlocked) as refused:
        await shop.reverse(made.log.id)
    assert (refused.value.sequence, refused.value.missing) == (20, 4)
    more = await shop.report(first, good=4)
    undone = await shop.reverse(made.log.id)
    assert (undone.log.kind, undone.log.reverses_id) == (K.REVERSAL, made.log.id)
    assert (undone.log.quantity_good, undone.log.quantity_scrapped) == (-6, -1)
    for log in (made.log.id, undone.log.id):
        with pytest.raises(AlreadyReversed):
            await shop.reverse(log)
    with pytest.raises(ReversalBlocked):
        await shop.reverse(more.log.id)
    await shop.check(order)


async def test_reversing_the_last_piece_takes_the_order_up_again(shop: Shop) -> None:
    order = await shop.order(ordered=5)
    (step,) = await shop.operations(order)
    await shop.report(step, good=4)
    last = await shop.report(step, good=1)
    assert last.order.status is S.COMPLETED
    undone = await shop.reverse(last.log.id)
    assert (undone.order.status, undone.order.status_reason) == (S.IN_PROGRESS, "Miscounted")
    assert undone.order.actual_end_at is None
    await shop.report(step, good=1)
    await shop.do(order, "close")
    with pytest.raises(InvalidTransition):
        await shop.reverse(undone.log.id - 1)
    await shop.check(order)


async def test_a_short_closed_order_stays_so_when_a_report_is_reversed(shop: Shop) -> None:
    order = await shop.order(ordered=5)
    (step,) = await shop.operations(order)
    made = await shop.report(step, good=2)
    await shop.do(order, "short_close")
    undone = await shop.reverse(made.log.id)
    assert (undone.order.status, undone.order.short_closed) == (S.COMPLETED, True)
    await shop.check(order)


async def test_the_machine_stands_in_the_plant(shop: Shop, admin: asyncpg.Connection, tenant: Tenant) -> None:
    away = await machine(admin, tenant, "M9", plant=1)
    order = await shop.order()
    (step,) = await shop.operations(order)
    with pytest.raises(ValidationFailed):
        await shop.report(step, good=1, machine_id=away)
    with pytest.raises(NotFound):
        await shop.report(step, good=1, machine_id=2**62)


async def test_another_tenant_finds_nothing(shop: Shop, stranger: Tenant) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    made = await shop.report(step, good=1)
    thief = Shop(shop.database, stranger)
    with pytest.raises(NotFound):
        await thief.report(step, good=1)
    with pytest.raises(NotFound):
        await thief.reverse(made.log.id)
    await shop.check(order)


async def test_the_log_cannot_be_changed_or_removed(shop: Shop) -> None:
    from sqlalchemy import text

    order = await shop.order()
    (step,) = await shop.operations(order)
    await shop.report(step, good=1)
    for statement in (
        "update app.production_logs set quantity_good = 2",
        "delete from app.production_logs",
        "select 1 from tsdata.production_logs",
    ):
        with pytest.raises(asyncpg.PostgresError, match="permission denied"):
            async with shop.tx("production.report") as tx:
                await tx.execute(text(statement))
