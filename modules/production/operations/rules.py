"""How pieces flow through the operations of an order.

Operation k works on what operation k-1 passed on and on what came back to it for rework:
    WIP(k) = good(k-1) + reworkIn(k) - (good(k) + scrap(k) + rework(k))  >= 0          for k > 1
The first operation has no such input. It may bring in pieces as long as those alive (waiting, or good at the last
operation) stay within the order's maximum; a piece scrapped anywhere may be replaced by a new one:
    room(1) = max(0, maximum + scrap(2..n) + reworkIn(1) - good(1) - rework(1))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from db.refusal import Refused, ValidationFailed, detail, refusal
from modules.production.orders.rules import RATIO_STEP, WorkOrderStatus

ZERO = Decimal(0)


class OperationStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@refusal("INSUFFICIENT_WIP", "Fewer pieces wait at the operation than were reported.", conflict=True)
class InsufficientWip(Refused):
    available: Decimal = detail("Pieces that wait at the operation now.")


@refusal("OVER_COMPLETION", "The report goes beyond the ordered quantity and its tolerance.", conflict=True)
class OverCompletion(Refused):
    max_remaining: Decimal = detail("Largest good quantity that would still be accepted.")


@refusal(
    "REVERSAL_BLOCKED", "Pieces of the report were worked on further down: reverse those reports first.", conflict=True
)
class ReversalBlocked(Refused):
    sequence: int = detail("Sequence of the operation that would be short of pieces.")
    missing: Decimal = detail("How many pieces it would be short of.")


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one report says. `reworked`: its pieces had been sent back before, so they are no first pass."""

    good: Decimal = ZERO
    scrap: Decimal = ZERO
    rework: Decimal = ZERO
    reworked: bool = False

    @property
    def processed(self) -> Decimal:
        return self.good + self.scrap + self.rework


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the log at one operation."""

    good: Decimal = ZERO
    scrap: Decimal = ZERO
    rework: Decimal = ZERO
    """Sent away for rework, from here."""
    rework_in: Decimal = ZERO
    """Sent here for rework, from here or further down."""
    reworked: Decimal = ZERO
    """Of what was processed, what had been sent back before."""
    reworked_good: Decimal = ZERO
    rework_loops: int = 0

    @property
    def processed(self) -> Decimal:
        return self.good + self.scrap + self.rework


def apply(steps: Sequence[Totals], at: int, amounts: Amounts, target: int | None, sign: int = 1) -> list[Totals]:
    """The totals after a report at step `at`, or after its reversal with sign -1."""
    after = list(steps)
    here = after[at]
    second = amounts.processed if amounts.reworked else ZERO
    after[at] = replace(
        here,
        good=here.good + sign * amounts.good,
        scrap=here.scrap + sign * amounts.scrap,
        rework=here.rework + sign * amounts.rework,
        reworked=here.reworked + sign * second,
        reworked_good=here.reworked_good + sign * (amounts.good if amounts.reworked else ZERO),
        rework_loops=here.rework_loops + (sign if amounts.rework else 0),
    )
    if target is not None and amounts.rework:
        after[target] = replace(after[target], rework_in=after[target].rework_in + sign * amounts.rework)
    return after


def waiting(steps: Sequence[Totals], at: int) -> Decimal:
    """WIP of a step after the first; negative only in a state no report may lead to."""
    return steps[at - 1].good + steps[at].rework_in - steps[at].processed


def available(steps: Sequence[Totals], at: int, maximum: Decimal) -> Decimal:
    """Pieces that may be reported at a step now."""
    if at > 0:
        return waiting(steps, at)
    first = steps[0]
    replaced = sum((step.scrap for step in steps[1:]), ZERO)
    return max(ZERO, maximum + replaced + first.rework_in - first.good - first.rework)


def second_pass(steps: Sequence[Totals], at: int) -> Decimal:
    """Pieces that can have come back to a step: sent to it for rework, or reworked at the step before."""
    before = steps[at - 1].reworked_good if at > 0 else ZERO
    return before + steps[at].rework_in - steps[at].reworked


def check_amounts(amounts: Amounts, at: int, target: int | None, *, reason: bool) -> None:
    """What a report must say to be understood, whatever the order's state."""
    for name, value in (("good", amounts.good), ("scrap", amounts.scrap), ("rework", amounts.rework)):
        if value < 0:
            raise ValidationFailed("A quantity is never negative: reverse the report", path=(name,), constraint=">= 0")
    if amounts.scrap > 0 and not reason:
        raise ValidationFailed("Scrap needs a reason", path=("scrapReasonId",), constraint="required with scrap")
    if amounts.scrap == 0 and reason:
        raise ValidationFailed("There is no scrap to explain", path=("scrapReasonId",), constraint="scrap > 0")
    if amounts.rework > 0 and target is None:
        raise ValidationFailed(
            "Rework needs the operation that does it", path=("reworkOperationId",), constraint="required with rework"
        )
    if amounts.rework == 0 and target is not None:
        raise ValidationFailed("There is nothing to rework", path=("reworkOperationId",), constraint="rework > 0")
    if target is not None and target > at:
        raise ValidationFailed(
            "Rework goes back: to this operation or an earlier one",
            path=("reworkOperationId",),
            constraint="this operation or an earlier one",
        )


def check_report(steps: Sequence[Totals], at: int, amounts: Amounts, maximum: Decimal) -> None:
    """Refuse pieces that cannot be there. Bounds are inclusive."""
    room = available(steps, at, maximum)
    if at == 0:
        # Scrap of the first operation is limited by material, not by the order: only good and rework go on from it.
        if amounts.good + amounts.rework > room:
            raise _over(room)
        if amounts.scrap > maximum:
            raise ValidationFailed(
                "More scrap than the whole order", path=("scrap",), constraint="at most the order's maximum"
            )
    elif amounts.processed > room:
        raise InsufficientWip(f"Only {_plain(room)} wait at this operation", path=(_largest(amounts),), available=room)
    if at == len(steps) - 1 and amounts.good > maximum - steps[at].good:
        raise _over(max(ZERO, maximum - steps[at].good))
    if amounts.reworked and amounts.processed > (back := second_pass(steps, at)):
        raise InsufficientWip(f"Only {_plain(back)} can have come back from rework", path=("reworked",), available=back)


def check_reversal(after: Sequence[Totals], sequences: Sequence[int]) -> None:
    """Refuse a reversal that would take away pieces which were worked on since."""
    for at, step in enumerate(after):
        short = min(waiting(after, at) if at else ZERO, second_pass(after, at), step.good, step.scrap, step.rework)
        if short < 0:
            raise ReversalBlocked(
                f"Operation {sequences[at]} would be short of {_plain(-short)}",
                path=("id",),
                sequence=sequences[at],
                missing=-short,
            )


def status(order: WorkOrderStatus, *, started: bool, good: Decimal, ordered: Decimal) -> OperationStatus:
    """State of an operation, which follows from the order's state and the log alone."""
    if order is WorkOrderStatus.CANCELLED:
        return OperationStatus.CANCELLED
    if order in (WorkOrderStatus.COMPLETED, WorkOrderStatus.CLOSED):
        return OperationStatus.COMPLETED if started else OperationStatus.CANCELLED
    if good >= ordered:
        return OperationStatus.COMPLETED
    return OperationStatus.IN_PROGRESS if started else OperationStatus.PENDING


def first_pass_yield(
    good: Decimal, scrap: Decimal, rework: Decimal, reworked: Decimal, reworked_good: Decimal
) -> Decimal | None:
    """Good without rework or scrap, of all that entered; None while nothing did."""
    entered = good + scrap + rework - reworked
    return None if entered <= 0 else ((good - reworked_good) / entered).quantize(RATIO_STEP)


def _over(room: Decimal) -> OverCompletion:
    return OverCompletion(f"Only {_plain(room)} more can be reported", path=("good",), max_remaining=room)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _largest(amounts: Amounts) -> str:
    if amounts.good:
        return "good"
    return "scrap" if amounts.scrap else "rework"
