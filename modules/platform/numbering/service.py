"""The next number of a document: a counter row, so that rolled-back work leaves no gap."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import select, text

from db.refusal import NotFound
from db.session import ReadTx, WriteTx
from modules.identity.public import require_everywhere
from modules.platform import rules
from modules.platform.settings.service import get_setting
from modules.platform.tables import NumberingScheme
from schema.registry import registered

MANAGE = "numbering.manage"
ZONE = rules.SettingKey(
    key="numbering.time_zone",
    type=rules.SettingType.TEXT,
    default="UTC",
    description="IANA time zone in which the year of document numbers turns",
    check=lambda name: name in available_timezones(),
)
_NEXT = text(
    "insert into app.numbering_counters as c (organization_id, document_type, year, last) values (:org, :type, :year, 1)"
    " on conflict (organization_id, document_type, year) do update set last = c.last + 1 returning c.last"
)


def declared() -> dict[str, rules.DocumentType]:
    """The document types of all modules."""
    return {d.code: d for module in registered() for d in module.settings if isinstance(d, rules.DocumentType)}


async def next_number(tx: WriteTx, document_type: str, now: datetime) -> str:
    """The next number, for example WO-2026-000123. Take it last: callers of one type wait for each other from here to
    the end of the transaction."""
    scheme, _ = await scheme_of(tx, document_type)
    zone = await get_setting(tx, ZONE.key)
    year = now.astimezone(ZoneInfo(str(zone))).year
    count = await tx.scalar(_NEXT, {"org": tx.org, "type": document_type, "year": year if scheme.yearly else 0})
    return rules.number(scheme, year, count)


async def scheme_of(tx: ReadTx, document_type: str) -> tuple[rules.Scheme, int]:
    """How numbers of the type are written, and the version of that; 0 for the default."""
    row = await tx.first(
        select(NumberingScheme.prefix, NumberingScheme.padding, NumberingScheme.yearly, NumberingScheme.version).where(
            NumberingScheme.organization_id == tx.org, NumberingScheme.document_type == document_type
        )
    )
    if row is None:
        return rules.default_scheme(document_type, declared().get(document_type)), 0
    return rules.Scheme(row.prefix, row.padding, row.yearly), row.version


async def set_scheme(tx: WriteTx, document_type: str, *, prefix: str, padding: int, yearly: bool, version: int) -> None:
    """Write numbers another way from now on; counting goes on where it stands."""
    require_everywhere(tx, MANAGE)
    if document_type not in declared():
        raise NotFound("There is no such document type", path=("documentType",))
    scheme = rules.checked_scheme(prefix, padding, yearly)
    await tx.key_lock("platform.numbering", document_type)
    row: NumberingScheme | None = await tx.one(
        select(NumberingScheme).where(
            NumberingScheme.organization_id == tx.org, NumberingScheme.document_type == document_type
        )
    )
    rules.same_version(0 if row is None else row.version, version)
    if row is None:
        row = tx.add(NumberingScheme(document_type=document_type))
    row.prefix, row.padding, row.yearly = scheme.prefix, scheme.padding, scheme.yearly
    await tx.flush()
