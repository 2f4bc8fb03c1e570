"""Inputs and payload of the routing mutations."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import strawberry
from strawberry import Maybe

from modules.production import types
from schema.checks import between, optional_text, quantity, text
from schema.ids import key, key_or_none
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import Step

MOST_SETUP = 30 * 86_400


@payload(description="A routing after a change")
class RoutingPayload(Payload):
    routing: types.Routing | None = result(description="The routing; null when refused")


@strawberry.input(description="A step to work by")
class OperationInput:
    sequence: int = strawberry.field(
        description="Place among the steps, 1 to 9999, its own; tens leave room for later ones"
    )
    name: str = strawberry.field(description="Name of the step; at most 255 characters")
    description: str | None = strawberry.field(description="How it is done; at most 2,000 characters", default=None)
    machine_type: str | None = strawberry.field(
        description="Kind of machine it needs; at most 100 characters", default=None
    )
    machine_id: strawberry.ID | None = strawberry.field(
        description="Machine it is meant for, in the plant", default=None
    )
    setup_seconds: int = strawberry.field(description="Time to set up, in seconds, once per order", default=0)
    run_seconds_per_unit: Decimal = strawberry.field(
        description="Ideal time for one piece, in seconds; at most 6 decimal places", default=Decimal(0)
    )


def steps_of(operations: Sequence[OperationInput]) -> list[Step]:
    return [
        Step(
            sequence=given.sequence,
            name=text(given.name, f"operations.{n}.name"),
            description=optional_text(given.description, f"operations.{n}.description", max=2000),
            machine_type=optional_text(given.machine_type, f"operations.{n}.machineType", max=100),
            machine_id=key_or_none("Machine", given.machine_id, f"operations.{n}.machineId"),
            setup_seconds=between(given.setup_seconds, f"operations.{n}.setupSeconds", least=0, most=MOST_SETUP),
            run_seconds_per_unit=quantity(
                given.run_seconds_per_unit, f"operations.{n}.runSecondsPerUnit", positive=False
            ),
        )
        for n, given in enumerate(operations)
    ]


@strawberry.input(description="A routing to draft")
class RoutingCreateInput:
    plant_id: strawberry.ID = strawberry.field(description="Plant it is made for, for good")
    code: str = strawberry.field(description="Code, unique in the plant; at most 50 characters")
    name: str = strawberry.field(description="Name; at most 255 characters")
    description: str | None = strawberry.field(description="What it is for; at most 2,000 characters", default=None)
    product_code: str | None = strawberry.field(
        description="Code of the product it makes; at most 100 characters", default=None
    )
    operations: list[OperationInput] = strawberry.field(description="Its steps, at most 100", default_factory=list)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "plant_id": key("Plant", self.plant_id, "plantId"),
            "code": text(self.code, "code", max=50),
            "name": text(self.name, "name"),
            "description": optional_text(self.description, "description", max=2000),
            "product_code": optional_text(self.product_code, "productCode", max=100),
            "steps": steps_of(self.operations),
        }


@strawberry.input(description="A change of a draft; absent fields stay, null clears")
class RoutingUpdateInput:
    id: strawberry.ID = strawberry.field(description="The routing")
    expected_version: int = strawberry.field(description=VERSION)
    name: Maybe[str] = strawberry.field(description="Name")
    description: Maybe[str | None] = strawberry.field(description="What it is for")
    product_code: Maybe[str | None] = strawberry.field(description="Code of the product it makes")
    operations: Maybe[list[OperationInput]] = strawberry.field(description="Its steps: replace the whole list")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        given = changes(self, "name", "description", "product_code", required=("name",))
        if "name" in given:
            given["name"] = text(given["name"], "name")
        if "description" in given:
            given["description"] = optional_text(given["description"], "description", max=2000)
        if "product_code" in given:
            given["product_code"] = optional_text(given["product_code"], "productCode", max=100)
        return given

    def steps(self) -> list[Step] | None:
        operations = changes(self, "operations", required=("operations",)).get("operations")
        return None if operations is None else steps_of(operations)


@strawberry.input(description="A routing to draft the next revision of")
class RoutingReviseInput:
    id: strawberry.ID = strawberry.field(description="The revision to copy")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)


@strawberry.input(description="A routing in the version that was read")
class RoutingVersionInput(VersionInput):
    of = "Routing"
