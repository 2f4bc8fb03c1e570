"""Platform's own work in the background: jobs that are over and old notifications are forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.session import WriteTx
from schema.work import InTransaction, Job, Schedule

KEPT = timedelta(days=30)
NOTIFICATIONS_KEPT = timedelta(days=90)


async def forget(tx: WriteTx, _job: Job) -> None:
    now = datetime.now(UTC)
    await tx.execute(text("select app.forget_jobs(:before)"), {"before": now - KEPT})
    await tx.execute(text("select app.forget_notifications(:before)"), {"before": now - NOTIFICATIONS_KEPT})


JOBS = {"platform.forget": InTransaction(forget)}
SCHEDULES = {
    "platform.forget": Schedule(
        cron="17 2 * * *",
        kind="platform.forget",
        description="Forgets jobs and runs of schedules after 30 days, notifications after 90",
    )
}
