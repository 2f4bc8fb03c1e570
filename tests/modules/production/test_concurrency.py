"""Many at once: the tolerance is never overshot, the first start wins, a reversal happens once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from db.refusal import Refused
from modules.production.logs.rules import LogKind as K
from modules.production.orders.rules import WorkOrderStatus as S
from tests.modules.production.shop import Shop


async def together(*work: Awaitable[Any]) -> tuple[list[Any], list[Refused]]:
    """What came out, and what was refused; anything else fails the test."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException) and not isinstance(one, Refused):
            raise one
    return [d for d in done if not isinstance(d, Refused)], [d for d in done if isinstance(d, Refused)]


async def test_five_reports_at_once_never_overshoot_the_tolerance(shop: Shop) -> None:
    order = await shop.order(ordered=100, tolerance="0.3")
    (step,) = await shop.operations(order)
    done, refused = await together(*(shop.report(step, good=33) for _ in range(5)))
    assert len(done) == 3 or (await shop.get(order)).status is S.COMPLETED
    assert {r.code for r in refused} <= {"OVER_COMPLETION", "INVALID_TRANSITION"}
    assert (await shop.get(order)).quantity_good == 33 * len(done) <= 130
    await shop.check(order)


async def test_reports_at_two_operations_at_once_keep_the_flow(shop: Shop) -> None:
    order = await shop.order(2, ordered=50)
    first, second = await shop.operations(order)
    await shop.report(first, good=10)
    work = [shop.report(step, good=4) for _ in range(6) for step in (first, second)]
    done, refused = await together(*work)
    assert len(done) + len(refused) == 12
    assert {r.code for r in refused} <= {"INSUFFICIENT_WIP"}
    await shop.check(order)


async def test_a_log_row_is_reversed_once_by_eight_at_once(shop: Shop) -> None:
    order = await shop.order(ordered=10)
    (step,) = await shop.operations(order)
    made = await shop.report(step, good=5)
    done, refused = await together(*(shop.reverse(made.log.id) for _ in range(8)))
    assert len(done) == 1
    assert {r.code for r in refused} == {"ALREADY_REVERSED"}
    assert (await shop.get(order)).quantity_good == 0
    await shop.check(order)


async def test_one_of_two_starts_of_a_person_counts(shop: Shop) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    done, refused = await together(*(shop.report(step, K.START) for _ in range(4)))
    assert len(done) == 1
    assert {r.code for r in refused} == {"OUT_OF_SEQUENCE"}
    await shop.check(order)


async def test_a_hold_and_reports_at_once_agree(shop: Shop) -> None:
    order = await shop.order(ordered=100)
    (step,) = await shop.operations(order)
    await shop.report(step, good=1)
    version = (await shop.get(order)).version
    _, refused = await together(*(shop.report(step, good=1) for _ in range(4)), shop.do(order, "hold", version=version))
    assert {r.code for r in refused} <= {"INVALID_TRANSITION", "VERSION_CONFLICT"}
    await shop.check(order)


async def test_orders_planned_at_once_have_numbers_without_gap(shop: Shop) -> None:
    orders = await asyncio.gather(*(shop.order(released=False) for _ in range(6)))
    numbers = sorted([(await shop.get(order)).number for order in orders])
    assert [int(n.rsplit("-", 1)[1]) for n in numbers] == [1, 2, 3, 4, 5, 6]
