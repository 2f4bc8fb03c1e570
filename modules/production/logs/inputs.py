"""Inputs and payload of the production log mutations."""

from datetime import datetime
from decimal import Decimal

import strawberry

from modules.production import types
from modules.production.operations.rules import Amounts
from schema.checks import optional_text, quantity, text
from schema.ids import key, key_or_none
from schema.payload import Payload, payload, result

from .rules import LogKind
from .service import Entry

IDEMPOTENCY = "Names the event once and for all, for example a UUID of the device: sent twice it takes effect once"


@payload(description="A row of the log, and what it was reported on as it stands now")
class ProductionLogPayload(Payload):
    production_log: types.ProductionLog | None = result(description="The row; null when refused")
    operation: types.WorkOrderOperation | None = result(description="The operation; null when refused")
    work_order: types.WorkOrder | None = result(description="The order; null when refused")


@strawberry.input(description="Work or pieces to report")
class ProductionLogRecordInput:
    operation_id: strawberry.ID = strawberry.field(description="Operation of a work order")
    kind: LogKind = strawberry.field(
        description="REPORT for pieces; START, PAUSE, RESUME and COMPLETE move a person's clock; ISSUE tells of a problem"
    )
    good: Decimal = strawberry.field(description="Good pieces, in the order's unit", default=Decimal(0))
    scrap: Decimal = strawberry.field(description="Scrapped pieces, in the order's unit", default=Decimal(0))
    scrap_reason_id: strawberry.ID | None = strawberry.field(
        description="Why pieces were scrapped; required with scrap", default=None
    )
    rework: Decimal = strawberry.field(description="Pieces sent to rework, in the order's unit", default=Decimal(0))
    rework_operation_id: strawberry.ID | None = strawberry.field(
        description="Operation that does the rework, this one or an earlier one; required with rework", default=None
    )
    reworked: bool = strawberry.field(
        description="The pieces of this report had been sent back before: they are no first pass", default=False
    )
    machine_id: strawberry.ID | None = strawberry.field(
        description="Machine the work was done on; the operation's unless stated", default=None
    )
    operator_id: strawberry.ID | None = strawberry.field(
        description="Who did the work; the caller unless stated. Somebody else needs production.report_for_others",
        default=None,
    )
    occurred_at: datetime | None = strawberry.field(
        description="When it happened, by the device's clock; now unless stated. The settings production.max_clock_ahead_seconds"
        " and production.max_late_hours bound it",
        default=None,
    )
    notes: str | None = strawberry.field(
        description="Notes; at most 2,000 characters; required with ISSUE", default=None
    )
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY)

    def entry(self, now: datetime) -> Entry:
        return Entry(
            operation_id=key("WorkOrderOperation", self.operation_id, "operationId"),
            kind=self.kind,
            occurred_at=self.occurred_at or now,
            amounts=Amounts(
                good=quantity(self.good, "good", positive=False),
                scrap=quantity(self.scrap, "scrap", positive=False),
                rework=quantity(self.rework, "rework", positive=False),
                reworked=self.reworked,
            ),
            scrap_reason_id=key_or_none("ScrapReason", self.scrap_reason_id, "scrapReasonId"),
            rework_operation_id=key_or_none("WorkOrderOperation", self.rework_operation_id, "reworkOperationId"),
            machine_id=key_or_none("Machine", self.machine_id, "machineId"),
            operator_id=key_or_none("User", self.operator_id, "operatorId"),
            notes=optional_text(self.notes, "notes", max=2000),
        )


@strawberry.input(description="A row of the log to take back")
class ProductionLogReverseInput:
    id: strawberry.ID = strawberry.field(description="The row")
    reason: str = strawberry.field(description="Why; at most 2,000 characters")
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY)

    @property
    def key(self) -> int:
        return key("ProductionLog", self.id)

    @property
    def why(self) -> str:
        return text(self.reason, "reason", max=2000)
