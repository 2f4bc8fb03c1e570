"""Is the process alive, can it work, and what does it measure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from alembic.script import ScriptDirectory
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import metrics
from api.admission import Turns
from api.drain import Drain
from api.hub import Hub
from db.migrations import FOLDER
from db.session import Database
from modules.platform.public import FileStorage

log = structlog.stdlib.get_logger("api.health")

READY_SECONDS = 3.0


async def alive(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class Measurements:
    """What Prometheus reads; pool and hub are asked when it is read."""

    def __init__(self, database: Database, hub: Hub, admission: Turns) -> None:
        self._admission = admission
        self._connections = database.connections
        self._hub = hub

    async def measured(self, _request: Request) -> Response:
        metrics.pool_connections.labels("in_use").set(self._connections.taken)
        metrics.pool_connections.labels("idle").set(self._connections.idle)
        metrics.waiting.set(self._admission.waiting)
        depths = self._hub.depths
        metrics.hub_waiting.set(sum(depths))
        metrics.hub_deepest.set(max(depths, default=0))
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})


class Readiness:
    """Ready when the database answers, stands at the newest migration, and the hub is connected. Object storage is told
    as well, but a process without it still does everything except files."""

    def __init__(self, database: Database, hub: Hub, drain: Drain, storage: FileStorage | None) -> None:
        self._database = database
        self._hub = hub
        self._drain = drain
        self._storage = storage
        scripts = ScriptDirectory(str(FOLDER))
        head = scripts.get_current_head()
        self._older = {script.revision for script in scripts.walk_revisions()} - {head}

    async def ready(self, _request: Request) -> Response:
        checks = {
            "database": await _holds(self._database_answers),
            "migrations": await _holds(self._migrated),
            "events": self._hub.connected,
            "running": not self._drain.begun,
        }
        ready = all(checks.values())
        if self._storage is not None:
            checks["files"] = await _holds(self._storage.reachable)
        return JSONResponse({"status": "ok" if ready else "unavailable", "checks": checks}, 200 if ready else 503)

    async def _database_answers(self) -> bool:
        async with self._database.anonymous() as tx:
            return bool(await tx.scalar(text("select 1")) == 1)

    async def _migrated(self) -> bool:
        """At our newest revision, or at one we do not know: a newer release migrates before the old processes leave."""
        async with self._database.anonymous() as tx:
            stands_at = await tx.scalar(text("select app.schema_version()"))
        return stands_at is not None and stands_at not in self._older


async def _holds(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await check()
    except Exception as error:
        log.warning("not ready", check=check.__name__.strip("_"), error=type(error).__name__)
        return False
