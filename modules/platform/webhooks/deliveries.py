"""Deliveries come from the event log, in its order: made and queued in the transaction that moves the endpoint's position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
from sqlalchemy import func, select, text

from db.actor import EVERYWHERE, Actor
from db.queue import Queue, enqueue
from db.session import WriteTx
from modules.identity.public import actor_of_key
from modules.platform.changes.service import by_scope
from schema.context import Event
from schema.feed import events_between, window
from schema.node import NODES, Declared

from .rules import DeliveryKind, DeliveryStatus, EndpointStatus, PausedReason
from .tables import WebhookDelivery, WebhookEndpoint, WebhookProgress

KIND = "platform.webhook"
PAGE = 100
MOST_OPEN = 500
"""Deliveries of an endpoint that wait at once; the other events wait in the log."""

_ENDPOINT = (
    select(WebhookEndpoint)
    .where(WebhookEndpoint.status == EndpointStatus.ACTIVE, WebhookEndpoint.archived_at.is_(None))
    .with_for_update(read=True, skip_locked=True)
)
_PROGRESS = select(WebhookProgress).with_for_update(skip_locked=True)
_PUT = text(
    "insert into app.webhook_deliveries"
    " (organization_id, endpoint_id, plant_id, message_id, kind, pos, topic, entity_id, key, event)"
    " select :org, :endpoint, plant_id, message_id, kind, pos, topic, entity_id, key, event"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as r (plant_id bigint, message_id text, kind text, pos bigint,"
    " topic text, entity_id bigint, key text, event jsonb) order by pos"
    " on conflict (organization_id, endpoint_id, message_id) do update"
    " set status = 'pending', attempt_count = 0, next_attempt_at = null, finished_at = null returning id"
)


class Moved(Enum):
    """How far an endpoint was moved on."""

    ALL = "all"
    SOME = "some"
    NOTHING = "nothing"
    """Too much of it is open."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint is to be told."""

    kind: DeliveryKind
    message_id: str
    pos: int
    key: str
    topic: str | None = None
    entity_id: int | None = None
    plant_id: int | None = None
    event: dict[str, Any] | None = None


async def advance(tx: WriteTx, endpoint_id: int, *, now: datetime) -> Moved:
    """Make deliveries of the next events of an active endpoint. Nothing happens where somebody else is at it."""
    mine = (WebhookEndpoint.organization_id == tx.org, WebhookEndpoint.id == endpoint_id)
    endpoint = await tx.one(_ENDPOINT.where(*mine))
    if endpoint is None:
        return Moved.ALL
    own = (WebhookProgress.organization_id == tx.org, WebhookProgress.id == endpoint_id)
    progress = await tx.one(_PROGRESS.where(*own))
    if progress is None:
        return Moved.ALL
    actor = await actor_of_key(tx, endpoint.app_key_id, now=now)
    if actor is None:
        pause(endpoint, PausedReason.NO_RIGHTS, now=now)
        return Moved.ALL
    room = MOST_OPEN - await _open(tx, endpoint_id)
    if room <= 0:
        return Moved.NOTHING
    resumable, newest = await window(tx, progress.pos)
    if not resumable:
        await tell(tx, endpoint_id, [resync(endpoint_id, newest)])
        progress.pos = newest
        return Moved.ALL
    size = min(PAGE, room)
    found = await _events(tx, actor, endpoint.topics, progress.pos, newest, size + 1)
    more = len(found) > size
    await tell(tx, endpoint_id, [_event(endpoint_id, event) for event in found[:size]])
    progress.pos = found[size - 1].pos if more else newest
    return Moved.SOME if more else Moved.ALL


async def tell(tx: WriteTx, endpoint_id: int, told: Sequence[Told]) -> list[int]:
    """Keep deliveries and queue a job for each. A delivery that was made before is open again, under the same id."""
    if not told:
        return []
    rows = [
        {
            "plant_id": one.plant_id, "message_id": one.message_id, "kind": str(one.kind), "pos": one.pos,
            "topic": one.topic, "entity_id": one.entity_id, "key": one.key, "event": one.event or {},
        }
        for one in told
    ]  # fmt: skip
    given = {"org": tx.org, "endpoint": endpoint_id, "rows": orjson.dumps(rows, option=orjson.OPT_UTC_Z).decode()}
    ids = await tx.scalars(_PUT, given)
    for one in told:
        await queue(tx, endpoint_id, one.key)
    return ids


async def queue(tx: WriteTx, endpoint_id: int, key: str) -> None:
    """A job delivers the oldest open delivery of its key: jobs of one key are as many as its deliveries, and in no order
    of their own, so a job too many finds nothing to do."""
    await enqueue(tx, Queue.WEBHOOKS, KIND, {"endpoint": endpoint_id, "key": key}, key=key)


async def requeue(tx: WriteTx, endpoint_id: int) -> None:
    """Jobs for everything that is open: those of a paused endpoint ended without doing anything."""
    keys = select(WebhookDelivery.key).where(
        WebhookDelivery.organization_id == tx.org, WebhookDelivery.endpoint_id == endpoint_id,
        WebhookDelivery.status == DeliveryStatus.PENDING,
    )  # fmt: skip
    for key in await tx.scalars(keys.order_by(WebhookDelivery.pos)):
        await queue(tx, endpoint_id, key)


def pause(endpoint: WebhookEndpoint, reason: PausedReason, *, now: datetime) -> None:
    endpoint.status, endpoint.paused_reason, endpoint.paused_at = EndpointStatus.PAUSED, reason, now


def resync(endpoint_id: int, pos: int) -> Told:
    return Told(DeliveryKind.RESYNC, f"resync_{endpoint_id}_{pos}", pos, f"webhook:{endpoint_id}:resync")


def _event(endpoint_id: int, event: Event) -> Told:
    return Told(
        DeliveryKind.EVENT, f"evt_{endpoint_id}_{event.pos}", event.pos,
        f"webhook:{endpoint_id}:{event.topic}:{event.entity_id}", event.topic, event.entity_id, event.plant_id,
        {
            "operation": event.operation, "changed_fields": list(event.changed_fields), "from_status": event.from_status,
            "to_status": event.to_status, "occurred_at": event.occurred_at, "department_id": event.department_id,
        },
    )  # fmt: skip


async def _events(tx: WriteTx, actor: Actor, names: list[str], after: int, upto: int, most: int) -> list[Event]:
    """The first events the key may see. Topics whose permissions hold in the same places are read together."""
    topics: list[Declared] = [NODES[name].__declared__ for name in names if name in NODES]
    readable = [topic for topic in topics if topic.permission is None or actor.may(topic.permission)]
    found: list[Event] = []
    for permission, together in by_scope(actor, readable):
        await tx.use_scope(actor.read_scope(permission))
        found += await events_between(tx, together, after, upto, most)
    await tx.use_scope(EVERYWHERE)
    return sorted(found, key=lambda event: event.pos)[:most]


async def _open(tx: WriteTx, endpoint_id: int) -> int:
    some = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.organization_id == tx.org, WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.status == DeliveryStatus.PENDING,
        )
        .limit(MOST_OPEN)
    )  # fmt: skip
    return int(await tx.scalar(select(func.count()).select_from(some.subquery())))
