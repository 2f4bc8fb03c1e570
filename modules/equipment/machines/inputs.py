"""Inputs and payload of the machine mutations."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry import Maybe

from modules.equipment import types
from schema.checks import optional_text, quantity, text
from schema.ids import key_or_none
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import currency

TEXTS = {
    "description": 2000,
    "machine_type": 100,
    "manufacturer": 255,
    "model": 100,
    "serial_number": 100,
    "location": 255,
}
PATHS = {"machine_type": "machineType", "serial_number": "serialNumber"}


@payload(description="A machine after a change")
class MachinePayload(Payload):
    machine: types.Machine | None = result(description="The machine; null when refused")


@strawberry.input(description="A rate: how many of a unit per hour")
class RateInput:
    value: Decimal = strawberry.field(description="How many per hour, more than zero, at most 6 decimal places")
    unit: str = strawberry.field(description="Unit of what is made, for example pcs; at most 20 characters")


@strawberry.input(description="An amount of money")
class CostInput:
    value: Decimal = strawberry.field(description="The amount, zero or more, at most 6 decimal places")
    currency: str = strawberry.field(description="Currency, ISO 4217, for example EUR")


@strawberry.input(description="A machine to register")
class MachineCreateInput:
    plant_id: strawberry.ID = strawberry.field(description="Plant it stands in, for good")
    department_id: strawberry.ID | None = strawberry.field(description="Department of that plant", default=None)
    code: str = strawberry.field(description="Code, unique in the organization; at most 50 characters")
    name: str = strawberry.field(description="Name; at most 255 characters")
    description: str | None = strawberry.field(description="What it is for; at most 2,000 characters", default=None)
    machine_type: str | None = strawberry.field(description="Kind of machine; at most 100 characters", default=None)
    manufacturer: str | None = strawberry.field(description="Who made it; at most 255 characters", default=None)
    model: str | None = strawberry.field(description="Model of the manufacturer; at most 100 characters", default=None)
    serial_number: str | None = strawberry.field(description="Serial number; at most 100 characters", default=None)
    location: str | None = strawberry.field(
        description="Where in the plant it stands; at most 255 characters", default=None
    )
    rated_rate: RateInput | None = strawberry.field(description="Output it is rated for", default=None)
    installation_date: date | None = strawberry.field(description="Day it was installed", default=None)
    purchase_cost: CostInput | None = strawberry.field(description="What it cost", default=None)
    since: datetime | None = strawberry.field(
        description="When its recorded time begins, not in the future; now unless stated", default=None
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        texts = {
            name: optional_text(getattr(self, name), PATHS.get(name, name), max=most) for name, most in TEXTS.items()
        }
        return {
            "code": text(self.code, "code", max=50),
            "name": text(self.name, "name"),
            "installation_date": self.installation_date,
            **texts,
            **rate_columns(self.rated_rate),
            **cost_columns(self.purchase_cost),
        }


@strawberry.input(description="A change of a machine's master data; absent fields stay, null clears")
class MachineUpdateInput:
    id: strawberry.ID = strawberry.field(description="The machine")
    expected_version: int = strawberry.field(description=VERSION)
    department_id: Maybe[strawberry.ID | None] = strawberry.field(description="Department of its plant")
    code: Maybe[str | None] = strawberry.field(description="Code, unique in the organization")
    name: Maybe[str | None] = strawberry.field(description="Name")
    description: Maybe[str | None] = strawberry.field(description="What it is for")
    machine_type: Maybe[str | None] = strawberry.field(description="Kind of machine")
    manufacturer: Maybe[str | None] = strawberry.field(description="Who made it")
    model: Maybe[str | None] = strawberry.field(description="Model of the manufacturer")
    serial_number: Maybe[str | None] = strawberry.field(description="Serial number")
    location: Maybe[str | None] = strawberry.field(description="Where in the plant it stands")
    rated_rate: Maybe[RateInput | None] = strawberry.field(description="Output it is rated for")
    installation_date: Maybe[date | None] = strawberry.field(description="Day it was installed")
    purchase_cost: Maybe[CostInput | None] = strawberry.field(description="What it cost")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        given = changes(self, "code", "name", "department_id", "installation_date", *TEXTS, required=("code", "name"))
        for name in given.keys() & TEXTS.keys():
            given[name] = optional_text(given[name], PATHS.get(name, name), max=TEXTS[name])
        if "code" in given:
            given["code"] = text(given["code"], "code", max=50)
        if "name" in given:
            given["name"] = text(given["name"], "name")
        if "department_id" in given:
            given["department_id"] = key_or_none("Department", given["department_id"], "departmentId")
        pairs = changes(self, "rated_rate", "purchase_cost")
        if "rated_rate" in pairs:
            given |= rate_columns(pairs["rated_rate"])
        if "purchase_cost" in pairs:
            given |= cost_columns(pairs["purchase_cost"])
        return given


@strawberry.input(description="A machine in the version that was read")
class MachineVersionInput(VersionInput):
    of = "Machine"


@strawberry.input(description="A machine to take out of service for good")
class MachineDecommissionInput:
    id: strawberry.ID = strawberry.field(description="The machine")
    expected_version: int = strawberry.field(description=VERSION)
    occurred_at: datetime | None = strawberry.field(description="When it left service; now unless stated", default=None)
    reason_code_id: strawberry.ID | None = strawberry.field(
        description="Why; a reason for DECOMMISSIONED", default=None
    )
    notes: str | None = strawberry.field(description="Notes; at most 2,000 characters", default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)


def rate_columns(rate: RateInput | None) -> dict[str, Any]:
    if rate is None:
        return {"rated_rate": None, "rated_unit": None}
    return {
        "rated_rate": quantity(rate.value, "ratedRate.value"),
        "rated_unit": text(rate.unit, "ratedRate.unit", max=20),
    }


def cost_columns(cost: CostInput | None) -> dict[str, Any]:
    if cost is None:
        return {"purchase_cost": None, "purchase_currency": None}
    return {
        "purchase_cost": quantity(cost.value, "purchaseCost.value", positive=False),
        "purchase_currency": currency(cost.currency, "purchaseCost.currency"),
    }
