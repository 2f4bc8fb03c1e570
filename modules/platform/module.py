"""The manifest of platform."""

from schema.permissions import INTEGRATION, PLANT_MANAGER
from schema.registry import Module, Permission

from . import graph, types
from .numbering.service import ZONE
from .work import demo, jobs

MODULE = Module(
    name="platform",
    depends_on=["identity"],
    graph=graph,
    types=[types.AuditEntry],
    permissions={
        "audit.read": Permission("See who changed what, with every value before and after"),
        "settings.read": Permission("See settings and numbering schemes", [PLANT_MANAGER]),
        "settings.manage": Permission("Change settings"),
        "numbering.manage": Permission("Change how documents are numbered"),
        "jobs.read": Permission("See work in the background, dead letters and schedules", [PLANT_MANAGER, INTEGRATION]),
        "jobs.manage": Permission("Run jobs again, or discard them"),
    },
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
    settings=[ZONE],
    demo=demo.make,
)
