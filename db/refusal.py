"""Refusals: what a rule raises when the answer is no. Pure: no framework, no I/O.

A refusal is a business answer a client can act on: it rolls the transaction back and reaches the caller as
typed data in `errors`. Anything else that is raised is a bug, is logged and is masked at the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, TypeVar

R = TypeVar("R", bound="Refused")


class Refused(Exception):
    """A rule said no."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False
    conflict: ClassVar[bool] = False
    """What stands in the way is the state the object is in by now, not what was asked."""
    description: ClassVar[str]

    def __init__(self, message: str, *, path: tuple[str | int, ...] = (), **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(str(part) for part in path)
        if set(details) != set(self.details()):
            raise TypeError(f"{type(self).__name__} takes {sorted(self.details())}, got {sorted(details)}")
        for name, value in details.items():
            setattr(self, name, value)

    @classmethod
    def details(cls) -> dict[str, str]:
        """Extra fields a client can act on, with their descriptions."""
        declared: Any = getattr(cls, "__dataclass_fields__", None)
        return {f.name: f.metadata["description"] for f in fields(cls)} if declared else {}  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def detail(description: str) -> Any:
    """A fact the client needs to act on the refusal."""
    return field(metadata={"description": description}, kw_only=True)


def refusal(
    code: str, description: str, *, retryable: bool = False, conflict: bool = False
) -> Callable[[type[R]], type[R]]:
    """Name a refusal: its code for programs, its description for the schema's reader."""

    def name(cls: type[R]) -> type[R]:
        made = dataclass(init=False, eq=False, repr=False)(cls)
        made.code, made.description, made.retryable, made.conflict = code, description, retryable, conflict
        return made

    return name


@refusal("NOT_FOUND", "It does not exist, or not for this caller: the two are never told apart.")
class NotFound(Refused): ...


@refusal("FORBIDDEN", "It is visible to the caller, but the caller may not change it.")
class NotPermitted(Refused): ...


@refusal(
    "ALREADY_EXISTS", "Something with this code, number or name exists already in the organization.", conflict=True
)
class AlreadyExists(Refused): ...


@refusal("VERSION_CONFLICT", "Somebody else changed the object since it was read.", retryable=True, conflict=True)
class VersionConflict(Refused):
    current: int = detail("Version of the object now; read it again before retrying.")


@refusal("INVALID_TRANSITION", "The object's state does not allow this step.", conflict=True)
class InvalidTransition(Refused):
    from_: str = detail("State the object is in.")
    to: str = detail("State that was asked for.")
    allowed: list[str] = detail("States that can be reached from where it is.")


@refusal("ARCHIVED", "It is archived: it is not used for anything new until it is brought back.", conflict=True)
class Archived(Refused): ...


@refusal("TIME_OUT_OF_RANGE", "The moment is outside the time this fact may be recorded for.")
class TimeOutOfRange(Refused):
    earliest: datetime | None = detail("Earliest moment that is accepted, if there is one.")
    latest: datetime | None = detail("Latest moment that is accepted, if there is one.")


@refusal("VALIDATION_FAILED", "A value is outside what is allowed.")
class ValidationFailed(Refused):
    constraint: str = detail("The rule that was broken, for example `maxLength 255`.")


COMMON: tuple[type[Refused], ...] = (
    NotFound, NotPermitted, AlreadyExists, VersionConflict, InvalidTransition, Archived, TimeOutOfRange, ValidationFailed,
)  # fmt: skip
