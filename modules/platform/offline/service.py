"""A batch is written down before its first item is tried, and once more when the last one was."""

from __future__ import annotations

from datetime import datetime

from db.session import WriteTx

from .tables import OfflineBatch


async def begin(tx: WriteTx, *, device_id: str, sent_at: datetime, received_at: datetime, items: int) -> OfflineBatch:
    batch = tx.add(
        OfflineBatch(
            device_id=device_id,
            sent_by_user_id=tx.actor.user_id,
            sent_by_app_id=tx.actor.app_id,
            request_id=tx.actor.request_id,
            sent_at=sent_at,
            received_at=received_at,
            items=items,
        )
    )
    await tx.flush()
    return batch


async def finish(
    tx: WriteTx, batch_id: int, *, applied: int, duplicates: int, conflicts: int, rejected: int, now: datetime
) -> OfflineBatch:
    batch = await tx.locked(OfflineBatch, batch_id)
    batch.applied, batch.duplicates, batch.conflicts, batch.rejected = applied, duplicates, conflicts, rejected
    batch.finished_at = now
    return batch
