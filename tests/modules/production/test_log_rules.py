"""What may be logged in which state, what each kind must say, and the device's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as Dec
from itertools import product

import pytest

from db.refusal import InvalidTransition, TimeOutOfRange, ValidationFailed
from modules.production.logs import rules
from modules.production.logs.rules import LogKind as K
from modules.production.operations.rules import Amounts
from modules.production.orders.rules import WorkOrderStatus as S

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOME = Amounts(good=Dec(1))


@pytest.mark.parametrize(
    ("status", "kind", "amounts"), list(product(S, [kind for kind in K if kind is not K.REVERSAL], (Amounts(), SOME)))
)
def test_every_kind_in_every_state(status: S, kind: K, amounts: Amounts) -> None:
    at_work = status in (S.RELEASED, S.IN_PROGRESS)
    clocks_off = kind in (K.PAUSE, K.COMPLETE, K.ISSUE) and not amounts.processed
    if at_work or (clocks_off and status in (S.ON_HOLD, S.COMPLETED)):
        rules.check_state(status, kind, amounts)
    else:
        with pytest.raises(InvalidTransition):
            rules.check_state(status, kind, amounts)


@pytest.mark.parametrize("status", list(S))
def test_reversals_by_state(status: S) -> None:
    if status in (S.IN_PROGRESS, S.ON_HOLD, S.COMPLETED):
        rules.check_reversible(status)
    else:
        with pytest.raises(InvalidTransition):
            rules.check_reversible(status)


@pytest.mark.parametrize("kind", [K.REPORT, K.PAUSE, K.COMPLETE])
def test_kinds_that_carry_quantities(kind: K) -> None:
    rules.check_kind(kind, SOME, operator=True, notes=False)


@pytest.mark.parametrize(
    ("kind", "amounts", "operator", "notes", "path"),
    [
        (K.REVERSAL, Amounts(), True, True, "kind"),
        (K.START, SOME, True, False, "kind"),
        (K.RESUME, SOME, True, False, "kind"),
        (K.ISSUE, SOME, True, True, "kind"),
        (K.REPORT, Amounts(), True, False, "good"),
        (K.PAUSE, Amounts(reworked=True), True, False, "reworked"),
        (K.START, Amounts(), False, False, "operatorId"),
        (K.ISSUE, Amounts(), True, False, "notes"),
    ],
)
def test_kinds_that_say_too_much_or_too_little(
    kind: K, amounts: Amounts, operator: bool, notes: bool, path: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rules.check_kind(kind, amounts, operator=operator, notes=notes)
    assert refused.value.path == (path,)


def test_both_bounds_of_the_device_time_are_inclusive() -> None:
    rules.check_time(NOW + rules.MAX_AHEAD, NOW)
    rules.check_time(NOW - rules.MAX_LATE, NOW)
    for moment in (NOW + rules.MAX_AHEAD + timedelta(microseconds=1), NOW - rules.MAX_LATE - timedelta(microseconds=1)):
        with pytest.raises(TimeOutOfRange) as refused:
            rules.check_time(moment, NOW)
        assert refused.value.earliest == NOW - rules.MAX_LATE
        assert refused.value.latest == NOW + rules.MAX_AHEAD


def test_skew_is_exact_and_signed() -> None:
    assert rules.skew_seconds(NOW - timedelta(hours=1, microseconds=5), NOW) == Dec("3600.000005")
    assert rules.skew_seconds(NOW + timedelta(seconds=2), NOW) == -2
