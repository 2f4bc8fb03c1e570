"""Use cases of jobs: run one again, or never."""

from __future__ import annotations

from sqlalchemy import text

from db.refusal import InvalidTransition, NotFound
from db.session import WriteTx

from .tables import Job, JobStatus

_RETRY = text("select app.job_retry(:job)")
_DISCARD = text("select app.job_discard(:job)")
RETRIED_FROM = (JobStatus.FAILED, JobStatus.DEAD)
DISCARDED_FROM = (JobStatus.QUEUED, JobStatus.FAILED, JobStatus.DEAD)


async def retry(tx: WriteTx, id: int) -> Job:
    """A dead job runs again with all its attempts, a failed one at once."""
    job = await _known(tx, id)
    if not await tx.scalar(_RETRY, {"job": id}):
        raise _refused(job, JobStatus.QUEUED, RETRIED_FROM)
    return job


async def discard(tx: WriteTx, id: int) -> Job:
    """A job that no worker has at the moment never runs."""
    job = await _known(tx, id)
    if not await tx.scalar(_DISCARD, {"job": id}):
        raise _refused(job, JobStatus.DISCARDED, DISCARDED_FROM)
    return job


async def _known(tx: WriteTx, id: int) -> Job:
    job = await tx.get(Job, id)
    if job is None:
        raise NotFound("There is no such job", path=("id",))
    return job


def _refused(job: Job, to: JobStatus, before: tuple[JobStatus, ...]) -> InvalidTransition:
    """Only some states lead there; of those, the one refused has a worker at it just now."""
    held = job.status in before
    message = "A worker has the job at the moment" if held else f"A job that is {job.status} stays so"
    return InvalidTransition(message, path=("id",), from_=job.status.name, to=to.name, allowed=[])
