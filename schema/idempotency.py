"""Receipts: a request that posts a fact is answered once; asked again with the same key it gets the first answer.

The receipt is written in the transaction of the effect, so there is never one without the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from db.base import LedgerTable
from db.rows import columns_of
from db.session import WriteTx
from schema.faults import Fault, bad_input
from schema.node import Node

MOST_KEY = 255


def request_hash(input: Any) -> bytes:
    """What was asked, without the key itself."""
    return hashlib.sha256(repr(_plain(input, skip="idempotency_key")).encode()).digest()


def _plain(value: Any, skip: str = "") -> Any:
    if names := _parts(value.__class__):
        return {name: _plain(getattr(value, name)) for name in names if name != skip}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.name if isinstance(value, Enum) else repr(value)


@cache
def _parts(kind: Any) -> Sequence[str]:
    """Of an input: its fields, by name; of anything else nothing."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return ()
    return sorted(field.name for field in dataclasses.fields(kind))


def checked_key(key: str | None, header: str | None) -> str | None:
    if key is not None and header is not None and key != header:
        raise bad_input("The header Idempotency-Key and the argument differ", "idempotencyKey")
    key = header if key is None else key
    if key is not None and not (1 <= len(key) <= MOST_KEY and key.isprintable()):
        raise bad_input(f"A key is 1 to {MOST_KEY} printable characters", "idempotencyKey")
    return key


async def first_answer(tx: WriteTx, field: str, key: str, hash: bytes) -> dict[str, Any] | None:
    """The stored answer of this key, or None for the caller who is first; that caller holds the key until it commits."""
    found = await tx.fetchrow(_FIRST, [tx.actor.principal, field, key])
    if not found["free"]:
        raise Fault("IDEMPOTENCY_IN_PROGRESS", "The same request is still being worked on", retryable=True)
    if found["request_hash"] is None:
        return None
    if found["request_hash"] != hash:
        raise Fault("IDEMPOTENCY_KEY_REUSED", "This key belongs to another request", argument="idempotencyKey")
    return dict(found["result"])


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is kept of a first answer: rows as they stand at this moment, other values as they are."""

    field: str
    key: str
    hash: bytes
    result: Mapping[str, Any]

    async def keep(self, tx: WriteTx) -> None:
        await tx.fetch(self.statement(1), [tx.org, *self.values(tx)])

    @staticmethod
    def statement(taken: int) -> str:
        """The organization is the first parameter, the others follow those taken already."""
        given = ", ".join(f"${taken + n}" for n in range(1, 6))
        return (
            "insert into app.idempotency_receipts (organization_id, principal, field, key, request_hash, result)"
            f" values ($1, {given})"
        )

    def values(self, tx: WriteTx) -> list[Any]:
        stored = orjson.dumps({name: _snapshot(value) for name, value in self.result.items()}, default=_text).decode()
        return [tx.actor.principal, self.field, self.key, self.hash, stored]


_FIRST = "select free, request_hash, result from app.first_answer($1, $2, $3)"


_TEXT = (Decimal, timedelta, IPv4Address, IPv6Address)


def _text(value: Any) -> str:
    """Values PostgreSQL reads from the text Python writes; of others that would only be found out when they are read."""
    if isinstance(value, _TEXT):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept in a receipt")


def _snapshot(value: Any) -> Any:
    if isinstance(value, LedgerTable):
        return columns_of(type(value)).stored(value)
    if isinstance(value, list):
        return [_snapshot(v) for v in value]
    return value


async def restored(tx: WriteTx, node: type[Node], stored: Any) -> Any:
    """Objects as they stood when the receipt was written; null for one the caller may not see any more."""
    if stored is None:
        return None
    if isinstance(stored, list):
        return [await restored(tx, node, s) for s in stored]
    declared = node.__declared__
    name = declared.table.__table__.fullname  # type: ignore[attr-defined]
    names = ", ".join(c.property.columns[0].name for c in declared.columns.values())
    statement = text(
        f"select {names} from jsonb_populate_record(null::{name}, :stored)"
        f" where exists (select from {name} t where t.organization_id = :org and t.id = :id)"
    )
    typed = statement.bindparams(bindparam("stored", type_=JSONB)).columns(
        *(c.expression for c in declared.columns.values())
    )
    await tx.use_scope(tx.actor.read_scope(declared.permission))
    row = await tx.first(typed, {"stored": stored, "org": tx.org, "id": stored["id"]})
    return None if row is None else node.of(dict(zip(declared.columns, row, strict=True)))
