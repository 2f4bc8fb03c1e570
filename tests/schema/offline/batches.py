"""Batches as a terminal sends them when it is back."""

from __future__ import annotations

from typing import Any

from db.actor import Actor
from schema.ids import encode
from schema.scalars import show_instant
from tests.modules.production.shop import Shop, now
from tests.support import House

APPLY = """mutation($input: OfflineBatchApplyInput!) { offlineBatchApply(input: $input) {
  receivedAt skewSeconds errors { code path }
  items { sequence idempotencyKey status
    errors { __typename code message path retryable ... on OverCompletion { maxRemaining } }
    result { __typename
      ... on ProductionLogPayload { productionLog { id kind occurredAt good { value } } workOrder { id status } }
      ... on StatusPeriodPayload { statusPeriod { id status startedAt } }
      ... on MeterReadingPayload { meterReading { id total } } }
    current { id ... on WorkOrderOperation { workOrder { status version } } ... on Machine { code status } } } } }"""


def report(operation: int, key: str, *, good: int = 1, sequence: int = 1, **given: Any) -> dict[str, Any]:
    about = {"operationId": encode("WorkOrderOperation", operation), "kind": "REPORT", "good": str(good)}
    return item("productionLogRecord", sequence, idempotencyKey=key, **{**about, **given})


def status(machine_id: int, key: str, to: str, *, sequence: int = 1, at: Any = None) -> dict[str, Any]:
    given = {"machineId": encode("Machine", machine_id), "status": to, "occurredAt": show_instant(at or now())}
    return item("machineStatusRecord", sequence, idempotencyKey=key, **given)


def item(name: str, sequence: int, **action: Any) -> dict[str, Any]:
    return {"sequence": sequence, "recordedAt": show_instant(now()), "action": {name: action}}


def batch(*items: dict[str, Any], sent_at: Any = None) -> dict[str, Any]:
    return {"input": {"deviceId": "saw-terminal", "sentAt": show_instant(sent_at or now()), "items": list(items)}}


async def apply(house: House, actor: Actor, *items: dict[str, Any], **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await house.data(actor, APPLY, batch(*items, **given)))["offlineBatchApply"]
    return answer


def outcomes(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(one["status"], [error["code"] for error in one["errors"]]) for one in answer["items"]]


async def step_of(shop: Shop, **given: Any) -> tuple[int, int]:
    """A released order of one operation: their ids."""
    order = await shop.order(**given)
    return order, (await shop.operations(order))[0].id
