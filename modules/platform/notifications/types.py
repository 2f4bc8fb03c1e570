"""The public types of notifications."""

from datetime import datetime
from typing import Any

import strawberry

from modules.identity.public import Plant
from schema.context import Context
from schema.enums import public_enum
from schema.ids import encode
from schema.listing import Listing
from schema.node import Node, column, computed, node, to_one

from . import rules, service
from .tables import Notification as Row

public_enum(
    rules.Severity,
    name="NotificationSeverity",
    description="How much a notification matters",
    values={
        "INFO": "Good to know",
        "WARNING": "Somebody should look at it soon",
        "CRITICAL": "Somebody has to act now",
    },
)
public_enum(
    rules.Channel,
    name="NotificationChannel",
    description="Where people are told",
    values={"IN_APP": "In the application", "EMAIL": "By e-mail"},
)

NOTIFICATIONS = Listing(
    Row,
    name="Notification",
    where={
        "kind": Row.kind,
        "severity": Row.severity,
        "readAt": Row.read_at,
        "plant": Row.plant_id,
        "createdAt": Row.created_at,
    },
    order_by={"CREATED_AT": Row.created_at},
    default=("-CREATED_AT",),
)


def _about(entity_type: str | None, entity_id: int | None) -> strawberry.ID | None:
    return None if entity_type is None or entity_id is None else encode(entity_type, entity_id)


async def _unread(context: Context, user_id: int) -> int:
    async def counts(tx: Any, users: Any) -> list[int]:
        return [await service.unread(tx, user) for user in users]

    return int(await context.loaders.asked("unread", Notification, counts).load(user_id))


@node(Row, permission=None, description="Something the caller was told; nobody else sees it")
class Notification(Node):
    kind: str = column(description="What it is about, for example equipment.machine_down")
    severity: rules.Severity = column(description="How much it matters")
    title: str = column(description="What happened, in one line")
    body: str = column(description="What happened, in some lines")
    entity_type: str | None = column(description="Type of the object it is about, as in `__typename`")
    entity_id: strawberry.ID | None = computed(
        _about, Row.entity_type, Row.entity_id, description="Id of the object it is about; read it with `node`"
    )
    plant: Plant | None = to_one(Row.plant_id, description="Plant it happened in; null for the whole organization")
    by_email: bool = column(description="It is sent by e-mail as well")
    read_at: datetime | None = column(description="When it was read; null while it is not")
    created_at: datetime = column(description="When it was told")
    unread_count: int = computed(
        _unread, Row.user_id, in_context=True, description="How many the caller has not read now, this one or others"
    )


@strawberry.type(description="Where the caller is told of a kind of notification")
class NotificationPreference:
    kind: str = strawberry.field(description="The kind")
    description: str = strawberry.field(description="What it tells")
    severity: rules.Severity = strawberry.field(description="How much it matters")
    in_app: bool = strawberry.field(description="The caller is told in the application")
    email: bool = strawberry.field(description="The caller is told by e-mail")
    in_app_by_default: bool = strawberry.field(description="Who has not chosen is told in the application")
    email_by_default: bool = strawberry.field(description="Who has not chosen is told by e-mail")
