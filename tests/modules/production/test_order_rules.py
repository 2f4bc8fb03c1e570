"""Work order rules: every pair of states, what may be edited, and how much may be made."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as Dec
from itertools import product

import pytest

from db.refusal import InvalidTransition, ValidationFailed
from modules.production.orders import rules
from modules.production.orders.rules import Step
from modules.production.orders.rules import WorkOrderStatus as S

ALLOWED = {
    (S.PLANNED, S.RELEASED), (S.PLANNED, S.CANCELLED),
    (S.RELEASED, S.IN_PROGRESS), (S.RELEASED, S.ON_HOLD), (S.RELEASED, S.CANCELLED),
    (S.IN_PROGRESS, S.ON_HOLD), (S.IN_PROGRESS, S.COMPLETED),
    (S.ON_HOLD, S.RELEASED), (S.ON_HOLD, S.IN_PROGRESS), (S.ON_HOLD, S.CANCELLED),
    (S.COMPLETED, S.CLOSED), (S.COMPLETED, S.IN_PROGRESS),
}  # fmt: skip


@pytest.mark.parametrize(("step", "current"), list(product(Step, S)))
def test_every_step_from_every_state(step: Step, current: S) -> None:
    sources, target = rules.STEPS[step]
    if current in sources:
        assert rules.take(step, current) is target
        assert (current, target) in ALLOWED
    else:
        with pytest.raises(InvalidTransition) as refused:
            rules.take(step, current)
        assert (refused.value.from_, refused.value.to) == (current.name, target.name)
        assert set(refused.value.allowed) == {b.name for a, b in ALLOWED if a is current}


def test_the_moves_are_those_of_the_table_and_each_is_one_step() -> None:
    assert {(a, b) for a, targets in rules.NEXT.items() for b in targets} == ALLOWED
    taken = [(source, target) for sources, target in rules.STEPS.values() for source in sources]
    assert sorted(taken) == sorted(ALLOWED)


def test_closed_and_cancelled_are_the_end() -> None:
    assert rules.NEXT[S.CLOSED] == rules.NEXT[S.CANCELLED] == frozenset()


@pytest.mark.parametrize("current", [S.RELEASED, S.ON_HOLD, S.IN_PROGRESS])
def test_an_order_with_reported_pieces_is_not_cancelled(current: S) -> None:
    with pytest.raises(rules.AlreadyReported) as refused:
        rules.cancel(current, reported=True, good=Dec(3))
    assert refused.value.good == 3


def test_cancel_follows_the_table_when_nothing_was_reported() -> None:
    for current in (S.PLANNED, S.RELEASED, S.ON_HOLD):
        assert rules.cancel(current, reported=False, good=Dec(0)) is S.CANCELLED
    for current in (S.IN_PROGRESS, S.COMPLETED, S.CLOSED, S.CANCELLED):
        with pytest.raises(InvalidTransition):
            rules.cancel(current, reported=False, good=Dec(0))


def test_a_hold_ends_where_it_began() -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    assert rules.resume(S.ON_HOLD, None) is S.RELEASED
    assert rules.resume(S.ON_HOLD, started) is S.IN_PROGRESS
    for current in set(S) - {S.ON_HOLD}:
        with pytest.raises(InvalidTransition):
            rules.resume(current, started)


def test_the_routing_is_frozen_at_release() -> None:
    rules.check_editable(S.PLANNED, ["routing_id", "operations"], {})
    for status in set(S) - {S.PLANNED}:
        with pytest.raises(rules.NotEditable):
            rules.check_editable(status, ["operations"], {})
    assert rules.EDITABLE[S.CLOSED] == rules.EDITABLE[S.CANCELLED] == frozenset()


def test_a_refused_edit_names_the_input_field() -> None:
    with pytest.raises(rules.NotEditable) as refused:
        rules.check_editable(S.RELEASED, ["priority", "product_code"], {"product_code": "productCode"})
    assert refused.value.path == ("productCode",)


@pytest.mark.parametrize(
    ("ordered", "tolerance", "good", "expected"),
    [("100", "0.3", "80", "50"), ("100", "0.3", "130", "0"), ("10", "0", "8", "2"), ("3", "0.1", "0", "3.3"),
     ("0.000001", "0.5", "0", "0.000001")],
)  # fmt: skip
def test_max_remaining(ordered: str, tolerance: str, good: str, expected: str) -> None:
    assert rules.max_remaining(Dec(ordered), Dec(tolerance), Dec(good)) == Dec(expected)


def test_figures_of_an_order() -> None:
    assert rules.remaining(Dec(10), Dec(8)) == 2
    assert rules.remaining(Dec(10), Dec(12)) == 0
    assert rules.is_complete(Dec(10), Dec(10))
    assert not rules.is_complete(Dec(10), Dec("9.999999"))
    assert rules.progress(Dec(3), Dec(1)) == Dec("0.333333")
    assert rules.progress(Dec(100), Dec(110)) == Dec("1.1")
    assert rules.final_yield(Dec(194), Dec(6)) == Dec("0.97")
    assert rules.final_yield(Dec(0), Dec(0)) is None


@pytest.mark.parametrize(
    ("ordered", "tolerance"), [("0", "0"), ("-1", "0"), ("1", "-0.1"), ("1", "1.01"), ("1", "0.0000001")]
)
def test_impossible_orders_are_refused(ordered: str, tolerance: str) -> None:
    with pytest.raises(ValidationFailed):
        rules.check_ordered(Dec(ordered), Dec(tolerance), Dec(0))


def test_an_order_is_not_lowered_below_what_is_made() -> None:
    rules.check_ordered(Dec(100), Dec("0.3"), Dec(130))
    with pytest.raises(ValidationFailed):
        rules.check_ordered(Dec(100), Dec("0.3"), Dec("130.000001"))


def test_a_plan_ends_after_it_starts() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    rules.check_plan(early, late)
    rules.check_plan(late, None)
    with pytest.raises(ValidationFailed):
        rules.check_plan(late, early)
