"""What every use case of identity repeats: patch a row, archive it, bring it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

import strawberry

from db.session import WriteTx
from schema import checks
from schema.inputs import IDEMPOTENCY, VERSION
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
    row.archived_at = row.archived_at or now
    return row  # type: ignore[no-any-return]


async def unarchive(tx: WriteTx, model: type[A], id: int, *, version: int) -> A:
    row: Any = await tx.locked(model, id, version=version)
    row.archived_at = None
    return row  # type: ignore[no-any-return]


def idempotency() -> Any:
    """The optional key of a mutation that posts no fact."""
    return strawberry.field(description=IDEMPOTENCY, default=None)


def expected() -> Any:
    return strawberry.field(description=VERSION)
