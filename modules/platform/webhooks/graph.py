"""Root fields of webhooks."""

from datetime import datetime
from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry import UNSET

from db.session import WriteTx
from schema.context import Info
from schema.faults import bad_input
from schema.feed import Cursor
from schema.fields import events, listing, lookup, mutation
from schema.ids import key
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from . import lists, service, tables
from .types import WebhookDelivery, WebhookEndpoint

MANAGE = service.MANAGE

webhook_endpoint = lookup(WebhookEndpoint, description="One webhook endpoint")
webhook_endpoints = listing(
    WebhookEndpoint, lists.WEBHOOK_ENDPOINTS, description="Webhook endpoints, oldest first; archived ones included"
)
webhook_delivery = lookup(WebhookDelivery, description="One delivery")
webhook_deliveries = listing(WebhookDelivery, lists.WEBHOOK_DELIVERIES, description="Deliveries, newest first")
webhook_endpoint_events = events(
    WebhookEndpoint, lists.WEBHOOK_ENDPOINTS, description="Webhook endpoints as they change, are paused or resumed"
)


@strawberry.input(description="Events of one type of object, and what of the object goes along")
class WebhookTopicInput:
    topic: str = strawberry.field(description="Type of the objects, as in `__typename`; not `Job`")
    selection: str | None = strawberry.field(
        default=None,
        description="Fields of the object to send, as `{ number status plant { code } }`; absent: the event alone",
    )


# Not repeatable by a key: its receipt would keep the secret.
@strawberry.input(description="An address to be told of events")
class WebhookEndpointCreateInput:
    app_key_id: strawberry.ID = strawberry.field(
        description="Key of an app; its permissions and plant decide what is told. The caller holds them too"
    )
    url: str = strawberry.field(description="Where deliveries are sent by POST; https, at most 2,000 characters")
    topics: list[WebhookTopicInput] = strawberry.field(description="What it is told of, 1 to 100")
    description: str | None = strawberry.field(default=None, description="What it is for, and who runs it")


@strawberry.input(description="Changes to a webhook endpoint; absent fields stay as they are")
class WebhookEndpointUpdateInput:
    id: strawberry.ID = strawberry.field(description="The endpoint")
    expected_version: int = strawberry.field(description=VERSION)
    app_key_id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="Another key of the same app")
    url: strawberry.Maybe[str] = strawberry.field(description="Where deliveries are sent by POST")
    topics: strawberry.Maybe[list[WebhookTopicInput]] = strawberry.field(description="What it is told of, 1 to 100")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What it is for, and who runs it")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY)


@strawberry.input(description="A webhook endpoint to archive, pause or resume")
class WebhookEndpointInput(VersionInput):
    of = "WebhookEndpoint"


@strawberry.input(description="A secret to replace")
class WebhookSecretRotateInput:
    id: strawberry.ID = strawberry.field(description="The endpoint")
    grace_minutes: int | None = strawberry.field(
        default=None, description="How long the old secret signs along, 0 to 43,200 minutes; a day unless stated"
    )


@strawberry.input(one_of=True, description="A place in the event log: exactly one of these")
class WebhookReplayFromInput:
    cursor: str | None = strawberry.field(default=UNSET, description="After the event of this cursor")
    time: datetime | None = strawberry.field(default=UNSET, description="From the events logged at this time on")


@strawberry.input(description="Events to tell again")
class WebhookEndpointReplayInput(VersionInput):
    of = "WebhookEndpoint"

    from_: WebhookReplayFromInput = strawberry.field(name="from", description="Where to begin")


@strawberry.input(description="A webhook endpoint to try")
class WebhookEndpointTestInput:
    id: strawberry.ID = strawberry.field(description="The endpoint, paused or not")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY)


@strawberry.input(description="A delivery to make again")
class WebhookDeliveryRedeliverInput:
    id: strawberry.ID = strawberry.field(description="The delivery, over or waiting for its next attempt")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY)


@payload(description="A webhook endpoint after a change")
class WebhookEndpointPayload(Payload):
    webhook_endpoint: WebhookEndpoint | None = result(description="The endpoint; null when refused")


@payload(description="A webhook endpoint with a new secret")
class WebhookSecretPayload(Payload):
    webhook_endpoint: WebhookEndpoint | None = result(description="The endpoint; null when refused")
    secret: str | None = result(
        description="What deliveries are signed with: `whsec_` and base64. It is shown only here"
    )
    old_valid_until: datetime | None = result(description="Until when the secret before signs along")


@payload(description="A delivery after a decision")
class WebhookDeliveryPayload(Payload):
    webhook_delivery: WebhookDelivery | None = result(description="The delivery; null when refused")


@mutation(MANAGE, WebhookSecretPayload, description="Have an address told of events from now on")
async def webhook_endpoint_create(
    tx: WriteTx, input: WebhookEndpointCreateInput, info: Info, now: datetime
) -> dict[str, Any]:
    made, secret = await service.create(
        tx, app_key_id=key("AppKey", input.app_key_id, "appKeyId"), url=input.url, description=input.description,
        topics=input.topics, schema=_schema(info), now=now,
    )  # fmt: skip
    return {"webhook_endpoint": made, "secret": secret}


@mutation(
    MANAGE,
    WebhookEndpointPayload,
    description="Change a webhook endpoint; what is queued already goes to the new address",
)
async def webhook_endpoint_update(
    tx: WriteTx, input: WebhookEndpointUpdateInput, info: Info, now: datetime
) -> tables.WebhookEndpoint:
    given = changes(input, "url", "topics", "description", "app_key_id", required=("url", "topics", "app_key_id"))
    if "app_key_id" in given:
        given["app_key_id"] = key("AppKey", given["app_key_id"], "appKeyId")
    return await service.update(
        tx, key("WebhookEndpoint", input.id), given, version=input.expected_version, schema=_schema(info), now=now
    )


@mutation(MANAGE, WebhookEndpointPayload, description="Never tell a webhook endpoint of anything again")
async def webhook_endpoint_archive(tx: WriteTx, input: WebhookEndpointInput, now: datetime) -> tables.WebhookEndpoint:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, WebhookEndpointPayload, description="Have the deliveries of a webhook endpoint wait")
async def webhook_endpoint_pause(tx: WriteTx, input: WebhookEndpointInput, now: datetime) -> tables.WebhookEndpoint:
    return await service.pause(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, WebhookEndpointPayload, description="Have a paused webhook endpoint go on where it stopped")
async def webhook_endpoint_resume(tx: WriteTx, input: WebhookEndpointInput, now: datetime) -> tables.WebhookEndpoint:
    return await service.resume(tx, input.key, version=input.expected_version, now=now)


@mutation(
    MANAGE, WebhookEndpointPayload,
    description="Tell a webhook endpoint again of everything after a place in the log, under the same ids as before",
)  # fmt: skip
async def webhook_endpoint_replay(tx: WriteTx, input: WebhookEndpointReplayInput) -> tables.WebhookEndpoint:
    cursor, time = input.from_.cursor, input.from_.time
    if cursor is None or time is None:
        raise bad_input("Exactly one of `cursor` and `time`, not null", "from")
    after = None if cursor is UNSET else Cursor.of(cursor, "from.cursor")
    since = None if time is UNSET else time
    return await service.replay(tx, input.key, version=input.expected_version, after=after, since=since)


@mutation(MANAGE, WebhookDeliveryPayload, description="Send a webhook endpoint a signed ping, once")
async def webhook_endpoint_test(tx: WriteTx, input: WebhookEndpointTestInput) -> tables.WebhookDelivery:
    return await service.ping(tx, key("WebhookEndpoint", input.id))


@mutation(MANAGE, WebhookSecretPayload, description="Sign with a new secret; the old one signs along for a while")
async def webhook_secret_rotate(tx: WriteTx, input: WebhookSecretRotateInput, now: datetime) -> dict[str, Any]:
    endpoint, secret, until = await service.rotate(
        tx, key("WebhookEndpoint", input.id), grace_minutes=input.grace_minutes, now=now
    )
    return {"webhook_endpoint": endpoint, "secret": secret, "old_valid_until": until}


@mutation(
    MANAGE,
    WebhookDeliveryPayload,
    description="Deliver again, under the same id; what waits for its next attempt, at once",
)
async def webhook_delivery_redeliver(tx: WriteTx, input: WebhookDeliveryRedeliverInput) -> tables.WebhookDelivery:
    return await service.redeliver(tx, key("WebhookDelivery", input.id))


def _schema(info: Info) -> GraphQLSchema:
    return info._raw_info.schema
