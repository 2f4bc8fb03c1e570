"""Root fields of scrap reasons. They hold for the whole organization, so managing them is a permission of its own."""

from datetime import datetime

from db.session import WriteTx
from modules.production import lists, tables
from modules.production.types import ScrapReason
from schema.fields import listing, lookup, mutation
from schema.ids import key

from . import service
from .inputs import ScrapReasonCreateInput, ScrapReasonPayload, ScrapReasonUpdateInput, ScrapReasonVersionInput
from .service import MANAGE

scrap_reason = lookup(ScrapReason, code=tables.ScrapReason.code, description="One scrap reason by its id or code")
scrap_reasons = listing(
    ScrapReason, lists.SCRAP_REASONS, description="Scrap reasons of the organization, archived ones included"
)


@mutation(MANAGE, ScrapReasonPayload, description="Add a scrap reason")
async def scrap_reason_create(tx: WriteTx, input: ScrapReasonCreateInput) -> tables.ScrapReason:
    return await service.create(tx, **input.values())


@mutation(MANAGE, ScrapReasonPayload, description="Change a scrap reason")
async def scrap_reason_update(tx: WriteTx, input: ScrapReasonUpdateInput) -> tables.ScrapReason:
    return await service.update(
        tx, key("ScrapReason", input.id), version=input.expected_version, changes=input.changes()
    )


@mutation(MANAGE, ScrapReasonPayload, access="delete", description="Take a scrap reason out of use")
async def scrap_reason_archive(tx: WriteTx, input: ScrapReasonVersionInput, now: datetime) -> tables.ScrapReason:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, ScrapReasonPayload, access="delete", description="Bring an archived scrap reason back")
async def scrap_reason_unarchive(tx: WriteTx, input: ScrapReasonVersionInput) -> tables.ScrapReason:
    return await service.unarchive(tx, input.key, version=input.expected_version)
