"""The public types: each field says where its value is."""

from datetime import date, datetime
from decimal import Decimal

from modules.identity.public import Department, Plant, User
from schema.node import Connection, Node, column, computed, extension, node, to_many, to_one
from schema.scalars import Quantity, quantity

from . import enums as _published  # noqa: F401
from . import lists, tables
from .meters.rules import MeterKind, ReadingKind
from .reasons.rules import BigLoss, ReasonCategory, big_loss, planned
from .status.rules import MachineStatus, seconds


def _statuses(stored: list[str]) -> list[MachineStatus]:
    return [MachineStatus(status) for status in stored]


@node(tables.ReasonCode, permission="equipment.read", description="Why a machine was not producing")
class ReasonCode(Node):
    code: str = column(description="Code of the reason, unique in the organization")
    name: str = column(description="Name of the reason, as operators know it")
    description: str | None = column(description="When to use it")
    category: ReasonCategory = column(description="Kind of cause")
    planned: bool = computed(planned, tables.ReasonCode.category, description="Whether its category is a planned stop")
    big_loss: BigLoss | None = computed(
        big_loss,
        tables.ReasonCode.category,
        description="Big loss its category counts to; null for time that is no loss",
    )
    applies_to: list[MachineStatus] = computed(
        _statuses, tables.ReasonCode.applies_to, description="Statuses it can explain"
    )
    archived_at: datetime | None = column(description="When it was taken out of use; null while it is active")
    version: int = column(description="Version, for `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it was last changed")


@node(tables.Machine, permission="equipment.read", description="A machine that does or supports production in a plant")
class Machine(Node):
    code: str = column(description="Code of the machine, unique in the organization")
    name: str = column(description="Name of the machine")
    description: str | None = column(description="What it is for")
    machine_type: str | None = column(description="Kind of machine, for example CNC mill, press, welder")
    manufacturer: str | None = column(description="Who made it")
    model: str | None = column(description="Model of the manufacturer")
    serial_number: str | None = column(description="Serial number of the manufacturer")
    location: str | None = column(description="Where in the plant it stands")
    rated_rate: Quantity | None = computed(
        quantity, tables.Machine.rated_rate, tables.Machine.rated_unit, description="Output it is rated for, per hour"
    )
    installation_date: date | None = column(description="Day it was installed")
    purchase_cost: Decimal | None = column(
        description="What it cost, in `purchaseCurrency`", permission="equipment.cost.read"
    )
    purchase_currency: str | None = column(
        description="Currency of the purchase cost, ISO 4217", permission="equipment.cost.read"
    )
    plant: Plant | None = to_one(tables.Machine.plant_id, description="Plant it stands in, for good")
    department: Department | None = to_one(
        tables.Machine.department_id, description="Department it belongs to; null belongs to the plant as a whole"
    )
    status: MachineStatus = column(description="What it is doing: the status of its open period")
    status_since: datetime = column(description="Since when it has been in that status")
    status_reason: ReasonCode | None = to_one(
        tables.Machine.status_reason_id, description="Why it is in that status, where a reason was given"
    )
    status_history: Connection["StatusPeriod"] = to_many(
        tables.StatusPeriod.machine_id,
        lists.STATUS_PERIODS,
        description="Its time, newest period first, without gap or overlap",
    )
    meters: Connection["Meter"] = to_many(tables.Meter.machine_id, lists.METERS, description="What it counts")
    archived_at: datetime | None = column(description="When it was archived; null while it is in use")
    version: int = column(
        description="Version of the master data, for `expectedVersion`; recording a status does not count"
    )
    created_at: datetime = column(description="When it was registered")
    updated_at: datetime = column(description="When its master data was last changed")


@node(tables.StatusPeriod, permission="equipment.read", description="A piece of a machine's time in one status")
class StatusPeriod(Node):
    machine: Machine | None = to_one(tables.StatusPeriod.machine_id, description="Machine the time belongs to")
    plant: Plant | None = to_one(tables.StatusPeriod.plant_id, description="Plant of the machine")
    status: MachineStatus = column(description="What the machine was doing")
    reason_code: ReasonCode | None = to_one(
        tables.StatusPeriod.reason_code_id, description="Why, where a reason was given"
    )
    started_at: datetime = column(description="When it began, by the device's clock; inclusive")
    ended_at: datetime | None = column(description="When the next period began; exclusive; null for the open period")
    duration_seconds: Decimal | None = computed(
        seconds,
        tables.StatusPeriod.started_at,
        tables.StatusPeriod.ended_at,
        description="Exact length in seconds; null while the period is open",
    )
    notes: str | None = column(description="Notes of who recorded it")
    received_at: datetime = column(description="When the server learned of it")
    recorded_by: User | None = to_one(
        tables.StatusPeriod.recorded_by_id, description="Who recorded it; null for an app"
    )
    corrected_at: datetime | None = column(description="When it was last corrected; null if it stands as recorded")
    corrected_by: User | None = to_one(
        tables.StatusPeriod.corrected_by_id, description="Who corrected it; null for an app"
    )
    correction_reason: str | None = column(description="Why it was corrected")
    version: int = column(description="Version, for `expectedVersion`")


@node(tables.Meter, permission="equipment.read", description="Something a machine counts: hours, cycles, parts")
class Meter(Node):
    machine: Machine | None = to_one(tables.Meter.machine_id, description="Machine it counts for")
    plant: Plant | None = to_one(tables.Meter.plant_id, description="Plant of the machine")
    code: str = column(description="Code of the meter, unique on its machine")
    name: str = column(description="Name of the meter")
    kind: MeterKind = column(description="What it counts")
    unit: str = column(description="Unit of its values, for example h or cycles")
    rollover_at: Decimal | None = column(description="Value at which the dial begins again at zero; null never does")
    latest_value: Decimal | None = column(description="What the dial showed last")
    latest_total: Quantity | None = computed(
        quantity,
        tables.Meter.latest_total,
        tables.Meter.unit,
        description="All it ever counted, over rollovers and replaced meters",
    )
    latest_read_at: datetime | None = column(description="When it was read last")
    readings: Connection["MeterReading"] = to_many(
        tables.MeterReading.meter_id, lists.METER_READINGS, description="Its readings, newest first"
    )
    archived_at: datetime | None = column(description="When it was taken out of use; null while it is read")
    version: int = column(description="Version of the definition, for `expectedVersion`; a reading does not count")
    created_at: datetime = column(description="When it was defined")
    updated_at: datetime = column(description="When its definition was last changed")


@node(tables.MeterReading, permission="equipment.read", description="What a meter's dial showed at a moment")
class MeterReading(Node):
    meter: Meter | None = to_one(tables.MeterReading.meter_id, description="Meter that was read")
    machine: Machine | None = to_one(tables.MeterReading.machine_id, description="Machine of the meter")
    kind: ReadingKind = column(description="What happened to the dial since the reading before")
    value: Decimal = column(description="What the dial showed, in the meter's unit")
    total: Decimal = column(description="All the meter ever counted until then: never less than at an earlier moment")
    read_at: datetime = column(description="When it was read, by the device's clock")
    received_at: datetime = column(description="When the server learned of it")
    recorded_by: User | None = to_one(
        tables.MeterReading.recorded_by_id, description="Who recorded it; null for an app"
    )
    notes: str | None = column(description="Notes of who recorded it")
    voided_at: datetime | None = column(description="When it was declared a mistake; null while it stands")
    void_reason: str | None = column(description="Why it was declared a mistake")
    version: int = column(description="Version, for `expectedVersion`")


@extension
class PlantEquipment:
    """Added to `Plant`."""

    machines: Connection[Machine] = to_many(
        tables.Machine.plant_id, lists.MACHINES, description="Machines of the plant"
    )


@extension
class DepartmentEquipment:
    """Added to `Department`."""

    machines: Connection[Machine] = to_many(
        tables.Machine.department_id, lists.MACHINES, description="Machines of the department"
    )
