"""What can be done with reason codes. They hold in every plant, and so must the right to change them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from db.session import WriteTx
from modules.equipment.tables import ReasonCode
from modules.identity.public import require_everywhere

MANAGE: Final = "equipment.reason.manage"
UNIQUE: Final = {"reason_codes_organization_id_code_key": ("code",)}


async def create(tx: WriteTx, **values: Any) -> ReasonCode:
    require_everywhere(tx, MANAGE)
    reason = tx.add(ReasonCode(**values))
    await tx.flush(UNIQUE)
    return reason


async def update(tx: WriteTx, reason_id: int, *, version: int, changes: dict[str, Any]) -> ReasonCode:
    """Change a reason; periods that name it keep naming it, under its new words."""
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ReasonCode, reason_id, version=version)
    for name, value in changes.items():
        setattr(reason, name, value)
    await tx.flush(UNIQUE)
    return reason


async def archive(tx: WriteTx, reason_id: int, *, version: int, now: datetime) -> ReasonCode:
    """Take a reason out of use; what was recorded with it stays."""
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ReasonCode, reason_id, version=version)
    reason.archived_at = reason.archived_at or now
    return reason


async def unarchive(tx: WriteTx, reason_id: int, *, version: int) -> ReasonCode:
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ReasonCode, reason_id, version=version)
    reason.archived_at = None
    return reason
