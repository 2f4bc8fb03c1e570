"""Pieces reported at a small shop floor, by plan; and at its twin, by the loaders."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

from graphql import parse

from db.actor import Actor
from db.session import Database
from schema.context import Context
from schema.faults import Fault
from schema.ids import decode, encode
from schema.plans.execute import Prepared
from tests.modules.production.shop import Shop
from tests.plans.asking import Asking
from tests.support import House, NoHub, NoTokens

ROWS = """productionLog { id kind good { value } operator { fullName } }
  operation { id status quantityGood { value unit } available { value } plant { code } }
  workOrder { number status version operations(first: 2) { nodes { id sequence } totalCount { value } } }
  errors { code } __typename"""


def recording(selection: str, variables: str = "") -> str:
    return (
        f"mutation($operation: ID!, $key: String!, $good: Decimal = 5{variables}) {{ recordLog: productionLogRecord("
        f"input: {{operationId: $operation, kind: REPORT, good: $good, idempotencyKey: $key}}) {{ {selection} }} }}"
    )


async def planned(house: House, actor: Actor, document: str, **given: Any) -> tuple[Any, Any]:
    """What the plan answers, and what the loaders are to complete."""
    parsed = parse(document)
    context = Context(actor, house.database, NoHub(), NoTokens())
    try:
        answered = await Prepared(house.schema, parsed, parsed.definitions[0]).run(given, context)  # type: ignore[arg-type]
        return answered, next(iter(context.posted.values()), None)
    finally:
        await context.close()


async def watched(house: House) -> tuple[Database, list[str]]:
    """A database of one connection, and what is sent over it."""
    one = Database.connect("", pool_size=1)
    one.connections.connect = house.database.connections.connect
    seen: list[str] = []
    connection = await one.connections.take()
    connection.add_query_logger(lambda record: seen.append(record.query))
    one.connections.give(connection)
    return one, seen


async def pieces(house: House, actor: Actor) -> list[str]:
    found = await house.data(actor, "{ productionLogs { nodes { good { value } } } }")
    return [row["good"]["value"] for row in found["productionLogs"]["nodes"]]


@dataclass
class Twin:
    """One of two shops with an order of two operations each. What differs is their ids and their times."""

    shop: Shop
    operations: list[str]

    @classmethod
    async def opened(cls, shop: Shop) -> Twin:
        rows = await shop.operations(await shop.order(2))
        return cls(shop, [encode("WorkOrderOperation", row.id) for row in rows])

    async def answer(self, house: House, document: str, given: dict[str, Any], *, plans: bool, **extra: Any) -> str:
        """As the edge answers, with ids numbered as they come and times left out."""
        variables = {"first": self.operations[0], "second": self.operations[1], **given}
        answer = await Asking(house).answer(
            extra.pop("actor", self.shop.actor), document, variables, plans=plans, **extra
        )
        number, seen = itertools.count(1), dict[str, str]()

        def named(found: re.Match[str]) -> str:
            try:
                kind, _ = decode(found[1])
            except Fault:
                return found[0]
            return seen.setdefault(found[1], f'"{kind} {next(number)}"')

        plain = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "time", answer.decode())
        return re.sub(r'"([A-Za-z0-9+/=]+)"', named, re.sub(r'"requestId":"[^"]*"', "", plain))
