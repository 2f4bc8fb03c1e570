"""Work in the background of the demo factory: a week of the nightly schedule, done."""

from __future__ import annotations

from datetime import timedelta

from db.demo import Demo
from db.queue import Queue

from .jobs import SCHEDULES

CODE = "platform.forget"
DAYS = 7


async def make(demo: Demo) -> None:
    last = demo.now.replace(hour=2, minute=17, second=0, microsecond=0) - timedelta(days=1)
    times = [last - timedelta(days=day) for day in reversed(range(DAYS))]
    jobs = await demo.insert("app.jobs", [
        {
            "queue": str(Queue.BACKGROUND_JOBS), "kind": CODE, "message_id": 0, "status": "succeeded", "attempts": 1,
            "progress": 100, "run_at": at, "started_at": at, "finished_at": at + timedelta(milliseconds=40), "created_at": at,
        }
        for at in times
    ])  # fmt: skip
    (schedule,) = await demo.insert("app.schedules", [
        {
            "code": CODE, "description": SCHEDULES[CODE].description, "cron": SCHEDULES[CODE].cron, "time_zone": "UTC",
            "next_run_at": last + timedelta(days=2), "last_run_at": last,
        }
    ])  # fmt: skip
    await demo.insert("app.schedule_runs", [
        {"schedule_id": schedule, "job_id": job, "scheduled_for": at, "missed": 0, "created_at": at}
        for job, at in zip(jobs, times, strict=True)
    ])  # fmt: skip
