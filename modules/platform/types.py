"""The public types of platform."""

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from modules.identity.public import App, Plant, User
from schema.ids import encode
from schema.node import Node, column, computed, node, to_one

from .tables import AuditAction
from .tables import AuditEntry as Row

AUDIT = "audit.read"


def _entity(entity_type: str, entity_id: int) -> strawberry.ID:
    return encode(entity_type, entity_id)


@node(Row, permission=AUDIT, description="One change of one record; never changed itself")
class AuditEntry(Node):
    entity_type: str = column(description="Type of the record, as in `__typename`")
    entity_id: strawberry.ID = computed(_entity, Row.entity_type, Row.entity_id, description="Id of the record")
    action: AuditAction = column(description="What happened to it")
    before: JSON | None = column(description="The record before, by column; null where it did not exist")
    after: JSON | None = column(description="The record after, by column; null where it was deleted")
    changed_fields: list[str] = column(description="Columns that differ")
    plant: Plant | None = to_one(Row.plant_id, description="Plant the record belongs to")
    actor_user: User | None = to_one(Row.actor_user_id, description="User who did it")
    actor_app: App | None = to_one(Row.actor_app_id, description="App that did it")
    request_id: str | None = column(description="Request it happened in, as in the log")
    occurred_at: datetime = column(Row.created_at, description="When it happened")
