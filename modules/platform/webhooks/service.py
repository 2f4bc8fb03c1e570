"""Use cases of webhooks. An endpoint has the rights of a key, so only who holds those rights decides where they lead."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from graphql import GraphQLSchema
from sqlalchemy import ColumnElement, func, select, text

from db.refusal import Archived, InvalidTransition, ValidationFailed
from db.session import WriteTx
from modules.identity.public import AppKeyRow, key_to_lend, require_everywhere
from modules.platform.work.tables import Job, JobStatus
from schema.checks import between, optional_text
from schema.feed import Cursor, oldest, window

from . import deliveries, payloads, rules
from .deliveries import Told
from .rules import DeliveryKind, DeliveryStatus, EndpointStatus, PausedReason
from .tables import WebhookDelivery, WebhookEndpoint, WebhookProgress

MANAGE = "webhooks.manage"
MOST_ENDPOINTS = 100

_SECRET = text("select app.webhook_secret_put(:endpoint, :secret, :now, :until)")
_POSITION_AT = text("select pos, complete from app.event_position_at(:time)")
_RETRY = text("select app.job_retry(:job)")


class Topic(Protocol):
    """A topic as a caller gives it."""

    topic: str
    selection: str | None


async def create(
    tx: WriteTx, *, app_key_id: int, url: str, description: str | None, topics: Sequence[Topic], schema: GraphQLSchema,
    now: datetime,
) -> tuple[WebhookEndpoint, str]:  # fmt: skip
    """An endpoint that is told of what happens from now on, and its secret."""
    require_everywhere(tx, MANAGE)
    key = await key_to_lend(tx, app_key_id, now=now, path=("appKeyId",))
    await tx.key_lock("webhooks")
    live = (WebhookEndpoint.organization_id == tx.org, WebhookEndpoint.archived_at.is_(None))
    if await tx.scalar(select(func.count()).where(*live)) >= MOST_ENDPOINTS:
        raise ValidationFailed(
            f"At most {MOST_ENDPOINTS} endpoints", path=("url",), constraint=f"maxItems {MOST_ENDPOINTS}"
        )
    names, selections = _topics(topics, key, schema)
    endpoint = WebhookEndpoint(
        app_id=key.app_id, app_key_id=key.id, url=rules.checked_url(url), topics=names, selections=selections,
        description=optional_text(description, "description", max=1_000), status=EndpointStatus.ACTIVE,
    )  # fmt: skip
    tx.add(endpoint)
    await tx.flush()
    _, newest = await window(tx, 0)
    tx.add(WebhookProgress(id=endpoint.id, pos=newest, failures=0, dead=0))
    await tx.flush()
    return endpoint, await _new_secret(tx, endpoint.id, now=now, until=now)


async def update(
    tx: WriteTx, id: int, given: dict[str, Any], *, version: int, schema: GraphQLSchema, now: datetime
) -> WebhookEndpoint:
    """Change what is given. Topics and rights have to fit each other afterwards."""
    endpoint = await _own(tx, id, version=version)
    key = await key_to_lend(tx, given.get("app_key_id", endpoint.app_key_id), now=now, path=("appKeyId",))
    if key.app_id != endpoint.app_id:
        raise ValidationFailed("A key of the same app", path=("appKeyId",), constraint="sameApp")
    endpoint.app_key_id = key.id
    if "url" in given:
        endpoint.url = rules.checked_url(given["url"])
    if "description" in given:
        endpoint.description = optional_text(given["description"], "description", max=1_000)
    topics = given.get("topics", [_Kept(name, endpoint.selections.get(name)) for name in endpoint.topics])
    endpoint.topics, endpoint.selections = _topics(topics, key, schema)
    return endpoint


async def archive(tx: WriteTx, id: int, *, version: int, now: datetime) -> WebhookEndpoint:
    """Never tell it of anything again; what waits is skipped when its turn comes."""
    require_everywhere(tx, MANAGE)
    endpoint = await tx.locked(WebhookEndpoint, id, version=version)
    endpoint.archived_at = endpoint.archived_at or now
    if endpoint.status is EndpointStatus.PAUSED:
        await tx.flush()
        await deliveries.requeue(tx, id)  # their jobs ended; these find it archived
    return endpoint


async def pause(tx: WriteTx, id: int, *, version: int, now: datetime) -> WebhookEndpoint:
    endpoint = await _own(tx, id, version=version)
    if endpoint.status is EndpointStatus.PAUSED:
        raise _already(endpoint.status, EndpointStatus.PAUSED)
    deliveries.pause(endpoint, PausedReason.BY_HAND, now=now)
    return endpoint


async def resume(tx: WriteTx, id: int, *, version: int, now: datetime) -> WebhookEndpoint:
    """Go on where it stopped: first what waits, then the log from the endpoint's position."""
    endpoint = await _own(tx, id, version=version)
    if endpoint.status is EndpointStatus.ACTIVE:
        raise _already(endpoint.status, EndpointStatus.ACTIVE)
    await key_to_lend(tx, endpoint.app_key_id, now=now, path=("id",))
    endpoint.status, endpoint.paused_reason, endpoint.paused_at = EndpointStatus.ACTIVE, None, None
    progress = await tx.locked(WebhookProgress, id)
    progress.failures, progress.dead, progress.failing_since = 0, 0, None
    await deliveries.requeue(tx, id)
    keys = select(WebhookDelivery.key).where(
        WebhookDelivery.organization_id == tx.org, WebhookDelivery.endpoint_id == id,
        WebhookDelivery.status == DeliveryStatus.PENDING,
    )  # fmt: skip
    await _at_once(tx, Job.key.in_(keys))  # what waits for its next attempt stands before the rest of its object
    return endpoint


async def rotate(
    tx: WriteTx, id: int, *, grace_minutes: int | None, now: datetime
) -> tuple[WebhookEndpoint, str, datetime]:
    """A new secret; the old one signs along for a while."""
    endpoint = await _own(tx, id)
    most = int(rules.LONGEST_GRACE.total_seconds() // 60)
    minutes = int(rules.GRACE.total_seconds() // 60) if grace_minutes is None else grace_minutes
    between(minutes, "graceMinutes", least=0, most=most)
    until = now + timedelta(minutes=minutes)
    return endpoint, await _new_secret(tx, id, now=now, until=until), until


async def replay(
    tx: WriteTx, id: int, *, version: int, after: Cursor | None = None, since: datetime | None = None
) -> WebhookEndpoint:
    """Tell it again of everything after a place in the log. Of what the log has forgotten, it is told that it is missing."""
    endpoint = await _own(tx, id, version=version)
    progress = await tx.locked(WebhookProgress, id)
    if after is not None:
        _, newest = await window(tx, after.pos)
        if after.pos > newest:
            raise ValidationFailed("A place that has been reached", path=("from", "cursor"), constraint="past")
        progress.pos = after.pos
        return endpoint
    row = await tx.first(_POSITION_AT, {"time": since})
    assert row is not None
    progress.pos = row.pos
    if not row.complete:
        await deliveries.tell(tx, id, [deliveries.resync(id, await oldest(tx))])
    return endpoint


async def ping(tx: WriteTx, id: int) -> WebhookDelivery:
    """Try the endpoint, also while it is paused."""
    await _own(tx, id)
    _, newest = await window(tx, 0)
    name = f"ping_{uuid4().hex}"
    (made,) = await deliveries.tell(tx, id, [Told(DeliveryKind.PING, name, newest, f"webhook:{id}:{name}")])
    return await tx.found(WebhookDelivery, made)


async def redeliver(tx: WriteTx, id: int) -> WebhookDelivery:
    """Deliver again what is over, under the same id; try at once what waits for its next attempt."""
    require_everywhere(tx, MANAGE)
    await _own(tx, (await tx.found(WebhookDelivery, id)).endpoint_id)
    delivery = await tx.locked(WebhookDelivery, id)
    if delivery.status is DeliveryStatus.PENDING:
        await _at_once(tx, Job.key == delivery.key)
        await deliveries.queue(tx, delivery.endpoint_id, delivery.key)  # its own may have been discarded
        return delivery
    delivery.status, delivery.attempt_count = DeliveryStatus.PENDING, 0
    delivery.finished_at = delivery.next_attempt_at = None
    await tx.flush()
    await deliveries.queue(tx, delivery.endpoint_id, delivery.key)
    return delivery


async def _at_once(tx: WriteTx, of: ColumnElement[bool]) -> None:
    waiting = (Job.organization_id == tx.org, Job.kind == deliveries.KIND, Job.status == JobStatus.FAILED, of)
    for job in await tx.scalars(select(Job.id).where(*waiting)):
        await tx.scalar(_RETRY, {"job": job})


class _Kept:
    def __init__(self, topic: str, selection: str | None) -> None:
        self.topic = topic
        self.selection = selection


def _topics(given: Sequence[Topic], key: AppKeyRow, schema: GraphQLSchema) -> tuple[list[str], dict[str, Any]]:
    """Each topic once, with its selection where it has one; of both the key must have the rights."""
    if not 1 <= len(given) <= rules.MOST_TOPICS:
        raise ValidationFailed(
            f"From 1 to {rules.MOST_TOPICS}", path=("topics",), constraint=f"items 1 {rules.MOST_TOPICS}"
        )
    names: list[str] = []
    selections: dict[str, Any] = {}
    for n, one in enumerate(given):
        path = f"topics.{n}"
        name = payloads.checked_topic(one.topic, f"{path}.topic")
        if name in names:
            raise ValidationFailed("Each topic once", path=("topics", n, "topic"), constraint="unique")
        names.append(name)
        payloads.checked_selection(schema, name, payloads.SIGHT, key.scopes, f"{path}.topic")
        if one.selection is not None:
            selections[name] = payloads.checked_selection(schema, name, one.selection, key.scopes, f"{path}.selection")
    return names, selections


async def _own(tx: WriteTx, id: int, *, version: int | None = None) -> WebhookEndpoint:
    """An endpoint in use, held for a change."""
    require_everywhere(tx, MANAGE)
    endpoint = await tx.locked(WebhookEndpoint, id, version=version)
    if endpoint.archived_at is not None:
        raise Archived("It is archived", path=("id",))
    return endpoint


async def _new_secret(tx: WriteTx, id: int, *, now: datetime, until: datetime) -> str:
    secret = secrets.token_bytes(rules.SECRET_BYTES)
    await tx.execute(_SECRET, {"endpoint": id, "secret": secret, "now": now, "until": until})
    return rules.shown_secret(secret)


def _already(from_: EndpointStatus, to: EndpointStatus) -> InvalidTransition:
    other = [status.name for status in EndpointStatus if status is not from_]
    return InvalidTransition("It is so already", path=("id",), from_=from_.name, to=to.name, allowed=other)
