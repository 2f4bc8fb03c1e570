"""Flow of pieces: the oracles of work orders, yields, and properties over random reports and reversals."""

from __future__ import annotations

from decimal import Decimal as Dec
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.refusal import Refused, ValidationFailed
from modules.production.operations import rules
from modules.production.operations.rules import Amounts, OperationStatus, Totals
from modules.production.orders.rules import WorkOrderStatus, maximum


def made(*good: int) -> list[Totals]:
    return [Totals(good=Dec(n)) for n in good]


def test_tolerance_is_inclusive_and_says_what_is_left() -> None:
    most = maximum(Dec(100), Dec("0.3"))
    rules.check_report(made(80), 0, Amounts(good=Dec(30)), most)
    rules.check_report(made(80), 0, Amounts(good=Dec(50)), most)
    with pytest.raises(rules.OverCompletion) as refused:
        rules.check_report(made(80), 0, Amounts(good=Dec(51)), most)
    assert refused.value.max_remaining == 50


def test_eight_of_ten_then_ten_more_is_refused() -> None:
    with pytest.raises(rules.OverCompletion) as refused:
        rules.check_report(made(8), 0, Amounts(good=Dec(10)), Dec(10))
    assert refused.value.max_remaining == 2


def test_the_second_operation_has_only_what_the_first_passed_on() -> None:
    rules.check_report(made(5, 0), 1, Amounts(good=Dec(5)), Dec(100))
    with pytest.raises(rules.InsufficientWip) as refused:
        rules.check_report(made(5, 0), 1, Amounts(good=Dec(6)), Dec(100))
    assert refused.value.available == 5


def test_scrap_takes_from_the_waiting_pieces_and_may_be_replaced_at_the_first_operation() -> None:
    steps = rules.apply(made(10, 0), 1, Amounts(good=Dec(3), scrap=Dec(2)), None)
    assert rules.waiting(steps, 1) == 5
    assert rules.available(steps, 0, Dec(10)) == 2
    rules.check_report(steps, 0, Amounts(good=Dec(2)), Dec(10))
    with pytest.raises(rules.OverCompletion):
        rules.check_report(steps, 0, Amounts(good=Dec(3)), Dec(10))


def test_scrap_of_the_first_operation_does_not_use_up_the_order() -> None:
    rules.check_report(made(80), 0, Amounts(good=Dec(20), scrap=Dec(7)), Dec(100))
    with pytest.raises(ValidationFailed):
        rules.check_report(made(0), 0, Amounts(scrap=Dec(101)), Dec(100))


def test_rework_comes_back_to_its_operation_and_flows_again() -> None:
    steps = rules.apply(made(10, 10, 0), 2, Amounts(rework=Dec(4)), 1)
    assert [rules.waiting(steps, k) for k in (1, 2)] == [4, 6]
    assert steps[2].rework_loops == 1
    steps = rules.apply(steps, 1, Amounts(good=Dec(4), reworked=True), None)
    assert [rules.waiting(steps, k) for k in (1, 2)] == [0, 10]
    rules.check_report(steps, 2, Amounts(good=Dec(4), reworked=True), Dec(10))
    with pytest.raises(rules.InsufficientWip):
        rules.check_report(steps, 2, Amounts(good=Dec(5), reworked=True), Dec(10))


def test_rework_at_the_same_operation_keeps_the_pieces_waiting() -> None:
    steps = rules.apply(made(10, 0), 1, Amounts(rework=Dec(4)), 1)
    assert rules.waiting(steps, 1) == 10


def test_first_pass_yield_oracle() -> None:
    steps = rules.apply([Totals()], 0, Amounts(good=Dec(184), scrap=Dec(6), rework=Dec(10)), 0)
    assert _fpy(steps[0]) == Dec("0.92")
    steps = rules.apply(steps, 0, Amounts(good=Dec(10), reworked=True), None)
    assert _fpy(steps[0]) == Dec("0.92")
    assert _fpy(Totals()) is None
    assert (Dec("0.95") * Dec("0.98") * Dec("0.97")) == Dec("0.903070")


def _fpy(step: Totals) -> Dec | None:
    return rules.first_pass_yield(step.good, step.scrap, step.rework, step.reworked, step.reworked_good)


def test_a_reversal_never_takes_pieces_that_went_on() -> None:
    steps = rules.apply(made(10, 8), 0, Amounts(good=Dec(3)), None, -1)
    with pytest.raises(rules.ReversalBlocked) as refused:
        rules.check_reversal(steps, [10, 20])
    assert (refused.value.sequence, refused.value.missing) == (20, 1)
    rules.check_reversal(rules.apply(made(10, 8), 0, Amounts(good=Dec(2)), None, -1), [10, 20])


def test_a_rework_whose_pieces_came_back_is_not_reversed() -> None:
    steps = rules.apply(made(10, 0), 1, Amounts(rework=Dec(4)), 0)
    steps = rules.apply(steps, 0, Amounts(good=Dec(4), reworked=True), None)
    with pytest.raises(rules.ReversalBlocked):
        rules.check_reversal(rules.apply(steps, 1, Amounts(rework=Dec(4)), 0, -1), [10, 20])


@pytest.mark.parametrize(
    ("amounts", "target", "reason"),
    [(Amounts(good=Dec(-1)), None, False), (Amounts(scrap=Dec(1)), None, False), (Amounts(good=Dec(1)), None, True),
     (Amounts(rework=Dec(1)), None, False), (Amounts(good=Dec(1)), 0, False), (Amounts(rework=Dec(1)), 2, False)],
)  # fmt: skip
def test_reports_that_cannot_be_understood(amounts: Amounts, target: int | None, reason: bool) -> None:
    with pytest.raises(ValidationFailed):
        rules.check_amounts(amounts, 1, target, reason=reason)


def test_status_follows_from_the_order_and_the_log() -> None:
    for order, started, enough in product(WorkOrderStatus, (False, True), (False, True)):
        status = rules.status(order, started=started, good=Dec(10 if enough else 9), ordered=Dec(10))
        match order:
            case WorkOrderStatus.CANCELLED:
                expected = OperationStatus.CANCELLED
            case WorkOrderStatus.COMPLETED | WorkOrderStatus.CLOSED:
                expected = OperationStatus.COMPLETED if started else OperationStatus.CANCELLED
            case _ if enough:
                expected = OperationStatus.COMPLETED
            case _:
                expected = OperationStatus.IN_PROGRESS if started else OperationStatus.PENDING
        assert status is expected


Step = tuple[int, int, int, int, int, bool, int]
steps_of_work = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 9), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.booleans(),
        st.integers(0, 5),
    ),
    max_size=60,
)  # fmt: skip


@given(operations=st.integers(1, 4), ordered=st.integers(1, 20), tolerance=st.sampled_from(["0", "0.1", "0.3"]),
       work=steps_of_work)  # fmt: skip
def test_reports_and_reversals_in_any_order_keep_the_flow(
    operations: int, ordered: int, tolerance: str, work: list[Step]
) -> None:
    most = maximum(Dec(ordered), Dec(tolerance))
    steps = [Totals()] * operations
    log: list[tuple[int, Amounts, int | None]] = []
    for at, good, scrap, rework, target, reworked, undo in work:
        at %= operations
        amounts = Amounts(Dec(good), Dec(scrap), Dec(rework), reworked)
        goal = target % (at + 1) if rework else None
        try:
            if undo == 0 and log:
                entry = log[good % len(log)]
                after = rules.apply(steps, *entry, sign=-1)
                rules.check_reversal(after, list(range(operations)))
                log.remove(entry)
            else:
                rules.check_report(steps, at, amounts, most)
                after = rules.apply(steps, at, amounts, goal)
                log.append((at, amounts, goal))
        except Refused:
            continue
        steps = after
        again = [Totals()] * operations
        for entry in log:
            again = rules.apply(again, *entry)
        assert steps == again
        assert all(rules.waiting(steps, k) >= 0 for k in range(1, operations))
        assert steps[-1].good <= most
        assert sum(s.rework for s in steps) == sum(s.rework_in for s in steps)
        assert all((y := _fpy(s)) is None or 0 <= y <= 1 for s in steps)
