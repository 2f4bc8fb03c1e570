"""Rows of work in the background. Functions of the database write them, with the messages they stand for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from db.base import LedgerTable, enum, ref
from db.queue import Queue


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    DISCARDED = "discarded"


class Job(LedgerTable):
    __tablename__ = "jobs"

    queue: Mapped[Queue] = enum(Queue)
    kind: Mapped[str]
    key: Mapped[str | None]
    message_id: Mapped[int]
    status: Mapped[JobStatus] = enum(JobStatus)
    attempts: Mapped[int] = mapped_column()
    last_error: Mapped[str | None]
    progress: Mapped[int | None]
    run_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_by_user_id: Mapped[int | None] = ref("User")
    created_by_app_id: Mapped[int | None] = ref("App")
    request_id: Mapped[str | None]


class Schedule(LedgerTable):
    __tablename__ = "schedules"

    plant_id: Mapped[int | None] = ref("Plant")
    code: Mapped[str]
    description: Mapped[str]
    cron: Mapped[str]
    time_zone: Mapped[str]
    next_run_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]


class ScheduleRun(LedgerTable):
    __tablename__ = "schedule_runs"

    plant_id: Mapped[int | None] = ref("Plant")
    schedule_id: Mapped[int] = ref("Schedule")
    job_id: Mapped[int] = ref("Job")
    scheduled_for: Mapped[datetime]
    missed: Mapped[int]
