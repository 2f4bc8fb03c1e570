"""Platform's own work in the background: jobs that are over are forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.session import WriteTx
from schema.work import InTransaction, Job, Schedule

KEPT = timedelta(days=30)


async def forget(tx: WriteTx, _job: Job) -> None:
    await tx.execute(text("select app.forget_jobs(:before)"), {"before": datetime.now(UTC) - KEPT})


JOBS = {"platform.forget": InTransaction(forget)}
SCHEDULES = {
    "platform.forget": Schedule(
        cron="17 2 * * *", kind="platform.forget", description="Forgets jobs and runs of schedules after 30 days"
    )
}
