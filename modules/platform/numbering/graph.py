"""Root fields of document numbers."""

from datetime import UTC, datetime
from typing import Any

import strawberry

from db.session import ReadTx, WriteTx
from modules.platform import rules
from schema.context import Info
from schema.fields import mutation, query
from schema.payload import Payload, payload, result

from . import service


@strawberry.type(description="How the numbers of a kind of document are written")
class NumberingScheme:
    document_type: str = strawberry.field(description="Code of the kind of document, for example work_order")
    description: str = strawberry.field(description="What is numbered")
    prefix: str = strawberry.field(description="What every number starts with")
    padding: int = strawberry.field(description="Least number of digits; larger counts are wider")
    yearly: bool = strawberry.field(description="Numbers carry the year and start at 1 in each")
    example: str = strawberry.field(description="The first number of this year")
    version: int = strawberry.field(description="Pass it as `expectedVersion`; 0 for the default scheme")


@strawberry.input(description="Another way to write numbers; counting goes on where it stands")
class NumberingSchemeSetInput:
    document_type: str = strawberry.field(description="Code of the kind of document")
    prefix: str = strawberry.field(description="At most 20 letters, digits, '.', '/', '_' or '-'")
    padding: int = strawberry.field(description="From 1 to 12")
    yearly: bool = strawberry.field(description="Numbers carry the year and start at 1 in each")
    expected_version: int = strawberry.field(description="Version that was read; 0 for the default scheme")


@payload(description="Result of changing how numbers are written")
class NumberingSchemePayload(Payload):
    numbering_scheme: NumberingScheme | None = result(description="The scheme as it is now")


@query("settings.read", description="How each kind of document is numbered")
async def numbering_schemes(info: Info) -> list[NumberingScheme]:
    async with info.context.read("settings.read") as tx:
        return [await _shown(tx, declared) for declared in service.declared().values()]


@mutation(service.MANAGE, NumberingSchemePayload, description="Change how a kind of document is numbered")
async def numbering_scheme_set(tx: WriteTx, input: NumberingSchemeSetInput) -> dict[str, Any]:
    await service.set_scheme(
        tx, input.document_type, prefix=input.prefix, padding=input.padding, yearly=input.yearly,
        version=input.expected_version,
    )  # fmt: skip
    return {"numbering_scheme": await _shown(tx, service.declared()[input.document_type])}


async def _shown(tx: ReadTx, declared: rules.DocumentType) -> NumberingScheme:
    scheme, version = await service.scheme_of(tx, declared.code)
    return NumberingScheme(
        document_type=declared.code, description=declared.description, prefix=scheme.prefix, padding=scheme.padding,
        yearly=scheme.yearly, example=rules.number(scheme, datetime.now(UTC).year, 1), version=version,
    )  # fmt: skip
