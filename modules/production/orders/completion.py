"""The one place where an order becomes completed, and where it stops being so. What follows from completion hangs here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modules.production.operations.service import refresh
from modules.production.tables import WorkOrder, WorkOrderOperation

from . import rules
from .rules import Step


def complete(
    order: WorkOrder,
    rows: Sequence[WorkOrderOperation],
    *,
    at: datetime,
    short_closed: bool = False,
    reason: str | None = None,
) -> None:
    order.status = rules.take(Step.COMPLETE, order.status)
    order.short_closed, order.status_reason = short_closed, reason
    order.actual_end_at = at
    refresh(order, rows, at=at)


def reopen(order: WorkOrder, rows: Sequence[WorkOrderOperation], *, at: datetime, reason: str) -> None:
    order.status = rules.take(Step.REOPEN, order.status)
    order.short_closed, order.status_reason = False, reason
    order.actual_end_at = None
    refresh(order, rows, at=at)
