"""What can be listed of work in the background."""

from typing import Any

from sqlalchemy import ColumnElement, and_

from db.queue import Queue
from schema.enums import public_enum
from schema.listing import Listing

from .tables import Job, JobStatus, Schedule, ScheduleRun

public_enum(
    Queue,
    name="JobQueue",
    description="A queue of work in the background",
    values={
        "BACKGROUND_JOBS": "Recurring and general work",
        "SAP_SYNC": "Exchange with SAP",
        "EMAIL_NOTIFICATIONS": "Mail to send",
        "REPORT_GENERATION": "Reports to make",
        "BARCODE_GENERATION": "Labels to make",
        "WEBHOOKS": "Deliveries to webhook receivers",
    },
)
public_enum(
    JobStatus,
    name="JobStatus",
    description="State of a job",
    values={
        "QUEUED": "It waits for its turn",
        "RUNNING": "A worker is at it; short jobs pass from waiting to done",
        "SUCCEEDED": "It is done",
        "FAILED": "Its last attempt failed; it is tried again at `runAt`",
        "DEAD": "Its attempts are used up: a dead letter, to be retried or discarded by a person",
        "DISCARDED": "A person decided that it never runs",
    },
)
WHERE = {"queue": Job.queue, "kind": Job.kind, "createdAt": Job.created_at}

JOBS = Listing(
    Job,
    name="Job",
    where={**WHERE, "status": Job.status},
    order_by={"CREATED_AT": Job.created_at},
    default=("-CREATED_AT",),
)


class _DeadLetters(Listing):
    """Jobs whose attempts are used up."""

    def condition(self, where: Any) -> ColumnElement[bool]:
        asked, dead = super().condition(where), Job.status == JobStatus.DEAD
        return dead if asked is None else and_(dead, asked)


DEAD_LETTERS = _DeadLetters(
    Job, name="DeadLetter", where=WHERE, order_by={"CREATED_AT": Job.created_at}, default=("-CREATED_AT",)
)
SCHEDULES = Listing(
    Schedule,
    name="Schedule",
    where={"code": Schedule.code, "plant": Schedule.plant_id, "nextRunAt": Schedule.next_run_at},
    order_by={"CODE": Schedule.code, "NEXT_RUN_AT": Schedule.next_run_at},
    default=("CODE",),
)
SCHEDULE_RUNS = Listing(
    ScheduleRun,
    name="ScheduleRun",
    where={"schedule": ScheduleRun.schedule_id, "plant": ScheduleRun.plant_id, "createdAt": ScheduleRun.created_at},
    order_by={"CREATED_AT": ScheduleRun.created_at},
    default=("-CREATED_AT",),
)
