"""A module with fields that misbehave in every way the edge has to survive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Annotated, Any

import asyncpg
import strawberry
from sqlalchemy import text

from db.actor import Actor
from schema.context import Info
from schema.fields import AUTHENTICATED, PUBLIC, RootField, _root, query
from schema.registry import Module

LATEST = "probe_latest"
Text = Annotated[str, strawberry.argument(description="Any text")]


class Record:
    """What the server did that no answer shows."""

    cancelled = asyncio.Event()
    actors: list[Actor] = []


@query(PUBLIC, description="Whatever it is given")
async def echo(info: Info, value: Text = "") -> str:
    return value


@query(PUBLIC, description="Fails in a way nobody foresaw")
async def crash(info: Info) -> str | None:
    raise KeyError("secret-detail-of-the-implementation")


@query(PUBLIC, description="Fails where null is not allowed")
async def crash_hard(info: Info) -> str:
    raise KeyError("secret-detail-of-the-implementation")


@query(PUBLIC, description="Answers what its type cannot hold")
async def wrong(info: Info) -> int | None:
    return 2**40


@query(PUBLIC, description="Never ends by itself")
async def slow(info: Info) -> str | None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        Record.cancelled.set()
        raise
    return "done"


@query(PUBLIC, description="Loses the database")
async def lost(info: Info) -> str | None:
    raise asyncpg.ConnectionDoesNotExistError("host 10.1.2.3 is gone")


@query(PUBLIC, description="A statement PostgreSQL refuses")
async def bad_statement(info: Info) -> str | None:
    async with info.context.database.anonymous() as tx:
        return str(await tx.scalar(text("select * from app.secret_table_name")))


@query(PUBLIC, description="A statement that takes too long")
async def slow_statement(info: Info) -> str | None:
    async with info.context.database.anonymous() as tx:
        return str(await tx.scalar(text("select pg_sleep(30)")))


@query(PUBLIC, description="A value PostgreSQL cannot hold")
async def too_large(info: Info) -> str | None:
    async with info.context.database.anonymous() as tx:
        return str(await tx.scalar(text("select 1e30::numeric::bigint")))


@query(AUTHENTICATED, description="Who asks, in the words of the log")
async def whoami(info: Info) -> str:
    return f"{info.context.actor.organization_id}:{info.context.actor.principal}"


@query("probe.secret", description="Needs a permission of its own")
async def secret(info: Info) -> str:
    return "told"


@query(PUBLIC, description="The header Idempotency-Key as the field sees it")
async def key(info: Info) -> str | None:
    return info.context.idempotency_key


async def _ticks(info: Info) -> AsyncIterator[int]:
    for number in range(1, 10_000):
        yield number
        await asyncio.sleep(0.05)


async def _fails(info: Info) -> AsyncIterator[int]:
    yield 1
    raise KeyError("secret-detail-of-the-implementation")


async def _things(info: Info) -> AsyncIterator[int]:
    async with aclosing(info.context.hub.listen(info.context.actor, "Probe", "probe.read")) as events:
        async for event in events:
            Record.actors.append(info.context.actor)
            yield -1 if event.resync_required else event.entity_id


async def _touch(info: Info) -> int | None:
    return 1


ticks = _root("subscription", _ticks, int, [], AUTHENTICATED, "Counts")
fails = _root("subscription", _fails, int, [], AUTHENTICATED, "Fails after the first")
things = _root("subscription", _things, int, [], "probe.read", "Events of the topic Probe")
touch: RootField = _root("mutation", _touch, int | None, [], PUBLIC, "Open to everybody, as signing in is")
quiet: RootField = _root("mutation", _touch, int | None, [], AUTHENTICATED, "For those signed in")


def module(**kwargs: Any) -> Module:
    names = [name for name, value in globals().items() if isinstance(value, RootField)]
    graph: Any = SimpleNamespace(**{name: globals()[name] for name in names})
    return Module(name="probe", depends_on=[], graph=graph, types=[], **kwargs)
