"""Clocks of people and machines against a real database: who worked how long, by whose word, and when."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from db.refusal import InvalidTransition, NotPermitted, Refused, TimeOutOfRange
from modules.production.labor.rules import OutOfSequence
from modules.production.logs.rules import LogKind as K
from modules.production.orders.rules import WorkOrderStatus as S
from tests.modules.production.shop import Shop, ago, machine, now
from tests.support import Tenant


async def test_clocks_of_two_people_and_the_machine_between_them(
    shop: Shop, admin: asyncpg.Connection, tenant: Tenant
) -> None:
    saw = await machine(admin, tenant)
    order = await shop.order(machine=saw)
    (step,) = await shop.operations(order)
    operator, boss = shop.as_("operator"), shop.as_("supervisor")
    start = ago(hours=3)
    await operator.report(step, K.START, at=start)
    with pytest.raises(OutOfSequence) as refused:
        await operator.report(step, K.START, at=start + timedelta(minutes=1))
    assert (refused.value.state, refused.value.allowed) == ("RUNNING", ["PAUSE", "COMPLETE"])
    await boss.report(step, K.START, at=start + timedelta(minutes=30))
    (step,) = await shop.operations(order)
    assert step.people_running == 2
    await operator.report(step, K.PAUSE, good=5, at=start + timedelta(minutes=60))
    await boss.report(step, K.COMPLETE, at=start + timedelta(minutes=90))
    (step,) = await shop.operations(order)
    assert (step.labor_seconds, step.machine_seconds, step.people_running) == (7200, 5400, 0)
    await operator.report(step, K.RESUME, at=start + timedelta(minutes=100))
    await operator.report(step, K.COMPLETE, at=start + timedelta(minutes=110))
    (step,) = await shop.operations(order)
    assert (step.labor_seconds, step.machine_seconds) == (7800, 6000)
    await shop.check(order)


async def test_a_late_event_recomputes_the_times_and_edits_nothing(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    start = ago(hours=5)
    first = await shop.report(step, K.START, at=start)
    await shop.report(step, K.COMPLETE, at=start + timedelta(hours=2))
    await shop.report(step, K.PAUSE, at=start + timedelta(hours=1))
    (step,) = await shop.operations(order)
    assert step.labor_seconds == 3600
    async with shop.database.read(shop.actor) as tx:
        kept = await tx.found(type(first.log), first.log.id)
    assert kept.logged_at == start
    with pytest.raises(OutOfSequence):
        await shop.report(step, K.PAUSE, at=start + timedelta(minutes=90))
    await shop.check(order)


async def test_a_reversed_event_leaves_the_clock(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    started = await shop.report(step, K.START, at=ago(hours=2))
    ended = await shop.report(step, K.COMPLETE, at=ago(hours=1))
    with pytest.raises(OutOfSequence):
        await shop.reverse(started.log.id)
    await shop.reverse(ended.log.id)
    (step,) = await shop.operations(order)
    assert (step.people_running, step.labor_seconds) == (1, 0)
    await shop.reverse(started.log.id)
    (step,) = await shop.operations(order)
    assert step.people_running == 0
    await shop.check(order)


async def test_people_may_clock_off_after_the_order_is_done_but_not_on(shop: Shop) -> None:
    order = await shop.order(ordered=1)
    (step,) = await shop.operations(order)
    await shop.report(step, K.START, at=ago(minutes=10))
    await shop.report(step, good=1)
    with pytest.raises(Refused) as refused:
        await shop.do(order, "close")
    assert refused.value.code == "WORK_STILL_RUNNING"
    await shop.report(step, K.ISSUE, notes="Chuck is worn")
    await shop.report(step, K.COMPLETE)
    with pytest.raises(InvalidTransition):
        await shop.report(step, K.START)
    closed = await shop.do(order, "close")
    assert closed.status is S.CLOSED
    await shop.check(order)


async def test_the_device_time_is_bounded(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    for moment in (now() + timedelta(minutes=6), ago(days=7, minutes=1)):
        with pytest.raises(TimeOutOfRange):
            await shop.report(step, good=1, at=moment)
    recorded = await shop.report(step, good=1, at=now() + timedelta(minutes=4))
    assert recorded.log.logged_at > recorded.log.created_at


async def test_who_may_report_in_whose_name(shop: Shop, tenant: Tenant) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    other = tenant.users["viewer"]
    with pytest.raises(NotPermitted):
        await shop.as_("operator").report(step, K.START, operator_id=other)
    recorded = await shop.as_("supervisor").report(step, K.START, operator_id=other)
    assert (recorded.log.operator_id, recorded.log.recorded_by_id) == (other, tenant.users["supervisor"])
    own = await shop.as_("operator").report(step, good=1)
    assert own.log.operator_id == tenant.users["operator"]
