"""Root fields of trusted documents."""

import asyncio
from typing import Any

import strawberry

from db.session import WriteTx
from schema.context import Info
from schema.fields import listing, mutation
from schema.inputs import IDEMPOTENCY
from schema.payload import Payload, payload, result

from . import rules, service, tables
from .types import DOCUMENTS, TrustedDocument

trusted_documents = listing(
    TrustedDocument, DOCUMENTS, description="Documents of the organization that can be sent by their id"
)


@strawberry.input(description="A GraphQL document")
class TrustedDocumentInput:
    text: str = strawberry.field(description="Its text; clients send the SHA-256 of exactly this")
    name: str | None = strawberry.field(
        description="What to call it; the names of its operations unless stated", default=None
    )


@strawberry.input(description="Documents to register")
class TrustedDocumentsRegisterInput:
    documents: list[TrustedDocumentInput] = strawberry.field(description="At most 100; all are valid, or none is kept")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)


@payload(description="Result of registering documents")
class TrustedDocumentsPayload(Payload):
    documents: list[TrustedDocument] | None = result(
        description="All of them in their order, once each, also those that were known; null when refused"
    )


async def _checked(info: Info, input: TrustedDocumentsRegisterInput) -> list[rules.Checked]:
    given = [(document.name, document.text) for document in input.documents]
    return await asyncio.to_thread(rules.checked, info.schema._schema, given)


@mutation(
    service.MANAGE, TrustedDocumentsPayload, before=_checked, cost=500,
    description="Register documents that clients then send as `documentId`. What is known already stays",
)  # fmt: skip
async def trusted_documents_register(
    tx: WriteTx, input: TrustedDocumentsRegisterInput, prepared: list[rules.Checked]
) -> dict[str, Any]:
    rows: list[tables.TrustedDocument] = await service.register(tx, prepared)
    return {"documents": rows}
