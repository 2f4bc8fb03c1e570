"""What can be listed: the audit trail."""

import dataclasses
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, false, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from strawberry import UNSET

from schema.enums import public_enum
from schema.faults import bad_input
from schema.filters import MOST_VALUES
from schema.ids import decode
from schema.listing import Listing

from .tables import AuditAction, AuditEntry

public_enum(
    AuditAction,
    name="AuditAction",
    description="What happened to a row",
    values={"INSERT": "It came into being", "UPDATE": "It changed", "DELETE": "It was deleted"},
)


class AuditListing(Listing):
    """A listing whose `entity` filter takes ids of any type: in the table an id is two columns."""

    def _ref(self, public: str) -> str | None:
        return "Entity" if public == "entity" else super()._ref(public)

    def _clauses(self, where: Any, path: str, depth: int, budget: list[int]) -> list[ColumnElement[bool]]:
        given = where.entity
        clauses = super()._clauses(dataclasses.replace(where, entity=UNSET), path, depth, budget)
        if given is not UNSET and given is not None:
            clauses += _entity(given, f"{path}.entity")
        return clauses


def _entity(given: Any, argument: str) -> list[ColumnElement[bool]]:
    columns = tuple_(AuditEntry.entity_type, AuditEntry.entity_id)
    clauses: list[ColumnElement[bool]] = []
    if given.is_null is not UNSET:
        raise bad_input("Every entry has an entity", argument)
    if given.eq is not UNSET:
        name, key = decode(given.eq or "", argument)
        clauses += [AuditEntry.entity_type == name, AuditEntry.entity_id == key]
    if given.in_ is not UNSET:
        if given.in_ is None or len(given.in_) > MOST_VALUES:
            raise bad_input(f"A list of at most {MOST_VALUES} ids", argument)
        wanted = [decode(id, argument) for id in given.in_]
        names, keys = (
            literal([name for name, _ in wanted], ARRAY(Text)),
            literal([k for _, k in wanted], ARRAY(BigInteger)),
        )
        clauses.append(columns.in_(select(func.unnest(names), func.unnest(keys))) if wanted else false())
    return clauses


AUDIT_ENTRIES = AuditListing(
    AuditEntry,
    name="AuditEntry",
    where={
        "entity": AuditEntry.entity_type,
        "entityType": AuditEntry.entity_type,
        "action": AuditEntry.action,
        "actorUser": AuditEntry.actor_user_id,
        "actorApp": AuditEntry.actor_app_id,
        "plant": AuditEntry.plant_id,
        "occurredAt": AuditEntry.created_at,
    },
    order_by={"OCCURRED_AT": AuditEntry.created_at},
    default=("-OCCURRED_AT",),
)
