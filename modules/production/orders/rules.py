"""The rules of a work order: which state may follow which, how much may be made, what may still be edited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from db.refusal import InvalidTransition, Refused, ValidationFailed, detail, refusal


class WorkOrderStatus(StrEnum):
    PLANNED = "planned"
    RELEASED = "released"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class WorkOrderPriority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


_ = WorkOrderStatus

NEXT: Mapping[WorkOrderStatus, frozenset[WorkOrderStatus]] = {
    _.PLANNED: frozenset({_.RELEASED, _.CANCELLED}),
    _.RELEASED: frozenset({_.IN_PROGRESS, _.ON_HOLD, _.CANCELLED}),
    _.IN_PROGRESS: frozenset({_.ON_HOLD, _.COMPLETED}),
    _.ON_HOLD: frozenset({_.RELEASED, _.IN_PROGRESS, _.CANCELLED}),
    _.COMPLETED: frozenset({_.CLOSED, _.IN_PROGRESS}),
    _.CLOSED: frozenset(),
    _.CANCELLED: frozenset(),
}


class Step(StrEnum):
    """A decision that moves an order."""

    RELEASE = "release"
    START = "start"
    HOLD = "hold"
    RESUME_WAITING = "resume_waiting"
    RESUME_WORK = "resume_work"
    COMPLETE = "complete"
    REOPEN = "reopen"
    CLOSE = "close"
    CANCEL = "cancel"


STEPS: Mapping[Step, tuple[frozenset[WorkOrderStatus], WorkOrderStatus]] = {
    Step.RELEASE: (frozenset({_.PLANNED}), _.RELEASED),
    Step.START: (frozenset({_.RELEASED}), _.IN_PROGRESS),
    Step.HOLD: (frozenset({_.RELEASED, _.IN_PROGRESS}), _.ON_HOLD),
    Step.RESUME_WAITING: (frozenset({_.ON_HOLD}), _.RELEASED),
    Step.RESUME_WORK: (frozenset({_.ON_HOLD}), _.IN_PROGRESS),
    Step.COMPLETE: (frozenset({_.IN_PROGRESS}), _.COMPLETED),
    Step.REOPEN: (frozenset({_.COMPLETED}), _.IN_PROGRESS),
    Step.CLOSE: (frozenset({_.COMPLETED}), _.CLOSED),
    Step.CANCEL: (frozenset({_.PLANNED, _.RELEASED, _.ON_HOLD}), _.CANCELLED),
}
"""From where to where each step leads: every move of NEXT is exactly one step."""

QUANTITY_STEP = Decimal("0.000001")
RATIO_STEP = Decimal("0.000001")

DETAILS = frozenset({"description", "priority", "planned_start_at", "planned_end_at", "assignee_id", "project_id"})
AMOUNTS = frozenset({"quantity_ordered", "over_completion_tolerance"})
IDENTITY = frozenset(
    {"product_code", "product_name", "operation_type", "unit", "department_id", "external_system", "external_key"}
)

EDITABLE: Mapping[WorkOrderStatus, frozenset[str]] = {
    _.PLANNED: DETAILS | AMOUNTS | IDENTITY | {"routing_id", "operations"},
    _.RELEASED: DETAILS | AMOUNTS,
    _.IN_PROGRESS: DETAILS | AMOUNTS,
    _.ON_HOLD: DETAILS | AMOUNTS,
    _.COMPLETED: frozenset({"description", "project_id"}),
    _.CLOSED: frozenset(),
    _.CANCELLED: frozenset(),
}
"""What may be edited: the copy of the routing is frozen at release, the order's identity with it."""


@refusal("ALREADY_REPORTED", "Something was made on the order: it is not cancelled but short-closed.")
class AlreadyReported(Refused):
    good: Decimal = detail("Good pieces that left the last operation.")


@refusal("INCOMPLETE", "The ordered quantity is not made yet; to end the order below it, short-close it.")
class Incomplete(Refused):
    remaining: Decimal = detail("Good quantity still to be made.")


@refusal("WORK_STILL_RUNNING", "Somebody is still clocked on at an operation of the order.")
class WorkStillRunning(Refused):
    people: int = detail("How many people are clocked on.")


@refusal("NOT_EDITABLE", "The order's state does not allow this to be edited any more.")
class NotEditable(Refused):
    status: str = detail("State the order is in.")


def take(step: Step, current: WorkOrderStatus, *, path: tuple[str, ...] = ("id",)) -> WorkOrderStatus:
    """The state after the step, or a refusal that names what is possible instead."""
    sources, target = STEPS[step]
    if current not in sources:
        raise not_possible(current, target, path=path)
    return target


def not_possible(current: WorkOrderStatus, target: WorkOrderStatus, *, path: tuple[str, ...]) -> InvalidTransition:
    return InvalidTransition(
        f"The work order is {current.name}: that is not possible now",
        path=path,
        from_=current.name,
        to=target.name,
        allowed=[status.name for status in WorkOrderStatus if status in NEXT[current]],
    )


def resume(current: WorkOrderStatus, actual_start_at: datetime | None) -> WorkOrderStatus:
    """Where a hold ends: work that had begun goes on, work that had not waits again."""
    return take(Step.RESUME_WAITING if actual_start_at is None else Step.RESUME_WORK, current)


def cancel(current: WorkOrderStatus, *, reported: bool, good: Decimal) -> WorkOrderStatus:
    """Cancelled is for orders on which nothing was made; reversed reports count as nothing."""
    if reported and current in (_.RELEASED, _.IN_PROGRESS, _.ON_HOLD):
        raise AlreadyReported("Pieces were reported: short-close the order instead", path=("id",), good=good)
    return take(Step.CANCEL, current)


def check_editable(status: WorkOrderStatus, fields: Iterable[str], paths: Mapping[str, str]) -> None:
    for name in fields:
        if name not in EDITABLE[status]:
            raise NotEditable(
                f"{paths.get(name, name)} is not edited while the order is {status.name}",
                path=(paths.get(name, name),),
                status=status.name,
            )


def check_plan(start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and end < start:
        raise ValidationFailed(
            "The plan ends before it starts", path=("plannedEndAt",), constraint="plannedEndAt >= plannedStartAt"
        )


def check_ordered(ordered: Decimal, tolerance: Decimal, good: Decimal) -> None:
    """An order is for something, and never for less than the tolerance already used up."""
    if ordered <= 0:
        raise ValidationFailed("The quantity must be above zero", path=("quantityOrdered",), constraint="> 0")
    if not 0 <= tolerance <= 1:
        raise ValidationFailed(
            "The tolerance is a fraction", path=("overCompletionTolerance",), constraint="between 0 and 1"
        )
    if tolerance != tolerance.quantize(QUANTITY_STEP):
        raise ValidationFailed(
            "At most 6 decimal places", path=("overCompletionTolerance",), constraint="maxDecimalPlaces 6"
        )
    if good > maximum(ordered, tolerance):
        raise ValidationFailed(
            f"{good.normalize():f} are made already", path=("quantityOrdered",), constraint="at least what is made"
        )


def maximum(ordered: Decimal, tolerance: Decimal) -> Decimal:
    """The largest good quantity of the order, inclusive; floored to the step no report can be finer than."""
    return (ordered * (1 + tolerance)).quantize(QUANTITY_STEP, rounding=ROUND_FLOOR)


def remaining(ordered: Decimal, good: Decimal) -> Decimal:
    """Good quantity still to be made; scrap does not count."""
    return max(Decimal(0), ordered - good)


def max_remaining(ordered: Decimal, tolerance: Decimal, good: Decimal) -> Decimal:
    """Good quantity that may still be reported at the last operation."""
    return max(Decimal(0), maximum(ordered, tolerance) - good)


def is_complete(ordered: Decimal, good: Decimal) -> bool:
    return good >= ordered


def progress(ordered: Decimal, good: Decimal) -> Decimal:
    """Share of the ordered quantity that is made; above 1 within the tolerance."""
    return (good / ordered).quantize(RATIO_STEP)


def final_yield(good: Decimal, scrapped: Decimal) -> Decimal | None:
    """Good pieces of all pieces that left the order; None while none did."""
    return None if good + scrapped == 0 else (good / (good + scrapped)).quantize(RATIO_STEP)
