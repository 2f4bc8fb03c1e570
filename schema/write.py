"""How a mutation runs: one transaction, once per idempotency key, again after a deadlock, refusals as data."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from db.actor import Access
from db.base import LedgerTable
from db.refusal import Refused
from db.session import WriteTx
from schema.context import Context, Info
from schema.faults import unstorable
from schema.idempotency import checked_key, first_answer, keep, request_hash, restored
from schema.loaders import by_keys
from schema.node import Node, target
from schema.payload import Payload, refused_as, result_fields

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of a request: its answer, and whether that is the first one, given again."""

    payload: Payload
    replayed: bool = False


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
        self._takes = set(inspect.signature(function).parameters)
        if unknown := self._takes - {"tx", "input", "now", "info", *(["prepared"] if before else [])}:
            raise TypeError(f"{function.__name__} asks for {unknown}; there is tx, input, now, info")

    async def __call__(self, info: Info, input: Any = None) -> Payload:
        context = info.context
        try:
            prepared = None
            if self.before is not None:
                prepared = await self.before(info, input)
                await context.renew()
            header = context.idempotency_key if hasattr(input, "idempotency_key") else None
            key = checked_key(getattr(input, "idempotency_key", None), header)
            posted = await self.post(context, info.field_name, input, key=key, info=info, prepared=prepared)
        except Refused as refused:
            return refused_as(self.payload, refused)
        if posted.replayed:
            context.extensions["idempotency"] = {"replayed": True}
        return posted.payload

    async def post(
        self, context: Context, field: str, input: Any, *, key: str | None, hash: bytes | None = None, **given: Any
    ) -> Posted:
        """The effect and its receipt, once per key of this field; Refused where a rule said no."""
        hash = request_hash(input) if hash is None else hash
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(context, field, input, key, hash, given)
            except asyncpg.DataError as error:
                raise unstorable(error) or error from error
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)
        raise AssertionError("unreachable")

    async def _once(
        self, context: Context, field: str, input: Any, key: str | None, hash: bytes, given: dict[str, Any]
    ) -> Posted:
        async with context.write(self.permission, self.access) as tx:
            if key is not None and (stored := await first_answer(tx, field, key, hash)) is not None:
                return Posted(await self._replayed(tx, stored), replayed=True)
            known = {"tx": tx, "input": input, "now": datetime.now(UTC), **given}
            outcome = await self.function(**{name: known[name] for name in self._takes})
            await tx.flush()
            if isinstance(outcome, Refused):
                return Posted(refused_as(self.payload, outcome))
            results = self._named(outcome)
            if key is not None:
                await keep(tx, field, key, hash, results)
            return Posted(self.payload(**{name: await self._shown(tx, name, value) for name, value in results.items()}))

    def _named(self, outcome: Any) -> dict[str, Any]:
        """A lone result stands for the payload's one field."""
        if isinstance(outcome, dict):
            return outcome
        (only,) = result_fields(self.payload)
        return {only.python_name: outcome}

    async def _shown(self, tx: WriteTx, name: str, value: Any) -> Any:
        """A changed row as its public object, read back so that what the database computed is in it."""
        if isinstance(value, LedgerTable):
            return (await by_keys(tx, self._node(name), [value.id]))[0]
        if isinstance(value, list) and value and all(isinstance(v, LedgerTable) for v in value):
            return await by_keys(tx, self._node(name), [v.id for v in value])
        return value

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
        return target(next(f for f in result_fields(self.payload) if f.python_name == name))
