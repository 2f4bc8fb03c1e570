"""The public types of webhooks."""

from datetime import datetime
from typing import Any

import strawberry

from modules.identity.public import App, AppKey, Plant
from schema.feed import Cursor
from schema.ids import encode
from schema.node import Connection, Node, column, computed, node, to_many, to_one

from . import lists, rules, tables
from .tables import WebhookDelivery as DeliveryRow
from .tables import WebhookEndpoint as EndpointRow

READ = "webhooks.read"


@strawberry.type(description="Events of one type of object, and what of the object goes along")
class WebhookTopic:
    topic: str = strawberry.field(description="Type of the objects, as in `__typename`")
    selection: str | None = strawberry.field(
        description="Fields of the object that are sent, as `{ … }`; null where the event alone is sent"
    )


def _topics(topics: list[str], selections: dict[str, Any]) -> list[WebhookTopic]:
    return [WebhookTopic(topic=topic, selection=selections.get(topic)) for topic in topics]


def _cursor(pos: int) -> str:
    return str(Cursor(pos))


def _entity(topic: str | None, entity_id: int | None) -> strawberry.ID | None:
    return None if topic is None or entity_id is None else encode(topic, entity_id)


@node(tables.WebhookProgress, permission=READ, description="How far a webhook endpoint has come")
class WebhookProgress(Node):
    cursor: str = computed(
        _cursor, tables.WebhookProgress.pos, description="Events up to here have become deliveries, or are not for it"
    )
    failing_since: datetime | None = column(description="Since when nothing got through; null where it does")
    failures_in_a_row: int = column(
        tables.WebhookProgress.failures, description="Failed attempts since the last success"
    )
    dead_in_a_row: int = column(
        tables.WebhookProgress.dead, description="Deliveries whose attempts were used up since the last success"
    )
    delivered_at: datetime | None = column(description="When a delivery last got through")


@node(tables.WebhookAttempt, permission=READ, description="One request to a webhook endpoint, or the try to make it")
class WebhookAttempt(Node):
    number: int = column(description="1 for the first of its delivery")
    response_status: int | None = column(description="HTTP status of the answer; null without one")
    response_body: str | None = column(description="The first 1,024 bytes of the answer")
    error: str | None = column(description="Why there was no good answer; null where there was")
    duration_ms: int = column(description="How long it took, in milliseconds")
    plant: Plant | None = to_one(tables.WebhookAttempt.plant_id, description="Plant of the object; null for none")
    created_at: datetime = column(description="When it ended")


@node(DeliveryRow, permission=READ, description="What one endpoint is told of one event, with its attempts")
class WebhookDelivery(Node):
    endpoint: "WebhookEndpoint | None" = to_one(DeliveryRow.endpoint_id, description="The endpoint")
    reference: str = column(
        DeliveryRow.message_id,
        description="The header `webhook-id`: the same at every attempt, also by hand or in a replay",
    )
    kind: rules.DeliveryKind = column(description="What it tells")
    cursor: str = computed(_cursor, DeliveryRow.pos, description="Place in the order of all events")
    topic: str | None = column(description="Type of the object, as in `__typename`")
    entity_id: strawberry.ID | None = computed(
        _entity, DeliveryRow.topic, DeliveryRow.entity_id, description="Id of the object"
    )
    plant: Plant | None = to_one(DeliveryRow.plant_id, description="Plant of the object; null for none")
    status: rules.DeliveryStatus = column(description="Where it stands")
    attempt_count: int = column(description="How often it was tried")
    next_attempt_at: datetime | None = column(description="When it is tried again after a failure")
    response_status: int | None = column(description="HTTP status of the last answer")
    last_error: str | None = column(description="Why the last attempt failed, or it was skipped")
    finished_at: datetime | None = column(description="When it was over")
    created_at: datetime = column(description="When it was made of its event")
    attempts: Connection[WebhookAttempt] = to_many(
        tables.WebhookAttempt.delivery_id, lists.WEBHOOK_ATTEMPTS, description="Its attempts, oldest first"
    )


@node(EndpointRow, permission=READ, description="An address that is told of events, with the rights of an app's key")
class WebhookEndpoint(Node):
    app: App | None = to_one(EndpointRow.app_id, description="App it belongs to")
    app_key: AppKey | None = to_one(
        EndpointRow.app_key_id, description="Key whose permissions and plant decide what it is told; revoked, it pauses"
    )
    url: str = column(description="Where deliveries are sent by POST")
    description: str | None = column(description="What it is for, and who runs it")
    topics: list[WebhookTopic] = computed(
        _topics, EndpointRow.topics, EndpointRow.selections, description="What it is told of"
    )
    status: rules.EndpointStatus = column(description="Whether it is told of events")
    paused_reason: rules.PausedReason | None = column(description="Why it is paused; null where it is not")
    paused_at: datetime | None = column(description="Since when it is paused")
    archived_at: datetime | None = column(description="When it was archived; it is never told of anything again")
    progress: WebhookProgress | None = to_one(EndpointRow.id, description="How far it has come")
    deliveries: Connection[WebhookDelivery] = to_many(
        DeliveryRow.endpoint_id, lists.WEBHOOK_DELIVERIES, description="Its deliveries, newest first"
    )
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was made")
    updated_at: datetime = column(description="When it last changed")
