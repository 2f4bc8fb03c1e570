"""Root fields of work in the background."""

import strawberry

from db.session import WriteTx
from schema.fields import events, listing, lookup, mutation
from schema.ids import key
from schema.payload import Payload, payload, result

from . import lists, service, tables
from .types import Job, Schedule, ScheduleRun

MANAGE = "jobs.manage"

job = lookup(Job, description="One job")
jobs = listing(Job, lists.JOBS, description="Work in the background, newest first")
dead_letters = listing(Job, lists.DEAD_LETTERS, description="Jobs whose attempts are used up, newest first")
schedules = listing(Schedule, lists.SCHEDULES, description="Recurring work, by code")
schedule_runs = listing(ScheduleRun, lists.SCHEDULE_RUNS, description="When schedules were due, newest first")
job_events = events(Job, lists.JOBS, description="Jobs that were queued, changed their state or came further")


@strawberry.input(description="A job to run again")
class JobRetryInput:
    id: strawberry.ID = strawberry.field(description="The job: dead, or failed and waiting")
    idempotency_key: str | None = strawberry.field(
        default=None, description="Any string unique to this request; a repetition answers as the first time"
    )


@strawberry.input(description="A job that is never to run")
class JobDiscardInput:
    id: strawberry.ID = strawberry.field(description="The job: waiting, failed or dead, and with no worker at it")
    idempotency_key: str | None = strawberry.field(
        default=None, description="Any string unique to this request; a repetition answers as the first time"
    )


@payload(description="Result of deciding on a job")
class JobPayload(Payload):
    job: Job | None = result(description="The job as it is now")


@mutation(MANAGE, JobPayload, description="Run a job again: a dead one with all its attempts, a failed one at once")
async def job_retry(tx: WriteTx, input: JobRetryInput) -> tables.Job:
    return await service.retry(tx, key("Job", input.id))


@mutation(MANAGE, JobPayload, description="Never run a job")
async def job_discard(tx: WriteTx, input: JobDiscardInput) -> tables.Job:
    return await service.discard(tx, key("Job", input.id))
