"""Root fields of notifications: always those of the caller. Done twice they are done once: they need no idempotency key."""

from datetime import datetime
from typing import Any

import strawberry

from db.session import WriteTx
from schema.context import Info
from schema.faults import bad_input
from schema.fields import AUTHENTICATED, events, listing, lookup, mutation, query
from schema.ids import key
from schema.payload import Payload, payload, result

from . import service
from .rules import Channel, Severity
from .types import NOTIFICATIONS, Notification, NotificationPreference

MOST_IDS = 200

notification = lookup(Notification, description="One of the caller's notifications by its id; null when unknown")
notifications = listing(Notification, NOTIFICATIONS, description="What the caller was told, newest first")
notification_events = events(
    Notification, NOTIFICATIONS, description="What the caller is told as it happens, and what was read meanwhile"
)


@query(AUTHENTICATED, description="How many notifications the caller has not read")
async def notification_unread_count(info: Info) -> int:
    async with info.context.read(None) as tx:
        return await service.unread(tx, tx.actor.user_id)


@query(AUTHENTICATED, description="Of what the caller can be told, and where the caller is told of it")
async def notification_preferences(info: Info) -> list[NotificationPreference]:
    async with info.context.read(None) as tx:
        return [_preference(found) for found in await service.preferences(tx)]


@strawberry.input(description="Notifications that were read")
class NotificationMarkReadInput:
    ids: list[strawberry.ID] = strawberry.field(description=f"The caller's own, at most {MOST_IDS}")


@strawberry.input(description="All that the caller was told was read")
class NotificationMarkAllReadInput:
    until: datetime | None = strawberry.field(
        description="Only what was told up to then, so that nothing is missed that came meanwhile", default=None
    )


@strawberry.input(description="Where the caller wants to be told of a kind of notification")
class NotificationPreferenceSetInput:
    kind: str = strawberry.field(description="The kind, as in `notificationPreferences`")
    channel: Channel = strawberry.field(description="Where")
    enabled: bool = strawberry.field(description="Whether to be told there")


@payload(description="Notifications after they were read")
class NotificationsPayload(Payload):
    notifications: list[Notification] | None = result(description="Those that were named, each once; null when refused")
    unread_count: int | None = result(description="How many the caller has not read; null when refused")


@payload(description="All notifications after they were read")
class NotificationMarkAllReadPayload(Payload):
    marked: int | None = result(description="How many had not been read before; null when refused")
    unread_count: int | None = result(description="How many the caller has not read; null when refused")


@payload(description="Where the caller is told from now on")
class NotificationPreferencePayload(Payload):
    preference: NotificationPreference | None = result(description="The kind and its channels; null when refused")


@mutation(AUTHENTICATED, NotificationsPayload, description="Note that the caller has read notifications")
async def notification_mark_read(tx: WriteTx, input: NotificationMarkReadInput, now: datetime) -> dict[str, Any]:
    if len(input.ids) > MOST_IDS:
        raise bad_input(f"At most {MOST_IDS} ids", "ids")
    service.person(tx)
    rows = await service.mark_read(tx, [key("Notification", id, "ids") for id in input.ids], now=now)
    await tx.flush()
    return {"notifications": rows, "unread_count": await service.unread(tx, tx.actor.user_id)}


@mutation(AUTHENTICATED, NotificationMarkAllReadPayload, description="Note that the caller has read all notifications")
async def notification_mark_all_read(tx: WriteTx, input: NotificationMarkAllReadInput, now: datetime) -> dict[str, Any]:
    marked = await service.mark_all_read(tx, until=input.until, now=now)
    return {"marked": marked, "unread_count": await service.unread(tx, tx.actor.user_id)}


@mutation(AUTHENTICATED, NotificationPreferencePayload, description="Choose where to be told of a kind of notification")
async def notification_preference_set(tx: WriteTx, input: NotificationPreferenceSetInput) -> dict[str, Any]:
    found = await service.prefer(tx, input.kind, input.channel, enabled=input.enabled)
    return {"preference": _preference(found)}


def _preference(found: service.Preference) -> NotificationPreference:
    return NotificationPreference(
        kind=found.kind, description=found.declared.description, severity=Severity(found.declared.severity),
        in_app=found.in_app, email=found.email, in_app_by_default=found.declared.in_app,
        email_by_default=found.declared.email,
    )  # fmt: skip
