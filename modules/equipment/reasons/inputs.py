"""Inputs and payload of the reason code mutations."""

from typing import Any

import strawberry
from strawberry import Maybe

from modules.equipment import types
from modules.equipment.status.rules import MachineStatus
from schema.checks import optional_text, text
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import ReasonCategory, applicable


@payload(description="A reason code after a change")
class ReasonCodePayload(Payload):
    reason_code: types.ReasonCode | None = result(description="The reason code; null when refused")


@strawberry.input(description="A reason code to add")
class ReasonCodeCreateInput:
    code: str = strawberry.field(description="Code, unique in the organization; at most 50 characters")
    name: str = strawberry.field(description="Name, as operators know it; at most 255 characters")
    description: str | None = strawberry.field(description="When to use it; at most 2,000 characters", default=None)
    category: ReasonCategory = strawberry.field(description="Kind of cause")
    applies_to: list[MachineStatus] = strawberry.field(
        description="Statuses it can explain, at least one; never RUNNING"
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "code": text(self.code, "code", max=50),
            "name": text(self.name, "name"),
            "description": optional_text(self.description, "description", max=2000),
            "category": self.category,
            "applies_to": list(map(str, applicable(self.applies_to))),
        }


@strawberry.input(description="A change of a reason code; absent fields stay, null clears")
class ReasonCodeUpdateInput:
    id: strawberry.ID = strawberry.field(description="The reason code")
    expected_version: int = strawberry.field(description=VERSION)
    code: Maybe[str | None] = strawberry.field(description="Code, unique in the organization")
    name: Maybe[str | None] = strawberry.field(description="Name, as operators know it")
    description: Maybe[str | None] = strawberry.field(description="When to use it")
    category: Maybe[ReasonCategory | None] = strawberry.field(description="Kind of cause")
    applies_to: Maybe[list[MachineStatus] | None] = strawberry.field(
        description="Statuses it can explain; never RUNNING"
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        required = ("code", "name", "category", "applies_to")
        given = changes(self, "description", *required, required=required)
        if "code" in given:
            given["code"] = text(given["code"], "code", max=50)
        if "name" in given:
            given["name"] = text(given["name"], "name")
        if "description" in given:
            given["description"] = optional_text(given["description"], "description", max=2000)
        if "applies_to" in given:
            given["applies_to"] = list(map(str, applicable(given["applies_to"])))
        return given


@strawberry.input(description="A reason code in the version that was read")
class ReasonCodeVersionInput(VersionInput):
    of = "ReasonCode"
