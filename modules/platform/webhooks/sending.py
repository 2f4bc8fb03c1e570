"""One delivery at a time: which is next of an object, what its body says, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from graphql import GraphQLSchema
from sqlalchemy import select, text, update

from db.actor import Actor
from db.session import Database, WriteTx
from modules.identity.public import actor_of_key
from schema.faults import Fault
from schema.feed import Cursor
from schema.ids import encode
from schema.node import NODES
from schema.subscribe import EventType

from . import payloads, rules
from .deliveries import pause
from .rules import DeliveryKind, DeliveryStatus, EndpointStatus, PausedReason
from .tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookProgress

OUT_OF_SIGHT = "The object is out of the key's sight"
_SECRETS = text("select app.webhook_secrets(:endpoint, :now)")


@dataclass(frozen=True, slots=True)
class Sending:
    """A delivery that is to be sent now."""

    delivery: WebhookDelivery
    url: str
    selection: str | None
    secrets: list[bytes]
    actor: Actor | None
    failing: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request."""

    duration_ms: int
    status: int | None = None
    body: str | None = None
    error: str | None = None
    ours: bool = False
    """The fault is not the receiver's."""

    @property
    def good(self) -> bool:
        return self.error is None


async def next_open(tx: WriteTx, endpoint_id: int, key: str, *, now: datetime) -> Sending | None:
    """The oldest open delivery of an object, if its endpoint is to be told. Without rights the endpoint pauses."""
    delivery = await tx.one(_oldest(tx.org, key))
    endpoint = None if delivery is None else await tx.get(WebhookEndpoint, endpoint_id)
    if delivery is None or endpoint is None:
        return None
    failures: int | None = await tx.scalar(
        select(WebhookProgress.failures).where(
            WebhookProgress.organization_id == tx.org, WebhookProgress.id == endpoint_id
        )
    )
    if failures is None:  # it was taken away meanwhile
        return None
    if endpoint.archived_at is not None:
        _end(delivery, DeliveryStatus.SKIPPED, now, "The endpoint was archived")
        return None
    actor = await actor_of_key(tx, endpoint.app_key_id, now=now)
    if delivery.kind is not DeliveryKind.PING:
        if endpoint.status is EndpointStatus.PAUSED:
            return None
        if actor is None:
            pause(await tx.locked(WebhookEndpoint, endpoint_id), PausedReason.NO_RIGHTS, now=now)
            return None
    secrets = await tx.scalars(_SECRETS, {"endpoint": endpoint_id, "now": now})
    return Sending(
        delivery, endpoint.url, endpoint.selections.get(delivery.topic or ""), secrets, actor,
        failures >= rules.FAILING,
    )  # fmt: skip


async def body_of(sending: Sending, schema: GraphQLSchema, database: Database) -> bytes | None:
    """What is sent, with the object as it is now; None where the key may not see it."""
    delivery = sending.delivery
    cursor = str(Cursor(delivery.pos))
    if delivery.kind is not DeliveryKind.EVENT:
        resync = delivery.kind is DeliveryKind.RESYNC
        return _encoded(
            delivery, "resync" if resync else "ping", delivery.created_at, {"cursor": cursor, "resyncRequired": resync}
        )
    assert delivery.topic is not None
    assert delivery.entity_id is not None
    assert sending.actor is not None
    event = delivery.event
    found: dict[str, Any] | None = None
    if event["operation"] == "delete":
        if not _covers(sending.actor, delivery):
            return None
    else:
        try:
            found = await payloads.read(
                schema, database, sending.actor, delivery.topic, delivery.entity_id,
                sending.selection or payloads.SIGHT,
            )  # fmt: skip
        except Fault:  # a permission it does not hold any more
            return None
        if found is None:
            return None
    kind = EventType(event["operation"]).name
    said = {
        "cursor": cursor,
        "resyncRequired": False,
        "topic": delivery.topic,
        "type": kind,
        "entityId": encode(delivery.topic, delivery.entity_id),
        "changedFields": event["changed_fields"],
        "fromStatus": _upper(event["from_status"]),
        "toStatus": _upper(event["to_status"]),
        "object": found if sending.selection else None,
    }
    return _encoded(delivery, f"{delivery.topic}.{kind}", event["occurred_at"], said)


async def skip(tx: WriteTx, delivery: WebhookDelivery, *, now: datetime) -> None:
    await _close(tx, delivery, status=DeliveryStatus.SKIPPED, finished_at=now, last_error=OUT_OF_SIGHT)


async def keep(
    tx: WriteTx, delivery: WebhookDelivery, outcome: Outcome, *, now: datetime, jitter: float, delays: tuple[float, ...]
) -> float | None:
    """Keep what came of an attempt; answers the seconds until the next one, or None where there is none. An endpoint that
    fails for too long is paused."""
    number = delivery.attempt_count + 1
    ping = delivery.kind is DeliveryKind.PING
    seconds = None if ping or outcome.good else rules.delay(number, jitter, delays)
    if not ping and not outcome.ours:  # before the delivery: those who make deliveries lock in this order
        if outcome.good:
            await _succeeded(tx, delivery.endpoint_id, now)
        else:
            await _failed(tx, delivery.endpoint_id, outcome, dead=seconds is None, now=now)
    ended = DeliveryStatus.DELIVERED if outcome.good else DeliveryStatus.DEAD
    await _close(
        tx, delivery, attempt_count=number, response_status=outcome.status, last_error=outcome.error,
        status=ended if seconds is None else DeliveryStatus.PENDING, finished_at=now if seconds is None else None,
        next_attempt_at=None if seconds is None else now + timedelta(seconds=seconds),
    )  # fmt: skip
    tx.add(WebhookAttempt(
        delivery_id=delivery.id, plant_id=delivery.plant_id, number=number, response_status=outcome.status,
        response_body=outcome.body, error=outcome.error, duration_ms=outcome.duration_ms,
    ))  # fmt: skip
    return seconds


async def _succeeded(tx: WriteTx, endpoint_id: int, now: datetime) -> None:
    """At most once a second: deliveries of an endpoint would wait for each other at this row."""
    mine = (WebhookProgress.organization_id == tx.org, WebhookProgress.id == endpoint_id)
    stale = WebhookProgress.delivered_at.is_(None) | (WebhookProgress.delivered_at < now - timedelta(seconds=1))
    await tx.execute(
        update(WebhookProgress)
        .where(*mine, stale | (WebhookProgress.failures > 0))
        .values(failures=0, dead=0, failing_since=None, delivered_at=now)
    )


async def _failed(tx: WriteTx, endpoint_id: int, outcome: Outcome, *, dead: bool, now: datetime) -> None:
    endpoint = await tx.locked(WebhookEndpoint, endpoint_id)
    progress = await tx.locked(WebhookProgress, endpoint_id)
    progress.failures += 1
    progress.dead += dead
    progress.failing_since = progress.failing_since or now
    reason = rules.pause_reason(
        response=outcome.status, failures=progress.failures, dead=progress.dead, failing_since=progress.failing_since,
        now=now,
    )  # fmt: skip
    if reason is not None and endpoint.status is EndpointStatus.ACTIVE:
        pause(endpoint, reason, now=now)


async def _close(tx: WriteTx, delivery: WebhookDelivery, **values: Any) -> None:
    """Only what is still as it was read: it may have been opened anew meanwhile."""
    await tx.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.organization_id == tx.org, WebhookDelivery.id == delivery.id,
            WebhookDelivery.status == DeliveryStatus.PENDING,
            WebhookDelivery.attempt_count == delivery.attempt_count,
        )
        .values(**values)
    )  # fmt: skip


def _end(delivery: WebhookDelivery, status: DeliveryStatus, now: datetime, why: str) -> None:
    delivery.status, delivery.finished_at, delivery.last_error = status, now, why


def _oldest(org: int, key: str) -> Any:
    of_key = (WebhookDelivery.organization_id == org, WebhookDelivery.key == key)
    return (
        select(WebhookDelivery)
        .where(*of_key, WebhookDelivery.status == DeliveryStatus.PENDING)
        .order_by(WebhookDelivery.pos, WebhookDelivery.id)
        .limit(1)
    )


def _covers(actor: Actor, delivery: WebhookDelivery) -> bool:
    """Where there is no row to ask, the place the event had decides."""
    declared = NODES[str(delivery.topic)].__declared__
    if declared.permission is not None and not actor.may(declared.permission):
        return False
    scope = actor.read_scope(declared.permission)
    if declared.divided:
        return scope.covers_row(delivery.plant_id, delivery.event["department_id"])
    return scope.covers_plant(delivery.plant_id)


def _upper(status: str | None) -> str | None:
    return None if status is None else status.upper()


def _encoded(delivery: WebhookDelivery, kind: str, at: Any, data: Mapping[str, Any]) -> bytes:
    body = {"id": delivery.message_id, "type": kind, "timestamp": at, "data": data}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)
