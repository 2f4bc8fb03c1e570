"""One question to the edge's GraphQL, once with plans and once without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.graphql import GraphQL, Request
from api.limits import Limits
from api.responses import dumps
from api.throttle import Throttle
from db.actor import Actor
from tests.support import House

GENEROUS = Limits(tokens=20_000, depth=20, aliases=1_000)


@dataclass
class Answers:
    slow: bytes
    fast: bytes
    planned: bool


class Asking:
    def __init__(self, house: House) -> None:
        self.graphql = GraphQL(
            house.schema, house.database, house.hub, house.tokens, GENEROUS, storage=house.storage, cache=house.cache,
            sign_ins=Throttle(per_minute=1_000, burst=1_000), sign_ins_at_once=1, suggestions=True,
        )  # fmt: skip

    async def answer(self, actor: Actor, document: str, variables: dict[str, Any], *, plans: bool) -> bytes:
        request = Request(document, variables=variables)
        self.graphql.plans = plans
        operation = self.graphql.prepare(request, actor)
        return dumps((await self.graphql.run(operation, request, actor)).payload)

    async def both(self, actor: Actor, document: str, variables: dict[str, Any] | None = None) -> Answers:
        given = variables or {}
        slow = await self.answer(actor, document, given, plans=False)
        fast = await self.answer(actor, document, given, plans=True)
        prepared = self.graphql.documents.operation(document, None).prepared
        return Answers(slow, fast, all(plan.roots and not plan.left for plan in prepared.plans))
