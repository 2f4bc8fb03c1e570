"""The public types of work in the background."""

from datetime import datetime

from db.queue import Queue
from modules.identity.public import App, Plant, User
from schema.node import Connection, Node, column, node, to_many, to_one

from . import lists, tables

READ = "jobs.read"


@node(tables.Job, permission=READ, description="A piece of work in the background")
class Job(Node):
    queue: Queue = column(description="Queue it stands in")
    kind: str = column(description="What is done, for example platform.forget")
    key: str | None = column(description="Jobs of one key run one after the other, in their order")
    status: tables.JobStatus = column(description="State of the job")
    attempts: int = column(description="How often it was tried")
    last_error: str | None = column(description="Why the last attempt failed")
    progress: int | None = column(description="How far it has come, in percent; null where it does not say")
    run_at: datetime = column(description="When it may run next, or could have")
    started_at: datetime | None = column(description="When the last attempt began")
    finished_at: datetime | None = column(description="When the last attempt ended")
    created_by_user: User | None = to_one(tables.Job.created_by_user_id, description="User whose request asked for it")
    created_by_app: App | None = to_one(tables.Job.created_by_app_id, description="App whose request asked for it")
    request_id: str | None = column(description="Request it was asked for in, as in the log")
    created_at: datetime = column(description="When it was asked for")


@node(tables.ScheduleRun, permission=READ, description="A time at which a schedule was due and its job was queued")
class ScheduleRun(Node):
    schedule: "Schedule | None" = to_one(tables.ScheduleRun.schedule_id, description="The schedule")
    plant: Plant | None = to_one(tables.ScheduleRun.plant_id, description="Plant it ran for; null for all")
    job: Job | None = to_one(tables.ScheduleRun.job_id, description="The work; null once it was forgotten")
    scheduled_for: datetime = column(description="When it was due")
    missed: int = column(description="Later times it made up for as well, because no worker ran; 10,000 may be more")
    created_at: datetime = column(description="When its job was queued")


@node(tables.Schedule, permission=READ, description="Recurring work of the organization or of one plant")
class Schedule(Node):
    code: str = column(description="Name of the schedule, unique in the organization or plant")
    plant: Plant | None = to_one(tables.Schedule.plant_id, description="Plant it runs for; null for all")
    description: str = column(description="What it does")
    cron: str = column(description="When it is due: minute, hour, day of month, month, day of week")
    time_zone: str = column(description="Time zone `cron` is read in: the plant's, else UTC")
    next_run_at: datetime | None = column(description="When it is due next; null where it is not in use any more")
    last_run_at: datetime | None = column(description="When its job was last queued")
    runs: Connection[ScheduleRun] = to_many(
        tables.ScheduleRun.schedule_id, lists.SCHEDULE_RUNS, description="Its runs, newest first"
    )
