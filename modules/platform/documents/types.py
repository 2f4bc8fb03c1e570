"""The public type of trusted documents."""

from datetime import datetime

import strawberry

from modules.identity.public import App, User
from schema.listing import Listing
from schema.node import Node, column, computed, node, to_one

from .tables import TrustedDocument as Row

DOCUMENTS = Listing(
    Row,
    name="TrustedDocument",
    where={"hash": Row.hash, "name": Row.name, "createdAt": Row.created_at},
    order_by={"NAME": Row.name, "CREATED_AT": Row.created_at},
    default=("NAME",),
)


def _document_id(hash: str) -> strawberry.ID:
    return strawberry.ID(f"sha256:{hash}")


@node(Row, permission="documents.read", description="A GraphQL document that can be sent by its id alone")
class TrustedDocument(Node):
    document_id: strawberry.ID = computed(
        _document_id, Row.hash, description="What to send as `documentId`: `sha256:` and the hash of its text"
    )
    hash: str = column(description="SHA-256 of its text in 64 hexadecimal digits")
    name: str = column(description="What it is called; the names of its operations unless stated")
    text: str = column(description="The document, byte for byte as it was registered")
    registered_by_user: User | None = to_one(Row.registered_by_user_id, description="User who registered it")
    registered_by_app: App | None = to_one(Row.registered_by_app_id, description="App that registered it")
    created_at: datetime = column(description="When it was registered")
