"""The enums of this module as the schema shows them; published before any list or type is made of them."""

from schema.enums import public_enum

from .meters.rules import MeterKind, ReadingKind
from .reasons.rules import BigLoss, ReasonCategory
from .status.rules import MachineStatus

public_enum(
    MachineStatus,
    name="MachineStatus",
    description="What a machine is doing at a moment",
    values={
        "AVAILABLE": "Ready, and no work assigned to it",
        "RUNNING": "Producing",
        "IDLE": "Has work and is not producing: starved, blocked, or a short stop",
        "SETUP": "Being set up or changed over for the next work",
        "DOWN": "Cannot produce; needs a reason",
        "MAINTENANCE": "Under planned or corrective maintenance; handed back before it runs again",
        "OFFLINE": "Switched off, or without signal",
        "DECOMMISSIONED": "Taken out of service for good; nothing follows",
    },
)
public_enum(
    ReasonCategory,
    name="ReasonCategory",
    description="What kind of cause kept a machine from producing; decides whether the loss was planned",
    values={
        "NO_DEMAND": "Planned: no order for the machine",
        "BREAK": "Planned: break, meeting, training, cleaning",
        "PLANNED_MAINTENANCE": "Planned: maintenance that was scheduled",
        "SETUP": "Planned: setup, changeover, adjustment",
        "EQUIPMENT": "Unplanned: failure of the machine or its tooling",
        "MATERIAL": "Unplanned: material missing, late or wrong",
        "LABOR": "Unplanned: nobody there to run it",
        "QUALITY": "Unplanned: stopped for a quality problem",
        "PROCESS": "Unplanned: process not stable, warm-up, restart",
        "MINOR_STOP": "Unplanned: jam, sensor, a stop of a few minutes",
        "EXTERNAL": "Unplanned: power, compressed air, and other causes outside the plant's control",
    },
)
public_enum(
    BigLoss,
    name="BigLoss",
    description="The six big losses of equipment",
    values={
        "EQUIPMENT_FAILURE": "Availability loss: breakdown",
        "SETUP_AND_ADJUSTMENT": "Availability loss: setup and adjustment",
        "MINOR_STOP": "Performance loss: idling and minor stops",
        "REDUCED_SPEED": "Performance loss: slower than rated; shows in counts, not in status",
        "PROCESS_DEFECT": "Quality loss: scrap and rework in stable production",
        "STARTUP_LOSS": "Quality loss: reduced yield until production is stable",
    },
)
public_enum(
    MeterKind,
    name="MeterKind",
    description="What a meter counts",
    values={
        "OPERATING_HOURS": "Hours the machine worked",
        "POWER_ON_HOURS": "Hours the machine was switched on",
        "CYCLES": "Cycles, strokes, shots",
        "PARTS": "Pieces made",
        "DISTANCE": "Way travelled",
        "ENERGY": "Energy used",
        "OTHER": "Something else; the unit says what",
    },
)
public_enum(
    ReadingKind,
    name="MeterReadingKind",
    description="What happened to the dial since the reading before",
    values={
        "READING": "It counted on",
        "ROLLOVER": "It passed its highest value and began again at zero",
        "REPLACEMENT": "Another meter was fitted",
    },
)
