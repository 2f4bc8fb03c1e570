"""Inputs and payload of the project mutations."""

from datetime import date
from typing import Any

import strawberry
from strawberry import Maybe

from schema.checks import optional_text, text
from schema.ids import key_or_none
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from . import types
from .rules import Priority

TEXTS = {
    "description": ("description", 2000),
    "customer_name": ("customerName", 255),
    "customer_code": ("customerCode", 100),
    "sap_sales_order": ("sapSalesOrder", 100),
}


@payload(description="A project after a change")
class ProjectPayload(Payload):
    project: types.Project | None = result(description="The project; null when refused")


@strawberry.input(description="A project to open")
class ProjectCreateInput:
    number: str | None = strawberry.field(
        description="Number, unique in the organization; at most 100 characters; the next one unless stated",
        default=None,
    )
    name: str = strawberry.field(description="Name; at most 255 characters")
    description: str | None = strawberry.field(description="What it is about; at most 2,000 characters", default=None)
    customer_name: str | None = strawberry.field(
        description="Name of the customer; at most 255 characters", default=None
    )
    customer_code: str | None = strawberry.field(description="Code of the customer in the ERP", default=None)
    sap_sales_order: str | None = strawberry.field(description="Number of the sales order in SAP", default=None)
    priority: Priority = strawberry.field(description="How urgent it is", default=Priority.MEDIUM)
    primary_plant_id: strawberry.ID | None = strawberry.field(
        description="Plant that leads it; absent concerns every plant", default=None
    )
    manager_id: strawberry.ID | None = strawberry.field(description="User who leads it", default=None)
    start_date: date | None = strawberry.field(description="Day it starts", default=None)
    planned_end_date: date | None = strawberry.field(description="Day it is due, not before it starts", default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "number": optional_text(self.number, "number", max=100),
            "name": text(self.name, "name"),
            "priority": self.priority,
            "plant_id": key_or_none("Plant", self.primary_plant_id, "primaryPlantId"),
            "manager_id": key_or_none("User", self.manager_id, "managerId"),
            "start_date": self.start_date,
            "planned_end_date": self.planned_end_date,
            **{name: optional_text(getattr(self, name), path, max=most) for name, (path, most) in TEXTS.items()},
        }


@strawberry.input(description="A change of a project; absent fields stay, null clears")
class ProjectUpdateInput:
    id: strawberry.ID = strawberry.field(description="The project")
    expected_version: int = strawberry.field(description=VERSION)
    number: Maybe[str | None] = strawberry.field(description="Number, unique in the organization")
    name: Maybe[str | None] = strawberry.field(description="Name")
    description: Maybe[str | None] = strawberry.field(description="What it is about")
    customer_name: Maybe[str | None] = strawberry.field(description="Name of the customer")
    customer_code: Maybe[str | None] = strawberry.field(description="Code of the customer in the ERP")
    sap_sales_order: Maybe[str | None] = strawberry.field(description="Number of the sales order in SAP")
    priority: Maybe[Priority | None] = strawberry.field(description="How urgent it is")
    primary_plant_id: Maybe[strawberry.ID | None] = strawberry.field(description="Plant that leads it")
    manager_id: Maybe[strawberry.ID | None] = strawberry.field(description="User who leads it")
    start_date: Maybe[date | None] = strawberry.field(description="Day it starts")
    planned_end_date: Maybe[date | None] = strawberry.field(description="Day it is due")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        required = ("number", "name", "priority")
        given = changes(self, "start_date", "planned_end_date", *TEXTS, *required, required=required)
        for name in given.keys() & TEXTS.keys():
            path, most = TEXTS[name]
            given[name] = optional_text(given[name], path, max=most)
        if "number" in given:
            given["number"] = text(given["number"], "number", max=100)
        if "name" in given:
            given["name"] = text(given["name"], "name")
        links = changes(self, "primary_plant_id", "manager_id")
        if "primary_plant_id" in links:
            given["plant_id"] = key_or_none("Plant", links["primary_plant_id"], "primaryPlantId")
        if "manager_id" in links:
            given["manager_id"] = key_or_none("User", links["manager_id"], "managerId")
        return given


@strawberry.input(description="A project in the version that was read")
class ProjectVersionInput(VersionInput):
    of = "Project"


@strawberry.input(description="A project to complete")
class ProjectCompleteInput:
    id: strawberry.ID = strawberry.field(description="The project")
    expected_version: int = strawberry.field(description=VERSION)
    actual_end_date: date | None = strawberry.field(
        description="Day it was completed, not before it started; today in UTC unless stated", default=None
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)
