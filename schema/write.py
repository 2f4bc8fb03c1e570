"""How a mutation runs: one transaction, once per idempotency key, again after a deadlock, refusals as data."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import DBAPIError

from db.actor import Access
from db.base import LedgerTable
from db.refusal import Refused
from db.session import WriteTx, sqlstate
from schema.context import Info
from schema.faults import unstorable
from schema.idempotency import checked_key, first_answer, keep, request_hash, restored
from schema.loaders import by_keys
from schema.node import Node, target
from schema.payload import Payload, refused_as, result_fields

ATTEMPTS = 3
SERIALIZATION_FAILURES = {"40001", "40P01"}


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
        prepared = None
        if self.before is not None:
            try:
                prepared = await self.before(info, input)
            except Refused as refused:
                return refused_as(self.payload, refused)
            await info.context.renew()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(info, input, prepared)
            except Refused as refused:
                return refused_as(self.payload, refused)
            except DBAPIError as error:
                if fault := unstorable(error):
                    raise fault from error
                if attempt == ATTEMPTS or sqlstate(error) not in SERIALIZATION_FAILURES:
                    raise
                await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)
        raise AssertionError("unreachable")

    async def _once(self, info: Info, input: Any, prepared: Any = None) -> Payload:
        context = info.context
        header = context.idempotency_key if hasattr(input, "idempotency_key") else None
        key = checked_key(getattr(input, "idempotency_key", None), header)
        field, hash = info.field_name, request_hash(input)
        async with context.write(self.permission, self.access) as tx:
            if key is not None and (stored := await first_answer(tx, field, key, hash)) is not None:
                context.extensions["idempotency"] = {"replayed": True}
                return await self._replayed(tx, stored)
            given = {"tx": tx, "input": input, "now": datetime.now(UTC), "info": info, "prepared": prepared}
            outcome = await self.function(**{name: given[name] for name in self._takes})
            await tx.flush()
            if isinstance(outcome, Refused):
                return refused_as(self.payload, outcome)
            results = self._named(outcome)
            if key is not None:
                await keep(tx, field, key, hash, results)
            return self.payload(**{name: await self._shown(tx, name, value) for name, value in results.items()})

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
