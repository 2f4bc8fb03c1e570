"""How a mutation runs: one transaction, once per idempotency key, again after a deadlock, refusals as data."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import asyncpg

from db.actor import Access
from db.base import LedgerTable
from db.refusal import Refused
from db.session import WriteTx
from schema.context import Context, Info
from schema.faults import unstorable
from schema.idempotency import Receipt, checked_key, first_answer, request_hash, restored
from schema.loaders import by_keys
from schema.node import Node, target
from schema.payload import Payload, refused_as, result_fields

ATTEMPTS = 3


class Reader(Protocol):
    """Reads what a request asks of the changed rows, while their transaction is open, and keeps the receipt along with it."""

    async def __call__(self, tx: WriteTx, results: Mapping[str, Any], receipt: Receipt | None) -> Any: ...


@dataclass(frozen=True)
class Posted:
    """What came of a request: its answer, and whether that is the first one, given again."""

    make: Callable[[], Payload]
    refused: bool = False
    replayed: bool = False
    read: Any = None
    """What the reader read; None where it was not asked."""

    @cached_property
    def payload(self) -> Payload:
        return self.make()


class Mutation:
    """Runs a use case for a root field."""

    def __init__(
        self, function: Callable[..., Any], payload: type[Payload], permission: str | None, access: Access,
        before: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        self.function = function
        self.payload = payload
        self.permission = None if permission == "authenticated" else permission
        self.access = access
        self.before = before
        self._nodes: dict[str, type[Node]] = {}
        self._takes = set(inspect.signature(function).parameters)
        if unknown := self._takes - {"tx", "input", "now", "info", *(["prepared"] if before else [])}:
            raise TypeError(f"{function.__name__} asks for {unknown}; there is tx, input, now, info")

    @property
    def plain(self) -> bool:
        """It needs nothing but its input."""
        return self.before is None and "info" not in self._takes

    async def __call__(self, info: Info, input: Any = None) -> Payload:
        context = info.context
        posted: Posted | None = context.posted.get(info.path.key)
        try:
            if posted is None:
                prepared = None
                if self.before is not None:
                    prepared = await self.before(info, input)
                    await context.renew()
                posted = await self.asked(context, info.field_name, input, info=info, prepared=prepared)
        except Refused as refused:
            return refused_as(self.payload, refused)
        if posted.replayed:
            context.extensions["idempotency"] = {"replayed": True}
        return posted.payload

    async def asked(
        self, context: Context, field: str, input: Any, reader: Reader | None = None, **given: Any
    ) -> Posted:
        """As a request asks it: with the key of its input or of its header."""
        header = context.idempotency_key if hasattr(input, "idempotency_key") else None
        key = checked_key(getattr(input, "idempotency_key", None), header)
        return await self.post(context, field, input, key=key, reader=reader, **given)

    async def post(
        self, context: Context, field: str, input: Any, *, key: str | None, hash: bytes | None = None,
        reader: Reader | None = None, **given: Any,
    ) -> Posted:  # fmt: skip
        """The effect and its receipt, once per key of this field; Refused where a rule said no."""
        hash = request_hash(input) if hash is None else hash
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(context, field, input, key, hash, reader, given)
            except asyncpg.DataError as error:
                raise unstorable(error) from error
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)
        raise AssertionError("unreachable")

    async def _once(
        self, context: Context, field: str, input: Any, key: str | None, hash: bytes, reader: Reader | None,
        given: dict[str, Any],
    ) -> Posted:  # fmt: skip
        async with context.write(self.permission, self.access) as tx:
            if key is not None and (stored := await first_answer(tx, field, key, hash)) is not None:
                first = await self._replayed(tx, stored)
                return Posted(lambda: first, replayed=True)
            known = {"tx": tx, "input": input, "now": datetime.now(UTC), **given}
            outcome = await self.function(**{name: known[name] for name in self._takes})
            await tx.flush()
            if isinstance(outcome, Refused):
                return self.refused(outcome)
            results = self._named(outcome)
            if tx.stale:
                await _read_again(tx, results)
            receipt = None if key is None else Receipt(field, key, hash, results)
            read = None
            if reader is not None:
                read = await reader(tx, results, receipt)
            elif receipt is not None:
                await receipt.keep(tx)
            shown = {name: await self._shown(tx, name, value) for name, value in results.items()}
            return Posted(lambda: self.payload(**{name: make() for name, make in shown.items()}), read=read)

    def refused(self, refusal: Refused) -> Posted:
        return Posted(lambda: refused_as(self.payload, refusal), refused=True)

    def _named(self, outcome: Any) -> dict[str, Any]:
        """A lone result stands for the payload's one field."""
        if isinstance(outcome, dict):
            return outcome
        (only,) = result_fields(self.payload)
        return {only.python_name: outcome}

    async def _shown(self, tx: WriteTx, name: str, value: Any) -> Callable[[], Any]:
        """A row as its public object. After it was written it says what the database made of it."""
        if isinstance(value, LedgerTable):
            made = await self._objects(tx, name, [value])
            return lambda: made()[0]
        if isinstance(value, list) and value and all(isinstance(v, LedgerTable) for v in value):
            return await self._objects(tx, name, value)
        return lambda: value

    async def _objects(self, tx: WriteTx, name: str, rows: list[Any]) -> Callable[[], list[Any]]:
        node = self._node(name)
        declared = node.__declared__
        if all(type(row) is declared.table for row in rows):
            return lambda: [node.of({column: row.__dict__[column] for column in declared.columns}) for row in rows]
        found = await by_keys(tx, node, [row.id for row in rows])
        return lambda: found

    async def _replayed(self, tx: WriteTx, stored: dict[str, Any]) -> Payload:
        fields = {f.python_name: f for f in result_fields(self.payload)}
        return self.payload(
            **{
                name: await restored(tx, self._node(name), value)
                if isinstance(target(fields[name]), type) and issubclass(target(fields[name]), Node)
                else value
                for name, value in stored.items()
            }
        )

    def _node(self, name: str) -> type[Node]:
        if name not in self._nodes:
            self._nodes[name] = target(next(f for f in result_fields(self.payload) if f.python_name == name))
        return self._nodes[name]


async def _read_again(tx: WriteTx, results: Mapping[str, Any]) -> None:
    """Rows that were written by statements past them; each stays the object it is."""
    for value in results.values():
        for row in value if isinstance(value, list) else [value]:
            if isinstance(row, LedgerTable):
                await tx.get(type(row), row.id)
