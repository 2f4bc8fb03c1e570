"""The manifest of equipment."""

from modules.identity.public import Department, Plant
from schema.permissions import (
    EVERY_ROLE,
    INTEGRATION,
    MAINTENANCE_TECHNICIAN,
    OPERATOR,
    PLANNER,
    PLANT_MANAGER,
    SUPERVISOR,
)
from schema.registry import Module, Permission

from . import demo, graph, types
from .meters.rules import ReadingNotMonotonic
from .status.notices import KINDS
from .status.service import LATE_TOLERANCE

MODULE = Module(
    name="equipment",
    depends_on=["identity", "platform"],
    graph=graph,
    types=[types.Machine, types.StatusPeriod, types.ReasonCode, types.Meter, types.MeterReading],
    permissions={
        "equipment.read": Permission("See machines, their status, reason codes and meters", roles=EVERY_ROLE),
        "equipment.cost.read": Permission("See what machines cost", roles={PLANT_MANAGER, PLANNER}),
        "equipment.manage": Permission(
            "Register, change, archive and decommission machines and meters", roles={PLANT_MANAGER}
        ),
        "equipment.reason.manage": Permission("Manage the organization's reason codes", roles={PLANT_MANAGER}),
        "equipment.status.record": Permission(
            "Record the status of machines",
            roles={PLANT_MANAGER, SUPERVISOR, OPERATOR, MAINTENANCE_TECHNICIAN, INTEGRATION},
        ),
        "equipment.status.correct": Permission(
            "Correct status that was recorded", roles={PLANT_MANAGER, SUPERVISOR, MAINTENANCE_TECHNICIAN}
        ),
        "equipment.meter.record": Permission(
            "Record and void meter readings", roles={PLANT_MANAGER, MAINTENANCE_TECHNICIAN, INTEGRATION}
        ),
    },
    refusals=[ReadingNotMonotonic],
    settings=[LATE_TOLERANCE],
    notifications=KINDS,
    extends={Plant: types.PlantEquipment, Department: types.DepartmentEquipment},
    demo=demo.make,
)
