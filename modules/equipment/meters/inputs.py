"""Inputs and payloads of the meter mutations."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry import Maybe

from modules.equipment import types
from schema.checks import quantity, text
from schema.inputs import IDEMPOTENCY, VERSION, VersionInput
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import MeterKind, ReadingKind


@payload(description="A meter after a change")
class MeterPayload(Payload):
    meter: types.Meter | None = result(description="The meter; null when refused")


@payload(description="A meter reading after it was recorded or voided")
class MeterReadingPayload(Payload):
    meter_reading: types.MeterReading | None = result(description="The reading; null when refused")


@strawberry.input(description="A meter to define on a machine")
class MeterCreateInput:
    machine_id: strawberry.ID = strawberry.field(description="Machine it counts for")
    code: str = strawberry.field(description="Code, unique on the machine; at most 50 characters")
    name: str = strawberry.field(description="Name; at most 255 characters")
    kind: MeterKind = strawberry.field(description="What it counts")
    unit: str = strawberry.field(description="Unit of its values, for example h; at most 20 characters")
    rollover_at: Decimal | None = strawberry.field(
        description="Value at which the dial begins again at zero; absent never does", default=None
    )
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def values(self) -> dict[str, Any]:
        return {
            "code": text(self.code, "code", max=50),
            "name": text(self.name, "name"),
            "kind": self.kind,
            "unit": text(self.unit, "unit", max=20),
            "rollover_at": None if self.rollover_at is None else quantity(self.rollover_at, "rolloverAt"),
        }


@strawberry.input(description="A change of a meter's definition; absent fields stay, null clears. What it counts stays")
class MeterUpdateInput:
    id: strawberry.ID = strawberry.field(description="The meter")
    expected_version: int = strawberry.field(description=VERSION)
    code: Maybe[str | None] = strawberry.field(description="Code, unique on the machine")
    name: Maybe[str | None] = strawberry.field(description="Name")
    rollover_at: Maybe[Decimal | None] = strawberry.field(description="Value at which the dial begins again at zero")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        given = changes(self, "code", "name", "rollover_at", required=("code", "name"))
        if "code" in given:
            given["code"] = text(given["code"], "code", max=50)
        if "name" in given:
            given["name"] = text(given["name"], "name")
        if given.get("rollover_at") is not None:
            given["rollover_at"] = quantity(given["rollover_at"], "rolloverAt")
        return given


@strawberry.input(description="A meter in the version that was read")
class MeterVersionInput(VersionInput):
    of = "Meter"


@strawberry.input(description="A fact: what a meter's dial showed at a moment")
class MeterReadingRecordInput:
    meter_id: strawberry.ID = strawberry.field(description="The meter")
    value: Decimal = strawberry.field(description="What the dial showed, in the meter's unit; at most 6 decimal places")
    kind: ReadingKind = strawberry.field(
        description="What happened to the dial since the reading before; READING unless stated",
        default=ReadingKind.READING,
    )
    final_value: Decimal | None = strawberry.field(
        description="On a REPLACEMENT, what the old meter showed last; its last reading unless stated", default=None
    )
    read_at: datetime = strawberry.field(
        description="When, by the device's clock; at most 2 minutes ahead of the server"
    )
    notes: str | None = strawberry.field(description="Notes; at most 2,000 characters", default=None)
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY)


@strawberry.input(description="A reading to declare a mistake")
class MeterReadingVoidInput:
    id: strawberry.ID = strawberry.field(description="The reading")
    expected_version: int = strawberry.field(description=VERSION)
    reason: str = strawberry.field(description="Why; at most 2,000 characters")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)
