"""Telling people that a job was given up."""

from __future__ import annotations

from api.logs import log
from db.actor import Actor
from db.session import Database
from modules.platform.public import MAIL, Holders, notify
from schema.work import Job

KIND = "platform.job_dead"
DECIDE = "jobs.manage"

logger = log("worker.notices")


async def tell_of(database: Database, actor: Actor, queue: str, job: Job, error: str) -> None:
    """Tell those who can decide on a dead letter, each once until it is read: a flood of dead letters is one message. Nobody is
    told of mails: telling could mean another mail. The dead letter stands whatever becomes of this."""
    if job.kind == MAIL:
        return
    facts = {"job": job.id, "kind": job.kind, "queue": queue, "attempts": job.attempt, "error": error}
    try:
        async with database.write(actor) as tx:
            await notify(tx, KIND, facts, to=Holders(DECIDE), about=("Job", job.id), once=True)
    except Exception as failure:
        logger.warning("nobody was told of a dead letter", job=job.id, exc_info=failure)
