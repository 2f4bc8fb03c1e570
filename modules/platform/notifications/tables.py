"""Rows of notifications. `app.notify` writes them; their reader notes when they were read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped

from db.base import PersonalTable, enum, ref

from .rules import Severity


class Notification(PersonalTable):
    __tablename__ = "notifications"

    plant_id: Mapped[int | None] = ref("Plant")
    kind: Mapped[str]
    severity: Mapped[Severity] = enum(Severity)
    title: Mapped[str]
    body: Mapped[str]
    entity_type: Mapped[str | None]
    entity_id: Mapped[int | None]
    in_app: Mapped[bool]
    by_email: Mapped[bool]
    read_at: Mapped[datetime | None]
