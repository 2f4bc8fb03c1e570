"""What every use case of identity repeats: patch a row, archive it, bring it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

import strawberry

from db.refusal import InvalidTransition
from db.session import WriteTx
from schema import checks
from schema.patch import changes

Check = Callable[[Any], Any]


class Archivable(Protocol):
    archived_at: Any


A = TypeVar("A", bound=Any)


def line(path: str, max: int = 255) -> Check:
    """A check of required text."""
    return lambda value: checks.text(value, path, max=max)


def maybe_line(path: str, max: int = 255) -> Check:
    """A check of text that may be cleared."""
    return lambda value: checks.optional_text(value, path, max=max)


def patch(row: Any, input: Any, fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Put the provided fields of an input into a row, each after its check; answers what was given."""
    given = {name: fields[name](value) for name, value in changes(input, *fields, required=required).items()}
    for name, value in given.items():
        setattr(row, name, value)
    return given


async def archive(tx: WriteTx, model: type[A], id: int, *, version: int, now: datetime) -> A:
    row: Any = await tx.locked(model, id, version=version)
    if row.archived_at is not None:
        raise InvalidTransition("It is archived already", from_="archived", to="archived", allowed=["active"])
    row.archived_at = now
    return row  # type: ignore[no-any-return]


async def unarchive(tx: WriteTx, model: type[A], id: int, *, version: int) -> A:
    row: Any = await tx.locked(model, id, version=version)
    if row.archived_at is None:
        raise InvalidTransition("It is not archived", from_="active", to="active", allowed=["archived"])
    row.archived_at = None
    return row  # type: ignore[no-any-return]


@strawberry.input
class Archiving:
    """What archiving and unarchiving anything takes."""

    id: strawberry.ID = strawberry.field(description="Which one")
    expected_version: int = strawberry.field(description="Version that was read")
    idempotency_key: str | None = strawberry.field(description="Repeat the same key to repeat the answer", default=None)


def idempotency() -> Any:
    """The optional key of a mutation that posts no fact."""
    return strawberry.field(description="Repeat the same key to repeat the answer", default=None)


def expected() -> Any:
    return strawberry.field(description="Version that was read; another one now is a VersionConflict")
