"""What other modules may use."""

from . import tables
from .lists import MACHINES, METERS, REASON_CODES, STATUS_PERIODS
from .meters.rules import MeterKind, ReadingKind
from .meters.service import record as record_meter_reading
from .reasons.rules import ReasonCategory
from .status.rules import MachineStatus
from .status.service import record as record_status
from .status.utilization import Times, of_machines
from .types import Machine, Meter, MeterReading, ReasonCode, StatusPeriod

__all__ = [
    "MACHINES",
    "METERS",
    "REASON_CODES",
    "STATUS_PERIODS",
    "Machine",
    "MachineStatus",
    "Meter",
    "MeterKind",
    "MeterReading",
    "ReadingKind",
    "ReasonCategory",
    "ReasonCode",
    "StatusPeriod",
    "Times",
    "of_machines",
    "record_meter_reading",
    "record_status",
    "tables",
]
