"""What each `unison` command does."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import uvloop
from strawberry.printer import print_schema

from api import seeding, tracing
from api.app import create_app
from api.databases import Databases, databases
from api.objects import Objects, objects
from api.settings import REPOSITORY, Settings
from api.supervisor import listener
from api.supervisor import serve as run_server
from api.tokens import signer
from db.migrate import current_revision, downgrade, head_revision
from db.migrate import migrate as bring_forward
from db.session import Database
from modules.identity.public import issue_token_for
from modules.platform.public import FileStorage
from schema.build import build

SCHEMA_FILE = REPOSITORY / "schema" / "schema.graphql"


class CommandError(Exception):
    """The command cannot do what was asked; the message says why."""


def serve(settings: Settings, given: argparse.Namespace) -> int:
    """Everything from one command: PostgreSQL, object storage, migrations, demo, API, worker; stopped in the opposite order."""
    began = time.monotonic() - (time.time() - psutil.Process().create_time())  # imports are part of the wait
    listening = listener(settings)
    with databases(settings, own=True) as found, objects(settings) as kept, listening:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(settings, found, kept, listening, given, began))
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):  # we are stopping; the server still has to be
                signal.signal(number, signal.SIG_IGN)


async def _serve(
    settings: Settings,
    found: Databases,
    kept: Objects,
    listening: socket.socket,
    given: argparse.Namespace,
    began: float,
) -> int:
    times = {"program and servers": time.monotonic() - began}
    if found.url is not None and not given.no_migrate:
        since = time.monotonic()
        await bring_forward(found.url, settings.secret_key)
        times["migrations"] = time.monotonic() - since
    demo = found.url is not None and settings.development
    if found.url is not None and demo and not given.no_seed and await seeding.is_empty(found.url):
        since = time.monotonic()
        await seeding.seed(found.url)
        times["demo data"] = time.monotonic() - since
    demo = demo and found.url is not None and await seeding.is_demo(found.url)

    def started() -> None:
        took = time.monotonic() - began
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in times.items())
        port = listening.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(_greeting(f"http://{host}:{port}", f"{took:.1f} s ({parts})", settings, demo=demo), flush=True)

    finish_traces = tracing.configure(settings)
    try:
        storage = FileStorage(kept.where)
        app = create_app(settings, app_url=found.app_url, events_url=found.events_url, storage=storage)
        return await run_server(settings, found, kept, listening, app, worker=not given.no_worker, started=started)
    finally:
        finish_traces()


def _greeting(base: str, took: str, settings: Settings, *, demo: bool) -> str:
    lines = ["", f"Unison is ready after {took}", f"  GraphQL   {base}/graphql"]
    if settings.development:
        lines.append(f"  GraphiQL  {base}/graphql in a browser")
    if demo:
        lines += [f"  Sign-ins  password {seeding.PASSWORD}", *(f"            {line}" for line in seeding.sign_ins())]
    return "\n".join([*lines, "  Stop with Ctrl-C", ""])


def worker(_settings: Settings, _given: argparse.Namespace) -> int:
    """The worker is a program of its own; this process becomes it."""
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606


async def migrate(settings: Settings, found: Databases, given: argparse.Namespace) -> int:
    before = await current_revision(found.privileged_url)
    if given.down:
        await downgrade(found.privileged_url, settings.secret_key, given.down)
    else:
        await bring_forward(found.privileged_url, settings.secret_key)
    print(f"{before or 'empty'} -> {await current_revision(found.privileged_url) or 'empty'}")
    return 0


async def seed(settings: Settings, found: Databases, given: argparse.Namespace) -> int:
    if not settings.development:
        raise CommandError("The demo has passwords everybody knows: UNISON_ENV=production is not furnished with it")
    began = time.monotonic()
    await bring_forward(found.privileged_url, settings.secret_key)
    await seeding.seed(found.privileged_url, scale=given.scale)
    print(f"Demo organizations made in {time.monotonic() - began:.1f} s; password {seeding.PASSWORD}")
    print("\n".join(seeding.sign_ins()))
    return 0


async def token(settings: Settings, found: Databases, given: argparse.Namespace) -> int:
    database = Database.connect(found.app_url, pool_size=1)
    try:
        print(await issue_token_for(database, signer(settings), given.organization, given.email))
    except LookupError as error:
        raise CommandError(str(error)) from None
    finally:
        await database.close()
    return 0


def schema_export(_settings: Settings, given: argparse.Namespace) -> int:
    text = print_schema(build()) + "\n"
    if not given.check:
        SCHEMA_FILE.write_text(text, encoding="utf-8")
        return 0
    if SCHEMA_FILE.exists() and SCHEMA_FILE.read_text(encoding="utf-8") == text:
        return 0
    raise CommandError(f"{_short(SCHEMA_FILE)} is not the schema of this code: run `make schema`")


def _short(file: Path) -> str:
    return str(file.relative_to(REPOSITORY)) if file.is_relative_to(REPOSITORY) else str(file)


__all__ = ["CommandError", "head_revision", "migrate", "schema_export", "seed", "serve", "token", "worker"]
