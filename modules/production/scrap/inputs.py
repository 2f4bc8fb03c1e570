"""Inputs and payload of the scrap reason mutations."""

from typing import Any

import strawberry
from strawberry import Maybe

from modules.production import types
from schema.checks import optional_text, text
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import ScrapCategory


@payload(description="A scrap reason after a change")
class ScrapReasonPayload(Payload):
    scrap_reason: types.ScrapReason | None = result(description="The scrap reason; null when refused")


@strawberry.input(description="A scrap reason to add")
class ScrapReasonCreateInput:
    code: str = strawberry.field(description="Code, unique in the organization; at most 50 characters")
    name: str = strawberry.field(description="Name; at most 255 characters")
    description: str | None = strawberry.field(description="When to use it; at most 2,000 characters", default=None)
    category: ScrapCategory = strawberry.field(description="Kind of cause")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "code": text(self.code, "code", max=50),
            "name": text(self.name, "name"),
            "description": optional_text(self.description, "description", max=2000),
            "category": self.category,
        }


@strawberry.input(description="A change of a scrap reason; absent fields stay, null clears")
class ScrapReasonUpdateInput:
    id: strawberry.ID = strawberry.field(description="The scrap reason")
    expected_version: int = strawberry.field(description=VERSION)
    code: Maybe[str] = strawberry.field(description="Code, unique in the organization")
    name: Maybe[str] = strawberry.field(description="Name")
    description: Maybe[str | None] = strawberry.field(description="When to use it")
    category: Maybe[ScrapCategory] = strawberry.field(description="Kind of cause")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        required = ("code", "name", "category")
        given = changes(self, "code", "name", "description", "category", required=required)
        if "code" in given:
            given["code"] = text(given["code"], "code", max=50)
        if "name" in given:
            given["name"] = text(given["name"], "name")
        if "description" in given:
            given["description"] = optional_text(given["description"], "description", max=2000)
        return given


@strawberry.input(description="A scrap reason in the version that was read")
class ScrapReasonVersionInput(VersionInput):
    of = "ScrapReason"
