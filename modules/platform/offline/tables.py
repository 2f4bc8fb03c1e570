"""Rows of batches: who sent them when, by which clock, and what came of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import FetchedValue, Integer
from sqlalchemy.orm import Mapped, mapped_column

from db.base import LedgerTable, ref


class OfflineBatch(LedgerTable):
    __tablename__ = "offline_batches"

    device_id: Mapped[str]
    sent_by_user_id: Mapped[int | None] = ref("User")
    sent_by_app_id: Mapped[int | None] = ref("App")
    request_id: Mapped[str | None]
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime]
    skew_seconds: Mapped[Decimal] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())
    items: Mapped[int] = mapped_column(Integer)
    applied: Mapped[int | None] = mapped_column(Integer)
    duplicates: Mapped[int | None] = mapped_column(Integer)
    conflicts: Mapped[int | None] = mapped_column(Integer)
    rejected: Mapped[int | None] = mapped_column(Integer)
    finished_at: Mapped[datetime | None]
