"""What can be done with scrap reasons."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from db.refusal import Archived
from db.session import WriteTx
from modules.identity.public import require_everywhere
from modules.production.tables import ScrapReason

MANAGE: Final = "production.scrap_reason.manage"
UNIQUE: Final = {"scrap_reasons_organization_id_code_key": ("code",)}


async def create(tx: WriteTx, **values: Any) -> ScrapReason:
    require_everywhere(tx, MANAGE)
    reason = tx.add(ScrapReason(**values))
    await tx.flush(UNIQUE)
    return reason


async def update(tx: WriteTx, reason_id: int, *, version: int, changes: dict[str, Any]) -> ScrapReason:
    """Change a reason; rows of the log that name it keep naming it, under its new words."""
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ScrapReason, reason_id, version=version)
    for name, value in changes.items():
        setattr(reason, name, value)
    await tx.flush(UNIQUE)
    return reason


async def archive(tx: WriteTx, reason_id: int, *, version: int, now: datetime) -> ScrapReason:
    """Take a reason out of use; what was recorded with it stays."""
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ScrapReason, reason_id, version=version)
    reason.archived_at = reason.archived_at or now
    return reason


async def unarchive(tx: WriteTx, reason_id: int, *, version: int) -> ScrapReason:
    require_everywhere(tx, MANAGE)
    reason = await tx.locked(ScrapReason, reason_id, version=version)
    reason.archived_at = None
    return reason


async def check_usable(tx: WriteTx, reason_id: int) -> None:
    """A reason of the organization that is in use."""
    reason = await tx.found(ScrapReason, reason_id, path=("scrapReasonId",))
    if reason.archived_at is not None:
        raise Archived("The scrap reason is archived", path=("scrapReasonId",))
