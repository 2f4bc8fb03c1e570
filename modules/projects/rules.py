"""The rules of projects: their states, and dates that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from db.refusal import InvalidTransition, ValidationFailed


class ProjectStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


S = ProjectStatus

NEXT: Mapping[ProjectStatus, frozenset[ProjectStatus]] = {
    S.DRAFT: frozenset({S.ACTIVE, S.CANCELLED}),
    S.ACTIVE: frozenset({S.ON_HOLD, S.COMPLETED, S.CANCELLED}),
    S.ON_HOLD: frozenset({S.ACTIVE, S.CANCELLED}),
    S.COMPLETED: frozenset(),
    S.CANCELLED: frozenset(),
}
REOPENED: Mapping[ProjectStatus, ProjectStatus] = {S.COMPLETED: S.ACTIVE, S.CANCELLED: S.DRAFT}
"""Where a finished project is taken up again."""

FINISHED = frozenset(REOPENED)
"""Work orders are not added to them."""

ARCHIVABLE = FINISHED | {S.DRAFT}


def reopened(current: ProjectStatus) -> ProjectStatus:
    """The status a finished project is taken up in, or a refusal."""
    if current not in REOPENED:
        raise InvalidTransition(
            f"A project that is {current.name} is not finished",
            path=("id",),
            from_=current.name,
            to=S.ACTIVE.name,
            allowed=[status.name for status in ProjectStatus if status in NEXT[current]],
        )
    return REOPENED[current]


def move(current: ProjectStatus, target: ProjectStatus) -> ProjectStatus:
    """The status after the move, or a refusal."""
    if target not in NEXT[current]:
        raise InvalidTransition(
            f"A project that is {current.name} does not become {target.name}",
            path=("id",),
            from_=current.name,
            to=target.name,
            allowed=[status.name for status in ProjectStatus if status in NEXT[current]],
        )
    return target


def check_archivable(status: ProjectStatus) -> None:
    if status not in ARCHIVABLE:
        raise InvalidTransition(
            f"A project that is {status.name} is not archived",
            path=("id",),
            from_=status.name,
            to="ARCHIVED",
            allowed=[other.name for other in ProjectStatus if other in NEXT[status]],
        )


def check_dates(start: date | None, planned_end: date | None) -> None:
    if start is not None and planned_end is not None and planned_end < start:
        raise ValidationFailed("It ends before it starts", path=("plannedEndDate",), constraint="not before startDate")


def check_end(start: date | None, actual_end: date) -> None:
    if start is not None and actual_end < start:
        raise ValidationFailed("It ended before it started", path=("actualEndDate",), constraint="not before startDate")
