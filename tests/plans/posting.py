"""Pieces reported at a small shop floor, by plan."""

from __future__ import annotations

from typing import Any

from graphql import parse

from db.actor import Actor
from schema.context import Context
from schema.plans.execute import Prepared
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
        return await Prepared(house.schema, parsed, parsed.definitions[0]).run(given, context), context.posted  # type: ignore[arg-type]
    finally:
        await context.close()


async def pieces(house: House, actor: Actor) -> list[str]:
    found = await house.data(actor, "{ productionLogs { nodes { good { value } } } }")
    return [row["good"]["value"] for row in found["productionLogs"]["nodes"]]
