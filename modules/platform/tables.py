"""Rows of platform. The audit trail is written by triggers alone; counters are reached by one statement only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TIME, LedgerTable, TenantTable, enum, ref


class AuditAction(StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class AuditEntry(LedgerTable):
    __tablename__ = "audit_logs"

    plant_id: Mapped[int | None] = ref("Plant")
    entity_type: Mapped[str]
    entity_id: Mapped[int]
    action: Mapped[AuditAction] = enum(AuditAction)
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    changed_fields: Mapped[list[str]]
    actor_user_id: Mapped[int | None] = ref("User")
    actor_app_id: Mapped[int | None] = ref("App")
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column("occurred_at", TIME)


class NumberingScheme(TenantTable):
    __tablename__ = "numbering_schemes"

    document_type: Mapped[str]
    prefix: Mapped[str]
    padding: Mapped[int]
    yearly: Mapped[bool]


class Setting(TenantTable):
    __tablename__ = "settings"

    key: Mapped[str]
    value: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    is_set: Mapped[bool]
    set_at: Mapped[datetime]
    set_by_id: Mapped[int | None] = ref("User")
