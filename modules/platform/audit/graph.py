"""Root fields of the audit trail."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from modules.platform import lists
from modules.platform.types import AUDIT, AuditEntry
from schema.context import Info
from schema.cost import Cost
from schema.faults import bad_input
from schema.fields import listing, query
from schema.ids import decode
from schema.node import NODES

from . import service

audit_entries = listing(AuditEntry, lists.AUDIT_ENTRIES, description="Changes of records, newest first")


@strawberry.type(description="A record as it was at an instant")
class RecordAsOf:
    values: JSON | None = strawberry.field(description="Its columns; null where it did not exist then")
    entry: AuditEntry | None = strawberry.field(
        description="The change that made it so; null where the record is older than the trail"
    )


@query(
    AUDIT,
    description="A record as it was at an instant; its values are null where it did not exist for the caller",
    priced=[Cost(weight=20)],
)
async def record_as_of(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Id of the record")],
    at: Annotated[datetime, strawberry.argument(description="The instant")],
) -> RecordAsOf:
    name, key = decode(id)
    if name not in NODES:
        raise bad_input("Not an id of this API", "id")
    async with info.context.read(AUDIT) as tx:
        found = await service.as_of(tx, NODES[name].__declared__.table, name, key, at)
    entry = None if found.entry_id is None else await info.context.loaders.one(AuditEntry).load(found.entry_id)
    return RecordAsOf(values=found.values, entry=entry)  # type: ignore[arg-type]
