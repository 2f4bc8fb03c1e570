"""Rules of status, reasons and meters: every pair of the tables, and properties over any sequence of facts."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.refusal import InvalidTransition, Refused, TimeOutOfRange, ValidationFailed
from modules.equipment.reasons.rules import LOSSES, ReasonCategory, applicable
from modules.equipment.status.rules import (
    AT_WORK,
    LATE_TOLERANCE,
    MAX_SKEW,
    NEXT,
    REASON_NEEDED,
    Condition,
    MachineStatus,
    ReasonNeed,
    check_archivable,
    check_fits,
    check_follows,
    check_moment,
    check_reason,
    check_recordable,
    ratio,
    seconds,
    window_problem,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
S = MachineStatus


# --- transitions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_what_follows_is_in_the_table(before: S, after: S) -> None:
    if after in NEXT[before]:
        check_follows(Condition(before, 1), Condition(after, 2))
    else:
        with pytest.raises(InvalidTransition) as refused:
            check_follows(Condition(before, 1), Condition(after, 2))
        assert (refused.value.from_, refused.value.to) == (before.name, after.name)
        assert set(refused.value.allowed) == {s.name for s in NEXT[before]} - {before.name}


@pytest.mark.parametrize("status", S)
def test_nothing_is_recorded_twice(status: S) -> None:
    with pytest.raises(InvalidTransition):
        check_follows(Condition(status, 7), Condition(status, 7))


def test_every_status_has_its_row_in_every_table() -> None:
    assert set(NEXT) == set(REASON_NEEDED) == set(S)
    assert set(LOSSES) == set(ReasonCategory)


def test_decommissioned_is_the_end_and_not_reached_with_work_on_the_machine() -> None:
    assert NEXT[S.DECOMMISSIONED] == frozenset()
    assert not any(S.DECOMMISSIONED in NEXT[status] for status in AT_WORK)
    with pytest.raises(ValidationFailed):
        check_recordable(S.DECOMMISSIONED)


def test_a_machine_under_maintenance_is_handed_back_before_it_runs() -> None:
    assert S.RUNNING not in NEXT[S.MAINTENANCE]
    assert S.RUNNING in NEXT[S.AVAILABLE] & NEXT[S.SETUP]


def test_a_late_fact_fits_on_both_sides() -> None:
    down, available = Condition(S.DOWN, 1), Condition(S.AVAILABLE)
    check_fits(down, Condition(S.MAINTENANCE), available)
    with pytest.raises(InvalidTransition) as refused:
        check_fits(down, Condition(S.MAINTENANCE), Condition(S.RUNNING))
    assert (refused.value.from_, refused.value.to) == ("MAINTENANCE", "RUNNING")


@pytest.mark.parametrize("status", S)
def test_archiving_asks_for_a_machine_without_work(status: S) -> None:
    if status in AT_WORK:
        with pytest.raises(InvalidTransition):
            check_archivable(status)
    else:
        check_archivable(status)


# --- reasons --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", S)
def test_reasons_are_asked_for_by_the_table(status: S) -> None:
    if REASON_NEEDED[status] is ReasonNeed.REQUIRED:
        with pytest.raises(ValidationFailed):
            check_reason(status, None)
    else:
        check_reason(status, None)
    others = [other for other in S if other is not status]
    with pytest.raises(ValidationFailed):
        check_reason(status, others)


def test_a_reason_explains_statuses_that_take_one() -> None:
    assert applicable([S.IDLE, S.DOWN, S.IDLE]) == [S.IDLE, S.DOWN]
    for wrong in ([], [S.RUNNING], [S.DOWN, S.RUNNING]):
        with pytest.raises(ValidationFailed):
            applicable(wrong)


# --- moments --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "accepted"),
    [
        (NOON, True),
        (NOON + MAX_SKEW, True),
        (NOON + MAX_SKEW + timedelta(microseconds=1), False),
        (NOON - timedelta(days=3), True),
        (NOON - LATE_TOLERANCE, True),
        (NOON - LATE_TOLERANCE - timedelta(microseconds=1), False),
        (NOON - timedelta(days=60), False),
    ],
)
def test_moments_of_a_machine_whose_open_period_is_young(moment: datetime, accepted: bool) -> None:
    known, open_since = NOON - timedelta(days=50), NOON - timedelta(hours=1)
    if accepted:
        check_moment(moment, now=NOON, first=known, open_since=open_since)
    else:
        with pytest.raises(TimeOutOfRange) as refused:
            check_moment(moment, now=NOON, first=known, open_since=open_since)
        assert (refused.value.earliest, refused.value.latest) == (NOON - LATE_TOLERANCE, NOON + MAX_SKEW)


def test_an_old_fact_is_no_late_fact_where_nothing_was_recorded_since() -> None:
    check_moment(
        NOON - timedelta(days=30), now=NOON, first=NOON - timedelta(days=50), open_since=NOON - timedelta(days=40)
    )


def test_time_before_the_machine_was_known() -> None:
    with pytest.raises(TimeOutOfRange):
        check_moment(NOON - timedelta(hours=2), now=NOON, first=NOON - timedelta(hours=1), open_since=NOON)


# --- the partition --------------------------------------------------------------------------------------------------------

Fact = tuple[int, Condition]
facts = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.builds(
            Condition, st.sampled_from([s for s in S if s is not S.DECOMMISSIONED]), st.sampled_from([None, 1, 2])
        ),
    ),
    max_size=25,
)


def placed(history: list[Fact], at: int, fact: Condition) -> None:
    """Divide the period that holds the moment: the service's steps, on a list."""
    index = bisect_right(history, at, key=lambda period: period[0])
    if history[index - 1][0] == at:
        raise ValidationFailed("taken", constraint="moment")
    after = history[index][1] if index < len(history) else None
    check_fits(history[index - 1][1], fact, after)
    history.insert(index, (at, fact))


@given(facts)
def test_what_was_accepted_in_any_order_is_what_it_is_in_order(arrived: list[Fact]) -> None:
    begin = (0, Condition(S.AVAILABLE))
    history, accepted = [begin], []
    for at, fact in arrived:
        try:
            placed(history, at, fact)
        except Refused:
            continue
        accepted.append((at, fact))
    in_order = [begin]
    for at, fact in sorted(accepted, key=lambda one: one[0]):
        placed(in_order, at, fact)
    assert in_order == history
    assert all(a[0] < b[0] and b[1].status in NEXT[a[1].status] for a, b in pairwise(history))


# --- what time adds up to -------------------------------------------------------------------------------------------------


def test_seconds_are_exact() -> None:
    assert seconds(NOON, NOON + timedelta(seconds=45)) == 45
    assert seconds(NOON, NOON + timedelta(days=90, microseconds=1)) == Decimal("7776000.000001")
    assert seconds(NOON, None) is None


def test_ratio_of_nothing_is_none() -> None:
    assert ratio(Decimal(0), Decimal(0)) is None
    assert ratio(Decimal(1), Decimal(3)) == Decimal("0.333333")


def test_windows() -> None:
    assert window_problem(NOON, NOON) is not None
    assert window_problem(NOON, NOON - timedelta(seconds=1)) is not None
    assert window_problem(NOON, NOON + timedelta(days=401)) is not None
    assert window_problem(NOON, NOON + timedelta(days=400)) is None
