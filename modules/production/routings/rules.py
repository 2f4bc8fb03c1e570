"""The rules of a routing: a revision is drafted, made active, and retired; only a draft is edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from db.refusal import InvalidTransition, Refused, ValidationFailed, refusal

MAX_OPERATIONS = 100


class RoutingStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


NEXT: Mapping[RoutingStatus, frozenset[RoutingStatus]] = {
    RoutingStatus.DRAFT: frozenset({RoutingStatus.ACTIVE, RoutingStatus.RETIRED}),
    RoutingStatus.ACTIVE: frozenset({RoutingStatus.RETIRED}),
    RoutingStatus.RETIRED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of a routing says, in a master or in an order's copy of it."""

    sequence: int
    name: str
    description: str | None = None
    machine_type: str | None = None
    machine_id: int | None = None
    setup_seconds: int = 0
    run_seconds_per_unit: Decimal = Decimal(0)


@refusal("ROUTING_NOT_DRAFT", "The revision was active, orders were made by it: revise it instead of editing it.")
class RoutingNotDraft(Refused): ...


@refusal("ROUTING_NOT_ACTIVE", "Orders are made by an active revision of a routing.")
class RoutingNotActive(Refused): ...


def move(current: RoutingStatus, target: RoutingStatus) -> RoutingStatus:
    if target not in NEXT[current]:
        raise InvalidTransition(
            f"A routing that is {current.name} does not become {target.name}",
            path=("id",),
            from_=current.name,
            to=target.name,
            allowed=[status.name for status in RoutingStatus if status in NEXT[current]],
        )
    return target


def check_draft(status: RoutingStatus) -> None:
    if status is not RoutingStatus.DRAFT:
        raise RoutingNotDraft(f"The routing is {status.name}: revise it", path=("id",))


def check_active(status: RoutingStatus) -> None:
    if status is not RoutingStatus.ACTIVE:
        raise RoutingNotActive(f"The routing is {status.name}", path=("routingId",))


def check_steps(steps: Sequence[Step]) -> None:
    """Operations are ordered by their sequence, each its own; times are never negative."""
    if len(steps) > MAX_OPERATIONS:
        raise ValidationFailed("Too many operations", path=("operations",), constraint=f"maxItems {MAX_OPERATIONS}")
    seen: set[int] = set()
    for i, step in enumerate(steps):
        if not 1 <= step.sequence <= 9999:
            raise ValidationFailed(
                "The sequence is out of range", path=("operations", i, "sequence"), constraint="1 to 9999"
            )
        if step.sequence in seen:
            raise ValidationFailed(
                f"Sequence {step.sequence} is used twice", path=("operations", i, "sequence"), constraint="unique"
            )
        seen.add(step.sequence)
        if step.setup_seconds < 0:
            raise ValidationFailed(
                "Setup takes no negative time", path=("operations", i, "setupSeconds"), constraint=">= 0"
            )
        if step.run_seconds_per_unit < 0:
            raise ValidationFailed(
                "A piece takes no negative time", path=("operations", i, "runSecondsPerUnit"), constraint=">= 0"
            )


def check_complete(operations: int, *, path: tuple[str, ...] = ("id",)) -> None:
    if operations == 0:
        raise ValidationFailed("There are no operations to work by", path=path, constraint="at least one operation")


def planned_seconds(setup: int, run_per_unit: Decimal, quantity: Decimal) -> Decimal:
    """Planned time of an operation for a quantity: one setup, then every piece at its ideal cycle."""
    return Decimal(setup) + run_per_unit * quantity
