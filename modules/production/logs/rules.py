"""What may be reported, and when: the kinds of log rows, the states they are accepted in, and the device's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from db.refusal import Refused, TimeOutOfRange, ValidationFailed, refusal
from modules.production.labor.rules import ClockEvent
from modules.production.operations.rules import Amounts
from modules.production.orders.rules import WorkOrderStatus, not_possible


class LogKind(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    ISSUE = "issue"
    REPORT = "report"
    REVERSAL = "reversal"


CLOCK: Mapping[LogKind, ClockEvent] = {LogKind(event.value): event for event in ClockEvent}
"""Kinds that move a person's clock."""

WITH_QUANTITY = frozenset({LogKind.REPORT, LogKind.PAUSE, LogKind.COMPLETE})
"""Kinds that may carry quantities; a report is nothing without one."""

_ = WorkOrderStatus
AT_WORK = frozenset({_.RELEASED, _.IN_PROGRESS})
ENDING = frozenset({_.RELEASED, _.IN_PROGRESS, _.ON_HOLD, _.COMPLETED})
"""States in which people may still clock off and report a problem: a hold or the last piece must not lock them in."""

ENDS_WORK = frozenset({LogKind.PAUSE, LogKind.COMPLETE, LogKind.ISSUE})
REVERSIBLE = frozenset({_.IN_PROGRESS, _.ON_HOLD, _.COMPLETED})
"""States in which a report may be reversed: a closed order's figures are final."""

MAX_AHEAD = timedelta(minutes=5)
MAX_LATE = timedelta(days=7)


@refusal("ALREADY_REVERSED", "The log entry was reversed before, or is a reversal itself.", conflict=True)
class AlreadyReversed(Refused): ...


def begins_work(kind: LogKind) -> bool:
    """Does the event show that work on the order has begun."""
    return kind in (LogKind.START, LogKind.RESUME, LogKind.REPORT)


def check_kind(kind: LogKind, amounts: Amounts, *, operator: bool, notes: bool) -> None:
    """What each kind must and must not say."""
    if kind is LogKind.REVERSAL:
        raise ValidationFailed("Use productionLogReverse", path=("kind",), constraint="not REVERSAL")
    if amounts.processed and kind not in WITH_QUANTITY:
        raise ValidationFailed(
            f"{kind.name} carries no quantity", path=("kind",), constraint="REPORT, PAUSE or COMPLETE with a quantity"
        )
    if kind is LogKind.REPORT and not amounts.processed:
        raise ValidationFailed("A report says how much", path=("good",), constraint="good, scrap or rework above 0")
    if amounts.reworked and not amounts.processed:
        raise ValidationFailed("There are no pieces to mark as reworked", path=("reworked",), constraint="a quantity")
    if kind in CLOCK and not operator:
        raise ValidationFailed("Whose clock?", path=("operatorId",), constraint="required for time events")
    if kind is LogKind.ISSUE and not notes:
        raise ValidationFailed("Say what the problem is", path=("notes",), constraint="required with ISSUE")


def check_state(status: WorkOrderStatus, kind: LogKind, amounts: Amounts) -> None:
    """Refuse what the order's state does not take."""
    taken = ENDING if kind in ENDS_WORK and not amounts.processed else AT_WORK
    if status not in taken:
        raise not_possible(status, _.IN_PROGRESS, path=("operationId",))


def check_reversible(status: WorkOrderStatus) -> None:
    if status not in REVERSIBLE:
        raise not_possible(status, _.IN_PROGRESS, path=("id",))


def check_time(
    occurred_at: datetime, now: datetime, *, ahead: timedelta = MAX_AHEAD, late: timedelta = MAX_LATE
) -> None:
    """A device may run a little ahead and report a while later (offline); both bounds are inclusive."""
    earliest, latest = now - late, now + ahead
    if not earliest <= occurred_at <= latest:
        raise TimeOutOfRange(
            "The device's time is in the future" if occurred_at > latest else "The event is too old",
            path=("occurredAt",),
            earliest=earliest,
            latest=latest,
        )


def skew_seconds(occurred_at: datetime, received_at: datetime) -> Decimal:
    """How long after its own time the event arrived; negative when the device's clock runs ahead."""
    span = received_at - occurred_at
    return Decimal(span.days * 86_400 + span.seconds) + Decimal(span.microseconds) / 1_000_000
