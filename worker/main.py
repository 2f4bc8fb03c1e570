"""The worker process: the relay of the event log, and the upkeep of the database, the cache and the files."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

import asyncpg
from prometheus_client import start_http_server

from api import logs, tracing
from api.objects import known_objects
from api.settings import Settings, SettingsError
from db.roles import events_url
from modules.platform.public import FileStorage
from worker import files
from worker.relay import LOST, Relay

UPKEEP_SECONDS = 3600.0
CACHE_SECONDS = 300.0
PARENT_SECONDS = 2.0

logger = logs.log("worker")


async def run(settings: Settings, *, supervised: bool = False) -> None:
    """Work until SIGTERM or SIGINT; a supervised worker also ends when its supervisor is gone."""
    url = url_of_events(settings)
    relay = Relay(url)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    if settings.worker_metrics_port is not None:
        start_http_server(settings.worker_metrics_port, addr=settings.host)
    beside = [
        asyncio.create_task(upkeep(url, f"select ev.upkeep({int(settings.event_retention_days)})")),
        asyncio.create_task(upkeep(url, "select ev.forget_cached()", every=CACHE_SECONDS)),
    ]
    if (where := known_objects(settings)) is not None:
        beside.append(asyncio.create_task(files.keep_clean(url, FileStorage(where))))
    else:
        logger.warning("no object storage is set up: files are not cleaned")
    if supervised:
        beside.append(asyncio.create_task(_stop_without(os.getppid(), relay)))
    logger.info("worker started")
    try:
        await relay.run()
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        logger.info("worker stopped")


def url_of_events(settings: Settings) -> str:
    if settings.database_events_url:
        return settings.database_events_url
    if settings.database_url:
        return events_url(settings.database_url, settings.secret_key)
    raise SettingsError(["DATABASE_EVENTS_URL or DATABASE_URL: required by a worker of its own"])


async def upkeep(url: str, statement: str = "select ev.upkeep()", *, every: float = UPKEEP_SECONDS) -> None:
    """Have the database forget what nobody can ask for any more, and prepare the days and months ahead."""
    while True:
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(url, timeout=10)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()
        except LOST as error:
            logger.warning("upkeep failed", statement=statement, error=str(error))
        await asyncio.sleep(every)


async def _stop_without(parent: int, relay: Relay) -> None:
    """A supervisor that was killed could not tell its worker to stop."""
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_SECONDS)
    logger.warning("the supervisor is gone")
    relay.stop()


def main(arguments: list[str]) -> int:
    try:
        settings = Settings.load()
        logs.configure(settings, process="worker")
        finish_traces = tracing.configure(settings, process="worker")
        try:
            asyncio.run(run(settings, supervised="--supervised" in arguments))
        finally:
            finish_traces()
    except SettingsError as error:
        for problem in error.problems:
            logger.error(problem)
        return 2
    return 0
