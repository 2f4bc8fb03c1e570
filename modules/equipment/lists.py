"""What can be listed: filters and orders, each led by an index of the migration."""

from schema.listing import Listing

from . import enums as _published  # noqa: F401  a filter on an enum takes its public name
from .tables import Machine, Meter, MeterReading, ReasonCode, StatusPeriod

REASON_CODES = Listing(
    ReasonCode,
    name="ReasonCode",
    where={
        "code": ReasonCode.code,
        "name": ReasonCode.name,
        "category": ReasonCode.category,
        "archivedAt": ReasonCode.archived_at,
    },
    order_by={
        "CODE": ReasonCode.code,
        "NAME": ReasonCode.name,
        "CATEGORY": ReasonCode.category,
        "CREATED_AT": ReasonCode.created_at,
    },
    default=("CODE",),
)
MACHINES = Listing(
    Machine,
    name="Machine",
    where={
        "id": Machine.id,
        "code": Machine.code,
        "name": Machine.name,
        "plant": Machine.plant_id,
        "department": Machine.department_id,
        "machineType": Machine.machine_type,
        "serialNumber": Machine.serial_number,
        "status": Machine.status,
        "statusSince": Machine.status_since,
        "statusReason": Machine.status_reason_id,
        "archivedAt": Machine.archived_at,
    },
    order_by={
        "CODE": Machine.code,
        "NAME": Machine.name,
        "MACHINE_TYPE": Machine.machine_type,
        "STATUS": Machine.status,
        "STATUS_SINCE": Machine.status_since,
        "CREATED_AT": Machine.created_at,
    },
    default=("CODE",),
)
STATUS_PERIODS = Listing(
    StatusPeriod,
    name="StatusPeriod",
    where={
        "plant": StatusPeriod.plant_id,
        "machine": StatusPeriod.machine_id,
        "status": StatusPeriod.status,
        "reasonCode": StatusPeriod.reason_code_id,
        "startedAt": StatusPeriod.started_at,
        "endedAt": StatusPeriod.ended_at,
        "recordedBy": StatusPeriod.recorded_by_id,
        "correctedAt": StatusPeriod.corrected_at,
    },
    order_by={"STARTED_AT": StatusPeriod.started_at, "ENDED_AT": StatusPeriod.ended_at},
    default=("-STARTED_AT",),
)
METERS = Listing(
    Meter,
    name="Meter",
    where={
        "plant": Meter.plant_id,
        "machine": Meter.machine_id,
        "code": Meter.code,
        "kind": Meter.kind,
        "latestReadAt": Meter.latest_read_at,
        "archivedAt": Meter.archived_at,
    },
    order_by={"CODE": Meter.code, "LATEST_READ_AT": Meter.latest_read_at},
    default=("CODE",),
)
METER_READINGS = Listing(
    MeterReading,
    name="MeterReading",
    where={
        "plant": MeterReading.plant_id,
        "machine": MeterReading.machine_id,
        "meter": MeterReading.meter_id,
        "kind": MeterReading.kind,
        "readAt": MeterReading.read_at,
        "voidedAt": MeterReading.voided_at,
    },
    order_by={"READ_AT": MeterReading.read_at},
    default=("-READ_AT",),
)
