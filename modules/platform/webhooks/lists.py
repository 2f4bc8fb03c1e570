"""What can be listed of webhooks."""

from schema.enums import public_enum
from schema.listing import Listing

from .rules import DeliveryKind, DeliveryStatus, EndpointStatus, PausedReason
from .tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint

public_enum(
    EndpointStatus,
    name="WebhookEndpointStatus",
    description="Whether an endpoint is told of events",
    values={
        "ACTIVE": "It is told of events",
        "PAUSED": "Its deliveries wait; resumed, it goes on where it stopped",
    },
)
public_enum(
    PausedReason,
    name="WebhookPausedReason",
    description="Why an endpoint is paused",
    values={
        "BY_HAND": "Somebody paused it",
        "GONE": "It answered 410 Gone",
        "FAILING": "Nothing got through for 24 hours, or the last five deliveries died",
        "NO_RIGHTS": "Its key was revoked or has expired, or its app was archived",
    },
)
public_enum(
    DeliveryKind,
    name="WebhookDeliveryKind",
    description="What a delivery tells",
    values={
        "EVENT": "Something happened to an object",
        "RESYNC": "Events are missing because the log does not reach back that far: read everything again",
        "PING": "Nothing: somebody tries the endpoint",
    },
)
public_enum(
    DeliveryStatus,
    name="WebhookDeliveryStatus",
    description="Where a delivery stands",
    values={
        "PENDING": "It waits for its first attempt, for another one, for an earlier one of its object, or for the endpoint",
        "DELIVERED": "The receiver answered 2xx",
        "DEAD": "Its attempts are used up; it can be delivered again by hand",
        "SKIPPED": "Not sent: its object is out of the key's sight, or the endpoint was archived",
    },
)

WEBHOOK_ENDPOINTS = Listing(
    WebhookEndpoint,
    name="WebhookEndpoint",
    where={
        "app": WebhookEndpoint.app_id,
        "status": WebhookEndpoint.status,
        "archivedAt": WebhookEndpoint.archived_at,
        "createdAt": WebhookEndpoint.created_at,
    },
    order_by={"CREATED_AT": WebhookEndpoint.created_at},
    default=("CREATED_AT",),
)
WEBHOOK_DELIVERIES = Listing(
    WebhookDelivery,
    name="WebhookDelivery",
    where={
        "endpoint": WebhookDelivery.endpoint_id,
        "status": WebhookDelivery.status,
        "topic": WebhookDelivery.topic,
        "reference": WebhookDelivery.message_id,
        "plant": WebhookDelivery.plant_id,
        "createdAt": WebhookDelivery.created_at,
    },
    order_by={"CREATED_AT": WebhookDelivery.created_at},
    default=("-CREATED_AT",),
)
WEBHOOK_ATTEMPTS = Listing(
    WebhookAttempt,
    name="WebhookAttempt",
    where={"createdAt": WebhookAttempt.created_at},
    order_by={"CREATED_AT": WebhookAttempt.created_at},
    default=("CREATED_AT",),
)
