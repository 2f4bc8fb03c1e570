"""Root fields of reason codes. They hold for the whole organization, so managing them is a permission of its own."""

from datetime import datetime

from db.session import WriteTx
from modules.equipment import lists, tables
from modules.equipment.types import ReasonCode
from schema.fields import listing, lookup, mutation
from schema.ids import key

from . import service
from .inputs import ReasonCodeCreateInput, ReasonCodePayload, ReasonCodeUpdateInput, ReasonCodeVersionInput

reason_code = lookup(ReasonCode, code=tables.ReasonCode.code, description="One reason code by its id or code")
reason_codes = listing(
    ReasonCode, lists.REASON_CODES, description="Reason codes of the organization, archived ones included"
)


@mutation("equipment.reason.manage", ReasonCodePayload, description="Add a reason code")
async def reason_code_create(tx: WriteTx, input: ReasonCodeCreateInput) -> tables.ReasonCode:
    return await service.create(tx, **input.values())


@mutation("equipment.reason.manage", ReasonCodePayload, description="Change a reason code")
async def reason_code_update(tx: WriteTx, input: ReasonCodeUpdateInput) -> tables.ReasonCode:
    return await service.update(
        tx, key("ReasonCode", input.id), version=input.expected_version, changes=input.changes()
    )


@mutation("equipment.reason.manage", ReasonCodePayload, access="delete", description="Take a reason code out of use")
async def reason_code_archive(tx: WriteTx, input: ReasonCodeVersionInput, now: datetime) -> tables.ReasonCode:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation(
    "equipment.reason.manage", ReasonCodePayload, access="delete", description="Bring an archived reason code back"
)
async def reason_code_unarchive(tx: WriteTx, input: ReasonCodeVersionInput) -> tables.ReasonCode:
    return await service.unarchive(tx, input.key, version=input.expected_version)
