"""What an organization may set for production, and how its orders are numbered."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from db.session import ReadTx
from modules.platform.public import DocumentType, SettingKey, SettingType, get_setting

from .logs.rules import MAX_AHEAD, MAX_LATE

WORK_ORDER = DocumentType(code="work_order", prefix="WO", description="Work orders")
TOLERANCE = SettingKey(
    key="production.over_completion_tolerance",
    type=SettingType.DECIMAL,
    default=Decimal(0),
    description="Fraction of the ordered quantity that may be made beyond it, for orders that do not say; 0 to 1",
    least=Decimal(0),
    most=Decimal(1),
)
AHEAD = SettingKey(
    key="production.max_clock_ahead_seconds",
    type=SettingType.INTEGER,
    default=int(MAX_AHEAD.total_seconds()),
    description="How far a device's clock may run ahead of the server's, in seconds; at most an hour",
    least=0,
    most=3_600,
)
LATE = SettingKey(
    key="production.max_late_hours",
    type=SettingType.INTEGER,
    default=int(MAX_LATE.total_seconds()) // 3_600,
    description="How long after its own time an event may still be reported, in hours; at most 90 days",
    least=1,
    most=90 * 24,
)
ALL = (WORK_ORDER, TOLERANCE, AHEAD, LATE)


async def tolerance(tx: ReadTx) -> Decimal:
    return Decimal(await get_setting(tx, TOLERANCE.key))


async def time_window(tx: ReadTx) -> tuple[timedelta, timedelta]:
    """How far ahead and how late an event's own time may be."""
    ahead, late = await get_setting(tx, AHEAD.key), await get_setting(tx, LATE.key)
    return timedelta(seconds=ahead), timedelta(hours=late)
