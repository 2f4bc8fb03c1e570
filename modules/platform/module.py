"""The manifest of platform."""

from schema.permissions import (
    EVERY_ROLE,
    INTEGRATION,
    MAINTENANCE_TECHNICIAN,
    OPERATOR,
    PLANNER,
    PLANT_MANAGER,
    QUALITY_INSPECTOR,
    SUPERVISOR,
    WAREHOUSE,
)
from schema.registry import Module, Permission

from . import graph, types
from .files import rules as files
from .files import settings as file_settings
from .files.types import File
from .numbering.service import ZONE
from .work import demo, jobs

UPLOADERS = [
    PLANT_MANAGER, SUPERVISOR, OPERATOR, QUALITY_INSPECTOR, MAINTENANCE_TECHNICIAN, PLANNER, WAREHOUSE, INTEGRATION,
]  # fmt: skip

MODULE = Module(
    name="platform",
    depends_on=["identity"],
    graph=graph,
    types=[types.AuditEntry, File],
    permissions={
        "audit.read": Permission("See who changed what, with every value before and after"),
        "settings.read": Permission("See settings and numbering schemes", [PLANT_MANAGER]),
        "settings.manage": Permission("Change settings"),
        "numbering.manage": Permission("Change how documents are numbered"),
        "jobs.read": Permission("See work in the background, dead letters and schedules", [PLANT_MANAGER, INTEGRATION]),
        "jobs.manage": Permission("Run jobs again, or discard them"),
        "offline.read": Permission(
            "See what terminals sent that had been offline, and how far their clocks are off",
            [PLANT_MANAGER, SUPERVISOR, INTEGRATION],
        ),
        "files.read": Permission("See and download files", EVERY_ROLE),
        "files.upload": Permission("Upload files", UPLOADERS),
        "files.delete": Permission("Delete files", [PLANT_MANAGER, SUPERVISOR]),
    },
    refusals=[files.UploadMissing, files.UploadExpired, files.UploadDiffers, files.FileTypeMismatch],
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
    settings=[ZONE, *file_settings.ALL],
    demo=demo.make,
)
