"""The manifest of platform."""

from db.demo import Demo
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
from schema.registry import Module, NotificationKind, Permission

from . import graph, types
from .documents.types import TrustedDocument
from .files import rules as files
from .files import settings as file_settings
from .files.types import File
from .limits import settings as limit_settings
from .notifications.jobs import JOBS as MAILING
from .notifications.types import Notification
from .numbering.service import ZONE
from .webhooks import demo as webhooks_demo
from .webhooks import jobs as webhooks_jobs
from .work import demo, jobs

UPLOADERS = [
    PLANT_MANAGER, SUPERVISOR, OPERATOR, QUALITY_INSPECTOR, MAINTENANCE_TECHNICIAN, PLANNER, WAREHOUSE, INTEGRATION,
]  # fmt: skip


async def _demo(factory: Demo) -> None:
    await demo.make(factory)
    await webhooks_demo.make(factory)


MODULE = Module(
    name="platform",
    depends_on=["identity"],
    graph=graph,
    types=[types.AuditEntry, File, Notification, TrustedDocument],
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
        "documents.read": Permission("See trusted documents", [INTEGRATION]),
        "documents.manage": Permission("Register trusted documents", [INTEGRATION]),
        "files.delete": Permission("Delete files", [PLANT_MANAGER, SUPERVISOR]),
        "webhooks.read": Permission("See webhook endpoints and their deliveries", [INTEGRATION]),
        "webhooks.manage": Permission("Decide where webhooks lead, pause, replay and redeliver them"),
    },
    refusals=[files.UploadMissing, files.UploadExpired, files.UploadDiffers, files.FileTypeMismatch],
    jobs={**jobs.JOBS, **MAILING, **webhooks_jobs.JOBS},
    schedules={**jobs.SCHEDULES, **webhooks_jobs.SCHEDULES},
    notifications={
        "platform.job_dead": NotificationKind(
            description="Work in the background was given up; told once until it is read",
            title="Work was given up: {{ kind }}",
            body="Job {{ job }} in the queue {{ queue }} was given up after {{ attempts }} attempt{{ 's' if attempts > 1 }}."
            "\n{{ error }}\nThe dead letters show it, and others since: run it again, or discard it.",
            severity="warning",
        )
    },
    settings=[ZONE, *file_settings.ALL, *limit_settings.ALL],
    demo=_demo,
)
