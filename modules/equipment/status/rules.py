"""The rules of machine status: which status may follow which, and how a moment divides a period.

Time of a machine is a partition: periods without gap or overlap, the last one open. Every recorded fact begins one
period, which lasts until the next fact; so the partition is decided by the facts, not by the order they arrive in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from db.refusal import InvalidTransition, TimeOutOfRange, ValidationFailed


class MachineStatus(StrEnum):
    AVAILABLE = "available"
    RUNNING = "running"
    IDLE = "idle"
    SETUP = "setup"
    DOWN = "down"
    MAINTENANCE = "maintenance"
    OFFLINE = "offline"
    DECOMMISSIONED = "decommissioned"


S = MachineStatus

NEXT: Mapping[MachineStatus, frozenset[MachineStatus]] = {
    S.AVAILABLE: frozenset(
        {S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE, S.DECOMMISSIONED}
    ),
    S.RUNNING: frozenset({S.AVAILABLE, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE}),
    S.IDLE: frozenset({S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE}),
    S.SETUP: frozenset({S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE}),
    S.DOWN: frozenset({S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE, S.DECOMMISSIONED}),
    # A machine under maintenance is handed back (available, setup) before it produces.
    S.MAINTENANCE: frozenset({S.AVAILABLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE, S.DECOMMISSIONED}),
    S.OFFLINE: frozenset({S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.MAINTENANCE, S.OFFLINE, S.DECOMMISSIONED}),
    S.DECOMMISSIONED: frozenset(),
}
"""What may follow; a status follows itself only with another reason."""


class ReasonNeed(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


REASON_NEEDED: Mapping[MachineStatus, ReasonNeed] = {
    S.AVAILABLE: ReasonNeed.OPTIONAL,
    S.RUNNING: ReasonNeed.NONE,
    S.IDLE: ReasonNeed.OPTIONAL,
    S.SETUP: ReasonNeed.OPTIONAL,
    S.DOWN: ReasonNeed.REQUIRED,
    S.MAINTENANCE: ReasonNeed.OPTIONAL,
    S.OFFLINE: ReasonNeed.OPTIONAL,
    S.DECOMMISSIONED: ReasonNeed.OPTIONAL,
}

AT_WORK = frozenset({S.RUNNING, S.SETUP, S.IDLE})
"""Statuses of a machine that has work on it: it is not archived from them."""

MAX_SKEW = timedelta(minutes=2)
"""How far a device's clock may run ahead of the server's."""

LATE_TOLERANCE = timedelta(days=7)
"""How far back a late fact may divide time that was already recorded."""

LONGEST_WINDOW = timedelta(days=400)
"""Longest window that time in status is added up over in one query."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a period says: the status and why."""

    status: MachineStatus
    reason: int | None = None


def check_follows(before: Condition, after: Condition, *, path: tuple[str, ...] = ("status",)) -> None:
    """Refuse two neighbours that cannot stand next to each other in time."""
    allowed = NEXT[before.status]
    if after.status in allowed and before != after:
        return
    raise InvalidTransition(
        f"{before.status.name} is not followed by {after.status.name}"
        if before != after
        else f"The machine is {before.status.name} already, for the same reason",
        path=path,
        from_=before.status.name,
        to=after.status.name,
        allowed=[status.name for status in MachineStatus if status in allowed and status is not before.status],
    )


def check_fits(
    before: Condition | None, fact: Condition, after: Condition | None, *, path: tuple[str, ...] = ("status",)
) -> None:
    """Refuse a fact that does not fit between what holds before it and what comes after."""
    if before is not None:
        check_follows(before, fact, path=path)
    if after is not None:
        check_follows(fact, after, path=path)


def check_reason(status: MachineStatus, applies_to: list[MachineStatus] | None) -> None:
    """Refuse a missing reason, or one that does not explain the status; `applies_to` is None without a reason."""
    need = REASON_NEEDED[status]
    if applies_to is None:
        if need is ReasonNeed.REQUIRED:
            raise ValidationFailed(f"{status.name} needs a reason", path=("reasonCodeId",), constraint="required")
    elif status not in applies_to:
        raise ValidationFailed(
            f"This reason does not explain {status.name}", path=("reasonCodeId",), constraint="a reason of the status"
        )


def check_recordable(status: MachineStatus) -> None:
    """Taking a machine out of service is a decision of its own, not a signal from the floor."""
    if status is MachineStatus.DECOMMISSIONED:
        raise ValidationFailed(
            "A machine is decommissioned by machineDecommission", path=("status",), constraint="not DECOMMISSIONED"
        )


def check_moment(
    moment: datetime,
    *,
    now: datetime,
    first: datetime,
    open_since: datetime,
    tolerance: timedelta = LATE_TOLERANCE,
    path: tuple[str, ...] = ("occurredAt",),
) -> None:
    """Refuse the future, the time before the machine was known, and a fact too late to divide recorded time."""
    latest = now + MAX_SKEW
    earliest = max(first, min(open_since, now - tolerance))
    if moment > latest:
        raise TimeOutOfRange("The moment is in the future", path=path, earliest=earliest, latest=latest)
    if moment < first:
        raise TimeOutOfRange("The machine was not known then", path=path, earliest=earliest, latest=latest)
    if moment < earliest:
        raise TimeOutOfRange("The fact comes too late", path=path, earliest=earliest, latest=latest)


def check_archivable(status: MachineStatus) -> None:
    if status in AT_WORK:
        raise InvalidTransition(
            f"A machine that is {status.name} is not archived",
            path=("id",),
            from_=status.name,
            to="ARCHIVED",
            allowed=[other.name for other in MachineStatus if other in NEXT[status] and other is not status],
        )


def window_problem(start: datetime, end: datetime) -> str | None:
    """Why time is not added up over a window; None where it is."""
    if end <= start:
        return "The window ends before it starts"
    if end - start > LONGEST_WINDOW:
        return f"The window is longer than {LONGEST_WINDOW.days} days"
    return None


def seconds(started_at: datetime, ended_at: datetime | None) -> Decimal | None:
    """Exact elapsed seconds of a finished period; None while it is open."""
    if ended_at is None:
        return None
    span = ended_at - started_at
    return Decimal(span.days * 86_400 + span.seconds) + Decimal(span.microseconds) / 1_000_000


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """A share with six digits; None of nothing."""
    return None if whole == 0 else (part / whole).quantize(Decimal("0.000001"))
