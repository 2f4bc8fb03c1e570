"""What a module says of its work in the background: handlers of jobs and their policies, and schedules."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cronsim import CronSim
from sqlalchemy import text

from db.actor import Actor
from db.queue import Queue
from db.session import Database, WriteTx


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its handler sees it."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    key: str | None
    attempt: int
    """1 for the first."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often a job is tried, and how long a failure waits: doubling, never more than `longest`, with jitter."""

    attempts: int = 8
    shortest: float = 5.0
    longest: float = 3600.0
    seconds: float = 900.0
    """How long one attempt may take."""

    def delay(self, attempt: int) -> float | None:
        """Seconds until the next attempt; None when this was the last."""
        if attempt >= self.attempts:
            return None
        return float(min(self.shortest * 2.0 ** min(attempt - 1, 30), self.longest)) * random.uniform(0.5, 1.0)


class Abandon(Exception):
    """Raised by a handler: trying again cannot help. The message is shown to people."""


class Postpone(Exception):
    """Raised by a handler: not now; it counts as an attempt. The message is shown to people."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What a handler outside of a transaction works with."""

    database: Database
    actor: Actor
    job: Job

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTx]:
        async with self.database.write(self.actor) as tx:
            yield tx

    async def progress(self, percent: int) -> None:
        """Show how far the job has come."""
        async with self.write() as tx:
            await tx.execute(text("select app.job_progress(:job, :percent)"), {"job": self.job.id, "percent": percent})


@dataclass(frozen=True, slots=True)
class InTransaction:
    """A handler whose whole effect is in the database: effect and acknowledgement commit together, so it happens once.
    It runs in one transaction with other jobs of its organization; where one fails, each runs again alone."""

    run: Callable[[WriteTx, Job], Awaitable[None]]
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Outside:
    """A handler that reaches out of the database, or takes long. It may run again after an interruption: what it does
    must bear that."""

    run: Callable[[Work], Awaitable[None]]
    policy: Policy = field(default_factory=Policy)


Handler = InTransaction | Outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Recurring work: when it is due, a job is put into the queue, with the schedule and its plant as payload."""

    cron: str
    kind: str
    description: str
    queue: Queue = Queue.BACKGROUND_JOBS
    per: Literal["organization", "plant"] = "organization"
    """Of a plant, the expression is in the plant's time zone; of an organization in UTC."""

    def __post_init__(self) -> None:
        CronSim(self.cron, datetime(2026, 1, 1))  # noqa: DTZ001 - only read for its syntax
