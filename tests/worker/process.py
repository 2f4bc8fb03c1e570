"""`python -m tests.worker.process`: a real worker process whose module offers the handlers the tests ask for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import text

from db.session import WriteTx
from modules import MODULES
from schema.registry import Module
from schema.work import Abandon, InTransaction, Job, Outside, Policy, Work
from worker.main import main

QUICK = Policy(attempts=3, shortest=0.05, longest=0.2, seconds=60)


async def note(tx: WriteTx, word: Any, job: Job) -> None:
    """An effect that can be counted: the superuser of the tests made the table."""
    await tx.execute(
        text("insert into app.test_effects (organization_id, word, job, attempt) values (:org, :word, :job, :attempt)"),
        {"org": tx.org, "word": str(word), "job": job.id, "attempt": job.attempt},
    )


async def noted(tx: WriteTx, job: Job) -> None:
    await note(tx, job.payload["word"], job)


async def failing(tx: WriteTx, job: Job) -> None:
    await note(tx, "lost", job)
    if job.attempt <= int(job.payload["times"]):
        raise ValueError("a secret of the program")


async def hopeless(_tx: WriteTx, _job: Job) -> None:
    raise Abandon("The receiver is gone for good")


async def dying(tx: WriteTx, job: Job) -> None:
    """The worker is killed between the effect and its acknowledgement, the first time."""
    await note(tx, job.payload["word"], job)
    if job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


async def slow(work: Work) -> None:
    for step in range(4):
        await work.progress(step * 25)
        await asyncio.sleep(float(work.job.payload["seconds"]) / 4)
    async with work.write() as tx:
        await note(tx, work.job.payload["word"], work.job)


JOBS = {
    "test.note": InTransaction(noted, QUICK),
    "test.fail": InTransaction(failing, QUICK),
    "test.hopeless": InTransaction(hopeless, QUICK),
    "test.dying": InTransaction(dying, QUICK),
    "test.slow": Outside(slow, QUICK),
}
MODULE = Module(name="test", jobs=JOBS)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], (*MODULES, MODULE)))
