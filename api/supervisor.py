"""`unison serve`: the API in this process, the worker beside it, and an orderly end for both."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from api import metrics
from api.databases import Databases
from api.drain import Drain
from api.frames import BoundedProtocol, FramesProtocol
from api.logs import log
from api.objects import Objects
from api.settings import Settings, SettingsError
from db.embedded import EmbeddedError

FAREWELL_SECONDS = 0.2
CUT_SECONDS = 2
WORKER_SECONDS = 10.0
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
HEALTHY_SECONDS = 60.0
DATABASE_CHECK_SECONDS = 1.0
OBJECTS_CHECK_SECONDS = 1.0
COLLECT_SECONDS = 120.0
QUIET_SECONDS = 60.0
"""So long a moment is waited for in which a collection delays nobody."""
QUIET_CHECK_SECONDS = 0.05
ACCEPTED_AT_ONCE = 16
"""libuv takes one new connection from a listening socket each time it looks. While a flood makes every look long, callers who
have to connect first would wait for seconds; so it has the same socket this many times."""

logger = log("api.supervisor")


class Server(uvicorn.Server):
    """uvicorn with signals left to us, and a word when it accepts connections."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _spare_the_collector()
            self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say farewell to long-lived connections and finish what runs; only then let uvicorn cut what is left."""
        self._drain.begin()
        until = time.monotonic() + self._drain_seconds
        while not await self._drain.finished(FAREWELL_SECONDS) and time.monotonic() < until and not self.force_exit:
            pass
        await super().shutdown(sockets)

    def stop(self) -> None:
        """The first time let everything running finish; the second time do not."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _spare_the_collector() -> None:
    """What was made by now stays; wide lists make many containers that need no collector to go."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


async def collecting(pause: float = COLLECT_SECONDS, patience: float = QUIET_SECONDS) -> None:
    """By its thresholds the collector hardly ever looks at what is old, and what refers to itself in a circle would stay. It takes
    some 50 ms, so it is done where nothing is being answered; where that never is, all the same: sockets that stay are worse."""
    while True:
        await asyncio.sleep(pause)
        until = time.monotonic() + patience
        while metrics.in_flight.now and time.monotonic() < until:
            await asyncio.sleep(QUIET_CHECK_SECONDS)
        gc.collect()


def listener(settings: Settings) -> socket.socket:
    """Take the port before anything else starts, so that a taken one is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    taken = socket.socket(family)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((settings.host, settings.port))
        taken.listen(1024)
    except OSError as error:
        taken.close()
        raise SettingsError(
            [f"PORT: {settings.host}:{settings.port} cannot be used ({error.strerror}); set another, or 0 for any"]
        ) from None
    return taken


def copies(listening: socket.socket) -> list[socket.socket]:
    """The socket and copies of it, as often as connections are to be taken at once. The server closes them when it stops to
    listen; were one left, the kernel would go on connecting callers whom nobody answers."""
    return [listening, *(listening.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def configured(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # api.edge believes only TRUSTED_PROXIES
        http=BoundedProtocol,
        ws=FramesProtocol,
        ws_max_size=settings.max_body_bytes,
        timeout_graceful_shutdown=CUT_SECONDS,
    )


async def serve(
    settings: Settings,
    found: Databases,
    kept: Objects,
    listening: socket.socket,
    app: Starlette,
    *,
    worker: bool,
    started: Callable[[], None],
) -> int:
    """Run until SIGINT or SIGTERM, or until the database under us ends. Answers the exit code."""
    server = Server(configured(settings, app), app.state.drain, settings.drain_seconds, started)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    beside = [
        asyncio.create_task(_watch_database(found, server)),
        asyncio.create_task(_keep_objects(kept)),
        asyncio.create_task(collecting()),
    ]
    if worker:
        beside.append(asyncio.create_task(_keep_worker(settings, found, kept)))
    try:
        await server.serve(copies(listening))
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    ended_by_itself = found.server is not None and not found.server.alive()
    return 1 if ended_by_itself or not server.started else 0


async def _watch_database(found: Databases, server: Server) -> None:
    while found.server is not None:
        await asyncio.sleep(DATABASE_CHECK_SECONDS)
        if not found.server.alive():
            logger.error("the embedded PostgreSQL has ended; its log is postgres.log in UNISON_HOME/postgres")
            server.stop()
            return


async def _keep_objects(kept: Objects) -> None:
    """Start the embedded object storage again if it ends by itself: same folder, port and keys."""
    while (server := kept.server) is not None:
        await asyncio.sleep(OBJECTS_CHECK_SECONDS)
        if not server.alive():
            logger.error("the embedded object storage has ended; its log is s3.log in UNISON_HOME/objects")
            try:
                await asyncio.to_thread(server.start)
            except EmbeddedError as error:
                logger.error(str(error))


async def _keep_worker(settings: Settings, found: Databases, kept: Objects) -> None:
    """Run the worker process, and run it again if it ends by itself."""
    environment = {
        **os.environ,
        "DATABASE_APP_URL": found.app_url,
        **kept.environment(),
        "DATABASE_EVENTS_URL": found.events_url,
        "UNISON_HOME": str(settings.unison_home.resolve()),
        "SECRET_KEY": settings.secret_key,
    }
    pause = SHORTEST_PAUSE
    while True:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "--supervised"),
            env=environment,
            start_new_session=True,  # Ctrl-C reaches it through us, after the API has finished
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        if time.monotonic() - began > HEALTHY_SECONDS:
            pause = SHORTEST_PAUSE
        logger.error("the worker has ended", exit_code=code, again_in_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), WORKER_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
