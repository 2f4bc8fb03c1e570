"""Inputs and payload of the work order mutations."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry import Maybe

from modules.production import types
from modules.production.routings.inputs import OperationInput, steps_of
from modules.production.routings.rules import Step
from schema.checks import optional_text, quantity, text
from schema.ids import key, key_or_none
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result
from schema.scalars import QuantityInput

from .rules import WorkOrderPriority

TEXTS = {
    "product_code": ("productCode", 100),
    "product_name": ("productName", 255),
    "operation_type": ("operationType", 100),
    "description": ("description", 2000),
}
LINKS = {
    "department_id": ("Department", "departmentId"),
    "project_id": ("Project", "projectId"),
    "routing_id": ("Routing", "routingId"),
    "assignee_id": ("User", "assigneeId"),
}


@payload(description="A work order after a change")
class WorkOrderPayload(Payload):
    work_order: types.WorkOrder | None = result(description="The work order; null when refused")


@strawberry.input(description="Key of an object in another system")
class ExternalReferenceInput:
    system: str = strawberry.field(description="The other system, for example SAP; at most 50 characters")
    key: str = strawberry.field(description="Its key there; at most 255 characters")


@strawberry.input(description="A work order to plan")
class WorkOrderCreateInput:
    plant_id: strawberry.ID = strawberry.field(description="Plant the work is done in, for good")
    department_id: strawberry.ID | None = strawberry.field(description="Department of that plant", default=None)
    project_id: strawberry.ID | None = strawberry.field(description="Project it is made for", default=None)
    routing_id: strawberry.ID | None = strawberry.field(
        description="Active routing of the plant its operations are copied from", default=None
    )
    operations: list[OperationInput] | None = strawberry.field(
        description="Its own operations, at most 100, in place of the routing's", default=None
    )
    product_code: str | None = strawberry.field(
        description="Code of what is made; at most 100 characters", default=None
    )
    product_name: str | None = strawberry.field(
        description="Name of what is made; at most 255 characters", default=None
    )
    operation_type: str | None = strawberry.field(
        description="Kind of work, for example fabrication, machining, assembly, testing", default=None
    )
    description: str | None = strawberry.field(description="What is to be done; at most 2,000 characters", default=None)
    quantity_ordered: QuantityInput = strawberry.field(description="How much is to be made, above zero")
    over_completion_tolerance: Decimal | None = strawberry.field(
        description="Fraction that may be made beyond it, 0 to 1; the organization's setting unless stated",
        default=None,
    )
    priority: WorkOrderPriority = strawberry.field(description="How urgent it is", default=WorkOrderPriority.MEDIUM)
    planned_start_at: datetime | None = strawberry.field(description="When work should begin", default=None)
    planned_end_at: datetime | None = strawberry.field(
        description="When it should be done, not before it begins", default=None
    )
    assignee_id: strawberry.ID | None = strawberry.field(description="Who is responsible", default=None)
    external_ref: ExternalReferenceInput | None = strawberry.field(
        description="Its key in the ERP system, unique there", default=None
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "plant_id": key("Plant", self.plant_id, "plantId"),
            **{name: key_or_none(kind, getattr(self, name), path) for name, (kind, path) in LINKS.items()},
            **{name: optional_text(getattr(self, name), path, max=most) for name, (path, most) in TEXTS.items()},
            "steps": None if self.operations is None else steps_of(self.operations),
            "priority": self.priority,
            "planned_start_at": self.planned_start_at,
            "planned_end_at": self.planned_end_at,
            "over_completion_tolerance": self.over_completion_tolerance,
            **_amount(self.quantity_ordered),
            **_external(self.external_ref),
        }


@strawberry.input(description="A change of a work order; absent fields stay, null clears")
class WorkOrderUpdateInput:
    id: strawberry.ID = strawberry.field(description="The work order")
    expected_version: int = strawberry.field(description=VERSION)
    department_id: Maybe[strawberry.ID | None] = strawberry.field(description="Department; until release")
    project_id: Maybe[strawberry.ID | None] = strawberry.field(description="Project it is made for")
    routing_id: Maybe[strawberry.ID | None] = strawberry.field(
        description="Active routing to copy the operations from anew; null keeps them; until release"
    )
    operations: Maybe[list[OperationInput]] = strawberry.field(
        description="Its own operations: replace the whole list; until release"
    )
    product_code: Maybe[str | None] = strawberry.field(description="Code of what is made; until release")
    product_name: Maybe[str | None] = strawberry.field(description="Name of what is made; until release")
    operation_type: Maybe[str | None] = strawberry.field(description="Kind of work; until release")
    description: Maybe[str | None] = strawberry.field(description="What is to be done; until it is closed")
    quantity_ordered: Maybe[QuantityInput] = strawberry.field(
        description="How much is to be made; until it is completed, its unit until release"
    )
    over_completion_tolerance: Maybe[Decimal] = strawberry.field(
        description="Fraction that may be made beyond it; until it is completed"
    )
    priority: Maybe[WorkOrderPriority] = strawberry.field(description="How urgent it is; until it is completed")
    planned_start_at: Maybe[datetime | None] = strawberry.field(
        description="When work should begin; until it is completed"
    )
    planned_end_at: Maybe[datetime | None] = strawberry.field(
        description="When it should be done; until it is completed"
    )
    assignee_id: Maybe[strawberry.ID | None] = strawberry.field(description="Who is responsible; until it is completed")
    external_ref: Maybe[ExternalReferenceInput | None] = strawberry.field(
        description="Its key in the ERP system; until release"
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        required = ("over_completion_tolerance", "priority")
        plain = ("over_completion_tolerance", "priority", "planned_start_at", "planned_end_at")
        given = changes(self, *plain, *LINKS, *TEXTS, required=required)
        for name in given.keys() & TEXTS.keys():
            path, most = TEXTS[name]
            given[name] = optional_text(given[name], path, max=most)
        for name in given.keys() & LINKS.keys():
            kind, path = LINKS[name]
            given[name] = key_or_none(kind, given[name], path)
        pairs = changes(self, "quantity_ordered", "external_ref", required=("quantity_ordered",))
        if "quantity_ordered" in pairs:
            given |= _amount(pairs["quantity_ordered"])
        if "external_ref" in pairs:
            given |= _external(pairs["external_ref"])
        return given

    def steps(self) -> list[Step] | None:
        operations = changes(self, "operations", required=("operations",)).get("operations")
        return None if operations is None else steps_of(operations)


@strawberry.input(description="A work order in the version that was read")
class WorkOrderVersionInput(VersionInput):
    of = "WorkOrder"


@strawberry.input(description="A work order in the version that was read, and why")
class WorkOrderReasonInput:
    id: strawberry.ID = strawberry.field(description="The work order")
    expected_version: int = strawberry.field(description=VERSION)
    reason: str = strawberry.field(description="Why; at most 2,000 characters")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    @property
    def key(self) -> int:
        return key("WorkOrder", self.id)

    @property
    def why(self) -> str:
        return text(self.reason, "reason", max=2000)


def _amount(given: QuantityInput) -> dict[str, Any]:
    return {
        "quantity_ordered": quantity(given.value, "quantityOrdered.value"),
        "unit": text(given.unit, "quantityOrdered.unit", max=20),
    }


def _external(given: ExternalReferenceInput | None) -> dict[str, Any]:
    if given is None:
        return {"external_system": None, "external_key": None}
    return {
        "external_system": text(given.system, "externalRef.system", max=50),
        "external_key": text(given.key, "externalRef.key", max=255),
    }
