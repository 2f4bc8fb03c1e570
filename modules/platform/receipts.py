"""Idempotency receipts are written by the edge of mutations; here they are forgotten in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from db.session import WriteTx

KEPT = timedelta(days=7)


async def purge_receipts(tx: WriteTx, *, now: datetime) -> int:
    """Forget the answers of all organizations that are older than a week; how many went."""
    return int(await tx.scalar(text("select app.purge_idempotency_receipts(:before)"), {"before": now - KEPT}))
