"""The worker process: the relay of the event log, the consumers of the queues, the schedules, and upkeep."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import asyncpg
from prometheus_client import start_http_server

from api import logs, metrics, tracing
from api.mailing import known_mail_server
from api.objects import known_objects
from api.settings import Settings, SettingsError
from db.queue import Queue
from db.roles import app_url, events_url
from db.session import Database
from modules import MODULES
from modules.platform.public import FileStorage, use_mail
from schema.build import build, permissions
from schema.registry import Module, register
from worker import files, mails
from worker.calls import connect_pool
from worker.consumer import LOST, SLOTS, Consumer
from worker.outbound import Outbound, Targets
from worker.relay import Relay
from worker.schedules import Scheduler
from worker.webhooks import SLOTS as WEBHOOK_SLOTS
from worker.webhooks import Deliverer, Dispatcher

CACHE_SECONDS = 300.0
PARENT_SECONDS = 2.0
DEPTH_SECONDS = 15.0
STATEMENT_TIMEOUT_MS = 60_000

logger = logs.log("worker")


class Part(Protocol):
    """Runs until it is stopped, through restarts of the database."""

    def stop(self) -> None: ...

    async def run(self) -> None: ...


async def run(settings: Settings, *, supervised: bool = False, modules: Sequence[Module] = MODULES) -> None:
    """Work until SIGTERM or SIGINT; a supervised worker also ends when its supervisor is gone."""
    events = url_of_events(settings)
    database = Database.connect(
        url_of_app(settings),
        pool_size=(len(Queue) + 2) * SLOTS + WEBHOOK_SLOTS,
        pool_timeout=30,
        statement_timeout_ms=STATEMENT_TIMEOUT_MS,
    )
    register(modules)
    handlers = {kind: handler for module in modules for kind, handler in module.jobs.items()}
    schedules = {code: schedule for module in modules for code, schedule in module.schedules.items()}
    rights = list(permissions(modules))
    outbound = Outbound(Targets(settings.webhook_allowed_networks, http=settings.webhook_allow_http))
    handlers |= Deliverer(build(modules, suggestions=False)._schema, outbound).handlers
    pool = await connect_pool(events)
    parts: list[Part] = [Relay(events), Scheduler(events, schedules, event_days=settings.event_retention_days)]
    parts.append(Dispatcher(events, database))
    parts += [
        Consumer(queue, database, pool, handlers, rights, slots=WEBHOOK_SLOTS if queue is Queue.WEBHOOKS else SLOTS)
        for queue in Queue
    ]

    def stop() -> None:
        for part in parts:
            part.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if settings.worker_metrics_port is not None:
        start_http_server(settings.worker_metrics_port, addr=settings.host)
    beside = [asyncio.create_task(watch_depths(pool)), asyncio.create_task(forget_cached(pool))]
    if (where := known_objects(settings)) is not None:
        beside.append(asyncio.create_task(files.keep_clean(events, FileStorage(where))))
    else:
        logger.warning("no object storage is set up: files are not cleaned")
    mail_server = known_mail_server(settings)
    use_mail(mail_server)
    if mail_server is not None:
        beside.append(asyncio.create_task(mails.keep_mailing(database, mail_server)))
    else:
        logger.warning(
            "no mail server is set up: people are told in the application only, passwords are not reset by mail"
        )
    if supervised:
        beside.append(asyncio.create_task(_stop_without(os.getppid(), stop)))
    logger.info("worker started")
    try:
        async with asyncio.TaskGroup() as group:  # if one part breaks, the process ends and is started again
            for part in parts:
                group.create_task(part.run())
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await outbound.close()
        pool.terminate()
        await database.close()
        logger.info("worker stopped")


def url_of_events(settings: Settings) -> str:
    if settings.database_events_url:
        return settings.database_events_url
    if settings.database_url:
        return events_url(settings.database_url, settings.secret_key)
    raise SettingsError(["DATABASE_EVENTS_URL or DATABASE_URL: required by a worker of its own"])


def url_of_app(settings: Settings) -> str:
    if settings.database_app_url:
        return settings.database_app_url
    if settings.database_url:
        return app_url(settings.database_url, settings.secret_key)
    raise SettingsError(["DATABASE_APP_URL or DATABASE_URL: required by a worker of its own"])


async def watch_depths(pool: asyncpg.Pool[Any]) -> None:
    """Keep the gauges of the queues."""
    while True:
        try:
            for row in await pool.fetch("select * from ev.queue_depths()"):
                for state in ("waiting", "later", "dead"):
                    metrics.queue_messages.labels(row["queue"], state).set(row[state])
                metrics.queue_oldest_seconds.labels(row["queue"]).set(row["oldest_seconds"])
        except LOST as error:
            logger.warning("queues not measured", error=type(error).__name__)
        await asyncio.sleep(DEPTH_SECONDS)


async def forget_cached(pool: asyncpg.Pool[Any], *, every: float = CACHE_SECONDS) -> None:
    """Have the cache forget what has expired."""
    while True:
        try:
            await pool.fetchval("select ev.forget_cached()")
        except LOST as error:
            logger.warning("the cache was not cleaned", error=type(error).__name__)
        await asyncio.sleep(every)


async def _stop_without(parent: int, stop: Any) -> None:
    """A supervisor that was killed could not tell its worker to stop."""
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_SECONDS)
    logger.warning("the supervisor is gone")
    stop()


def main(arguments: list[str], modules: Sequence[Module] = MODULES) -> int:
    try:
        settings = Settings.load()
        logs.configure(settings, process="worker")
        finish_traces = tracing.configure(settings, process="worker")
        try:
            asyncio.run(run(settings, supervised="--supervised" in arguments, modules=modules))
        finally:
            finish_traces()
    except SettingsError as error:
        for problem in error.problems:
            logger.error(problem)
        return 2
    return 0
