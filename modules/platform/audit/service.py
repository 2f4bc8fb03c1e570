"""A record as it was at an instant, rebuilt from the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from db.base import LedgerTable
from db.session import ReadTx
from modules.platform.tables import AuditAction, AuditEntry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The columns of a record; none where it did not exist."""

    values: dict[str, Any] | None
    entry_id: int | None
    """The change that made it so, where the trail goes back that far."""


async def as_of(tx: ReadTx, table: type[LedgerTable], type_name: str, id: int, at: datetime) -> Snapshot:
    """The state after the last change until then. A record older than the trail is what its first change found."""
    mine = (
        AuditEntry.organization_id == tx.org,
        AuditEntry.entity_type == type_name,
        AuditEntry.entity_id == id,
    )
    last = select(AuditEntry).where(*mine, AuditEntry.created_at <= at).order_by(AuditEntry.id.desc()).limit(1)
    if (entry := await tx.one(last)) is not None:
        return Snapshot(entry.after, entry.id)
    first = select(AuditEntry).where(*mine).order_by(AuditEntry.id).limit(1)
    if (entry := await tx.one(first)) is not None:
        created = _created(entry.before)
        known = entry.action is not AuditAction.INSERT and (created is None or created <= at)
        return Snapshot(entry.before if known else None, None)
    name = table.__table__.fullname  # type: ignore[attr-defined]
    created = table.created_at.expression.name
    now = await tx.scalar(
        text(f"select to_jsonb(t) from {name} t where organization_id = :org and id = :id and {created} <= :at"),
        {"org": tx.org, "id": id, "at": at},
    )
    return Snapshot(now, None)


def _created(values: dict[str, Any] | None) -> datetime | None:
    stamp = (values or {}).get("created_at")
    return datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
