"""Root fields of machine status and of what it adds up to."""

from datetime import UTC, datetime
from typing import Annotated

import strawberry

from db.session import WriteTx
from modules.equipment import lists, tables
from modules.equipment.types import StatusPeriod
from schema.checks import optional_text, text
from schema.context import Info
from schema.cost import Cost
from schema.faults import bad_input
from schema.fields import Offline, events, listing, lookup, mutation, query
from schema.ids import key, key_or_none

from . import service, utilization
from .inputs import MachineStatusCorrectInput, MachineStatusRecordInput, StatusPeriodPayload
from .rules import window_problem
from .types import MachineUtilizationBy, Utilization

status_period = lookup(StatusPeriod, description="One piece of a machine's time by its id")
status_periods = listing(
    StatusPeriod, lists.STATUS_PERIODS, description="Time of all machines in the caller's plants, newest period first"
)
machine_status_events = events(
    StatusPeriod,
    lists.STATUS_PERIODS,
    description="Status of machines as it is recorded: the period that ends and the one that begins; "
    "`where: {endedAt: {isNull: true}}` leaves the ones that begin",
)


@mutation(
    "equipment.status.record",
    StatusPeriodPayload,
    posts_fact=True,
    offline=Offline(about="machine_id"),
    description="Record what a machine went into, and when. A late fact divides the period that holds its moment",
)
async def machine_status_record(tx: WriteTx, input: MachineStatusRecordInput, now: datetime) -> tables.StatusPeriod:
    return await service.record(
        tx,
        key("Machine", input.machine_id, "machineId"),
        status=input.status,
        reason_code_id=key_or_none("ReasonCode", input.reason_code_id, "reasonCodeId"),
        occurred_at=input.occurred_at,
        notes=optional_text(input.notes, "notes", max=2000),
        now=now,
    )


@mutation(
    "equipment.status.correct",
    StatusPeriodPayload,
    description="Correct the status, reason, notes or beginning of a period; the audit trail keeps what it said before",
)
async def machine_status_correct(tx: WriteTx, input: MachineStatusCorrectInput, now: datetime) -> tables.StatusPeriod:
    return await service.correct(
        tx,
        key("StatusPeriod", input.id),
        version=input.expected_version,
        changes=input.changes(),
        reason=text(input.correction_reason, "correctionReason", max=2000),
        now=now,
    )


@query(
    "equipment.read",
    description="Seconds per status inside a window, of one machine or of a plant's machines; null when it is unknown",
    priced=[Cost(weight=50)],
)
async def machine_utilization(
    info: Info,
    by: Annotated[MachineUtilizationBy, strawberry.argument(description="Exactly one machine or plant")],
    from_: Annotated[datetime, strawberry.argument(name="from", description="Start of the window, inclusive")],
    to: Annotated[
        datetime, strawberry.argument(description="End of the window, exclusive; at most 400 days after its start")
    ],
) -> Utilization | None:
    machine, plant = by.keys()
    if problem := window_problem(from_, to):
        raise bad_input(problem, "to")
    async with info.context.read("equipment.read") as tx:
        times = await utilization.of_machines(
            tx, machine=machine, plant=plant, start=from_, end=to, now=datetime.now(UTC)
        )
        if not times and not await utilization.known(tx, machine=machine, plant=plant):
            return None
    return Utilization.of(from_, to, times)
