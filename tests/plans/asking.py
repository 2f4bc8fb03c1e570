"""One question to the edge's GraphQL, once with plans and once without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.admission import Turns
from api.buckets import Allowance, Buckets
from api.charging import Charging
from api.documents import Documents, Operation, named
from api.gate import Gate, Request
from api.graphql import GraphQL
from api.leases import Leases
from api.limits import Limits
from api.responses import dumps
from api.throttle import Throttle
from api.trusted import Trusted
from db.actor import Actor
from schema.permissions import check
from tests.support import House

GENEROUS = Limits(tokens=20_000, depth=20, aliases=1_000)


@dataclass
class Answers:
    slow: bytes
    fast: bytes
    planned: bool


class Asking:
    def __init__(self, house: House) -> None:
        self.documents = Documents(house.schema, GENEROUS, suggestions=True)
        allowance, sign_ins = Allowance(10**9, 10**9, 10**9), Throttle(per_minute=1_000, burst=1_000)
        charging = Charging(Buckets(Leases(house.database, allowance, GENEROUS, {}), allowance))
        self.graphql = GraphQL(
            house.schema, house.database, house.hub, house.tokens, GENEROUS, storage=house.storage, cache=house.cache,
            gate=Gate(self.documents, Trusted(self.documents, house.database), GENEROUS, {}, charging, sign_ins),
            admission=Turns(10, waiting=10, seconds=10), sign_ins_at_once=1, suggestions=True,
        )  # fmt: skip

    async def answer(
        self, actor: Actor, document: str, variables: dict[str, Any], *, plans: bool, name: str | None = None,
        key: str | None = None,
    ) -> bytes:  # fmt: skip
        request = Request(document, variables=variables, operation_name=name, idempotency_key=key)
        self.graphql.plans = plans
        operation = self._operation(document, name)
        check(operation.needs, actor)
        return dumps((await self.graphql.run(operation, request, actor)).payload)

    async def both(
        self, actor: Actor, document: str, variables: dict[str, Any] | None = None, name: str | None = None
    ) -> Answers:
        given = variables or {}
        slow = await self.answer(actor, document, given, plans=False, name=name)
        fast = await self.answer(actor, document, given, plans=True, name=name)
        prepared = self._operation(document, name).prepared
        return Answers(slow, fast, all((plan.roots or plan.calls) and not plan.left for plan in prepared.plans))

    def _operation(self, document: str, name: str | None) -> Operation:
        return named(self.documents.known(document) or self.documents.read(document), name)
