"""One item of an offline batch: the mutation it stands for, run as itself, its answer or refusal as a value."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import strawberry
import structlog

from db.outage import unavailable
from db.refusal import Refused
from schema.context import Context
from schema.errors import UserError, as_user_error
from schema.faults import Fault, forbidden
from schema.fields import RootField
from schema.idempotency import checked_key, request_hash
from schema.payload import Payload
from schema.write import Mutation, Posted

log = structlog.stdlib.get_logger("schema.replay")

WAITS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between looks at a key that is held: the same batch may be under way twice."""


class Outcome(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@strawberry.type(
    description="An item was at fault before any rule was asked; `code` is one of the top-level error codes"
)
class ItemFault(UserError): ...


@dataclass(frozen=True, slots=True)
class Item:
    """An action of the batch: the mutation it stands for, by name and as it is declared, and its input."""

    name: str
    root: RootField
    input: Any
    recorded_at: datetime
    path: tuple[str, ...]
    """Where it stands in the batch's input."""

    @property
    def about(self) -> str:
        return str(getattr(self.input, self.root.field.metadata["offline"].about))

    @property
    def timed(self) -> Any:
        """The input with the device's time where it leaves its own out."""
        at = self.root.field.metadata["offline"].at
        if at is None or getattr(self.input, at) is not None:
            return self.input
        return dataclasses.replace(self.input, **{at: self.recorded_at})


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of an item."""

    item: Item
    outcome: Outcome
    payload: Payload | None = None
    errors: list[UserError] = field(default_factory=list)


async def replay(context: Context, item: Item) -> Replayed:
    """Run the mutation as its caller could have; whatever is said against it is said of this item alone."""
    try:
        posted = await _posted(context, item)
    except Refused as refused:
        said = Outcome.CONFLICT if refused.conflict else Outcome.REJECTED
        return Replayed(item, said, errors=[_under(item.path, as_user_error(refused))])
    except Fault as fault:
        return refused_for(item, fault)
    except Exception as error:
        if unavailable(error):
            raise  # nothing is said of the item: the whole batch is sent again
        log.error("unexpected error", request_id=context.actor.request_id, path=item.path, exc_info=error)
        told = f"Something went wrong here. Quote the request id {context.actor.request_id} when you report it."
        return refused_for(item, Fault("INTERNAL_SERVER_ERROR", told))
    if posted.payload.errors:
        return Replayed(item, Outcome.REJECTED, errors=[_under(item.path, e) for e in posted.payload.errors])
    return Replayed(item, Outcome.DUPLICATE if posted.replayed else Outcome.APPLIED, posted.payload)


def refused_for(item: Item, fault: Fault) -> Replayed:
    path = str(fault.details.get("argument", "")).split(".") if fault.details.get("argument") else []
    error = ItemFault(code=fault.code, message=fault.message, path=path, retryable=fault.retryable)
    return Replayed(item, Outcome.REJECTED, errors=[_under(item.path, error)])


async def _posted(context: Context, item: Item) -> Posted:
    mutation: Mutation = item.root.field.run  # type: ignore[attr-defined]
    if mutation.permission is not None and not context.actor.may(mutation.permission):
        raise forbidden(mutation.permission)
    key = checked_key(item.input.idempotency_key, None)
    asked = request_hash(item.input)  # as the mutation itself would have hashed it: the receipt is the same
    for wait in WAITS:
        try:
            return await mutation.post(context, item.name, item.timed, key=key, hash=asked)
        except Fault as fault:
            if fault.code != "IDEMPOTENCY_IN_PROGRESS":
                raise
            await asyncio.sleep(wait)
    return await mutation.post(context, item.name, item.timed, key=key, hash=asked)


def _under(path: tuple[str, ...], error: UserError) -> UserError:
    error.path = [*path, *error.path]
    return error
