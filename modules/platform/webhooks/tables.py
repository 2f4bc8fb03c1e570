"""Rows of webhooks. Secrets are in schema auth, reached by functions alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from db.base import LedgerTable, TenantTable, enum, ref

from .rules import DeliveryKind, DeliveryStatus, EndpointStatus, PausedReason


class WebhookEndpoint(TenantTable):
    __tablename__ = "webhook_endpoints"

    app_id: Mapped[int] = ref("App")
    app_key_id: Mapped[int] = ref("AppKey")
    url: Mapped[str]
    description: Mapped[str | None]
    topics: Mapped[list[str]]
    selections: Mapped[dict[str, Any]]
    status: Mapped[EndpointStatus] = enum(EndpointStatus)
    paused_reason: Mapped[PausedReason | None] = enum(PausedReason)
    paused_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]


class WebhookProgress(LedgerTable):
    """How far an endpoint has come and how it has been doing; its id is the endpoint's."""

    __tablename__ = "webhook_progress"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-1)
    pos: Mapped[int]
    failures: Mapped[int]
    dead: Mapped[int]
    failing_since: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]


class WebhookDelivery(LedgerTable):
    __tablename__ = "webhook_deliveries"

    endpoint_id: Mapped[int] = ref("WebhookEndpoint")
    plant_id: Mapped[int | None] = ref("Plant")
    message_id: Mapped[str]
    kind: Mapped[DeliveryKind] = enum(DeliveryKind)
    pos: Mapped[int]
    topic: Mapped[str | None]
    entity_id: Mapped[int | None]
    key: Mapped[str]
    event: Mapped[dict[str, Any]]
    status: Mapped[DeliveryStatus] = enum(DeliveryStatus)
    attempt_count: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    response_status: Mapped[int | None]
    last_error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class WebhookAttempt(LedgerTable):
    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[int] = ref("WebhookDelivery")
    plant_id: Mapped[int | None] = ref("Plant")
    number: Mapped[int]
    response_status: Mapped[int | None]
    response_body: Mapped[str | None]
    error: Mapped[str | None]
    duration_ms: Mapped[int]
