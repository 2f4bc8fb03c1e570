"""The leader of the schedules: puts a job into a queue when one is due, once, however many workers there are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg

from api import metrics
from api.logs import log
from schema.work import Schedule
from worker.times import caught_up, following

LEADER = 0x7363686564  # key of the advisory lock
LOOK_SECONDS = 1.0
SYNC_SECONDS = 30.0
STANDBY_SECONDS = 2.0
PAUSE_SECONDS = (0.5, 5.0)
UPKEEP: Mapping[str, str] = {"upkeep": "7 * * * *", "queue_upkeep": "37 3 * * *"}
"""Work on the database itself. It belongs to no organization and runs inside the database."""

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

logger = log("worker.schedules")


class Scheduler:
    """Runs until it is stopped. The lock chooses who looks; what is due is fired by comparing and setting the time of the
    next run, so that even two who look at once fire once."""

    def __init__(self, url: str, schedules: Mapping[str, Schedule], *, event_days: int = 7) -> None:
        self._url = url
        self._event_days = event_days
        self._schedules = schedules
        self._stopping = asyncio.Event()
        self.leading = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        pause, longest = PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                await self._session()
                pause = PAUSE_SECONDS[0]
            except LOST as error:
                logger.warning(
                    "schedules interrupted", error=str(error) or type(error).__name__, again_in_seconds=pause
                )
                await self._sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, longest)
            finally:
                self.leading.clear()

    async def _session(self) -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._url, timeout=10, command_timeout=300, server_settings={"application_name": "unison schedules"}
        )
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1)", LEADER):
                await self._sleep(STANDBY_SECONDS)
                if self._stopping.is_set():
                    return
            logger.info("schedules lead")
            self.leading.set()
            looked = 0.0
            loop = asyncio.get_running_loop()
            while not self._stopping.is_set():
                if loop.time() >= looked:
                    await self.sync(connection, datetime.now(UTC))
                    looked = loop.time() + SYNC_SECONDS
                await self.fire(connection, datetime.now(UTC))
                await self._sleep(LOOK_SECONDS)
        finally:
            try:
                await connection.close(timeout=2)
            except LOST:
                connection.terminate()

    async def sync(self, connection: asyncpg.Connection[Any], now: datetime) -> None:
        """The rows of the table as the modules say them, for every organization and plant."""
        known = {
            (row["organization_id"], row["plant_id"], row["code"]): row
            for row in await connection.fetch("select * from ev.all_schedules()")
        }
        for target in await connection.fetch("select * from ev.schedule_targets()"):
            plant, zone = target["plant_id"], target["time_zone"]
            for code, schedule in self._schedules.items():
                if (schedule.per == "plant") != (plant is not None):
                    continue
                row = known.pop((target["organization_id"], plant, code), None)
                said = (schedule.description, schedule.cron, zone)
                if (
                    row is None
                    or row["next_run_at"] is None
                    or said != (row["description"], row["cron"], row["time_zone"])
                ):
                    await connection.execute(
                        "select ev.set_schedule($1, $2, $3, $4, $5, $6, $7)", target["organization_id"], plant, code,
                        schedule.description, schedule.cron, zone, following(schedule.cron, zone, now),
                    )  # fmt: skip
        for row in known.values():
            if row["next_run_at"] is not None:
                await connection.execute("select ev.stop_schedule($1, $2)", row["organization_id"], row["id"])

    async def fire(self, connection: asyncpg.Connection[Any], now: datetime) -> int:
        """Everything that is due by now; times missed meanwhile are caught up by one run. Answers how many it fired."""
        fired = 0
        for row in await connection.fetch("select * from ev.all_schedules() where next_run_at <= $1", now):
            schedule = self._schedules.get(row["code"])
            if schedule is None:
                continue
            coming, missed = caught_up(row["cron"], row["time_zone"], row["next_run_at"], now)
            job = await connection.fetchval(
                "select ev.fire_schedule($1, $2, $3, $4, $5, $6, $7)", row["organization_id"], row["id"],
                row["next_run_at"], coming, missed, str(schedule.queue), schedule.kind,
            )  # fmt: skip
            if job is not None:
                fired += 1
                metrics.scheduled.inc()
        for code, cron in UPKEEP.items():
            due = await connection.fetchval("select ev.due_upkeep($1, $2)", code, cron)
            if due <= now:
                error = await connection.fetchval(
                    "select ev.run_upkeep($1, $2, $3, $4)", code, due, following(cron, "UTC", now), self._event_days
                )
                if error not in (None, "elsewhere"):
                    logger.error("upkeep failed", upkeep=code, error=error)
        return fired

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
