"""Inputs and payloads of recording and correcting status."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry import Maybe

from modules.equipment import types
from schema.checks import optional_text
from schema.ids import key_or_none
from schema.inputs import IDEMPOTENCY, VERSION
from schema.patch import changes
from schema.payload import Payload, payload, result

from .rules import MachineStatus


@payload(description="A piece of a machine's time after it was recorded or corrected")
class StatusPeriodPayload(Payload):
    status_period: types.StatusPeriod | None = result(description="The period; null when refused")


@strawberry.input(description="A fact: from a moment on, a machine was in a status")
class MachineStatusRecordInput:
    machine_id: strawberry.ID = strawberry.field(description="The machine")
    status: MachineStatus = strawberry.field(description="The status it went into; not DECOMMISSIONED")
    reason_code_id: strawberry.ID | None = strawberry.field(
        description="Why; needed for DOWN, not taken for RUNNING", default=None
    )
    occurred_at: datetime = strawberry.field(
        description="When, by the device's clock: at most 2 minutes ahead of the server; within 7 days, or the "
        "setting equipment.late_status_tolerance_hours, where it divides time that was recorded already"
    )
    notes: str | None = strawberry.field(description="Notes; at most 2,000 characters", default=None)
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY)


@strawberry.input(description="A correction of a period that was recorded wrongly; absent fields stay, null clears")
class MachineStatusCorrectInput:
    id: strawberry.ID = strawberry.field(description="The period")
    expected_version: int = strawberry.field(description=VERSION)
    status: Maybe[MachineStatus | None] = strawberry.field(description="What the machine was doing; not DECOMMISSIONED")
    reason_code_id: Maybe[strawberry.ID | None] = strawberry.field(description="Why")
    notes: Maybe[str | None] = strawberry.field(description="Notes; at most 2,000 characters")
    started_at: Maybe[datetime | None] = strawberry.field(
        description="When it began: after the beginning of the period before it, and before its own end; the period "
        "before it ends there"
    )
    correction_reason: str = strawberry.field(description="Why it is corrected; at most 2,000 characters")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    def changes(self) -> dict[str, Any]:
        required = ("status", "started_at")
        given = changes(self, "reason_code_id", "notes", *required, required=required)
        if "reason_code_id" in given:
            given["reason_code_id"] = key_or_none("ReasonCode", given["reason_code_id"], "reasonCodeId")
        if "notes" in given:
            given["notes"] = optional_text(given["notes"], "notes", max=2000)
        return given
