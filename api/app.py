"""The application: what is made once per process, and which path leads where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api import ide, tokens
from api.admission import Turns
from api.ahead import read_ahead
from api.auth import Authenticator
from api.buckets import Allowance, Buckets
from api.charging import Charging
from api.client_ip import networks
from api.documents import Documents
from api.door import Door
from api.drain import Drain
from api.edge import Edge
from api.gate import Gate
from api.graphql import GraphQL
from api.heads import heads_of
from api.health import Measurements, Readiness, alive
from api.http import HttpEndpoint
from api.hub import Hub
from api.leases import Leases
from api.limits import Limits
from api.mailing import known_mail_server
from api.responses import plain_error
from api.settings import Settings
from api.shares import Shares
from api.sse import EventStream
from api.streams import Streams
from api.throttle import Slots, Throttle
from api.trusted import Trusted, limits_of_trusted
from api.ws import SocketEndpoint
from db.cache import Cache
from db.session import Database
from modules.platform.public import FileStorage, use_mail
from schema.build import build

PATH = "/graphql"
CORS_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-Id",
    "Traceparent",
    "X-Api-Key",
    "X-Organization",
    "X-Request-Id",
]


class Application(Starlette):
    """Requests to the API from anything but a browser of another origin go straight to it: no route is looked up, no CORS
    header is written, and that halves the way."""

    def __init__(self, graphql: ASGIApp, **options: Any) -> None:
        super().__init__(**options)
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and b"origin" not in heads_of(scope):
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    app_url: str,
    events_url: str,
    storage: FileStorage | None = None,
    schema: strawberry.Schema | None = None,
) -> Starlette:
    """An ASGI application on a database that is migrated. `app.state.drain.begin()` starts its orderly end."""
    use_mail(known_mail_server(settings))
    limits = limits_of(settings)
    own: dict[int | None, Limits] = {}  # filled by the leases
    connect = partial(Database.connect, app_url, statement_timeout_ms=settings.statement_timeout_ms)
    database = connect(pool_size=settings.pool_size, own=own)
    cache = Cache(connect(pool_size=2, own=own))
    hub = Hub(events_url)
    drain = Drain()
    allowance = Allowance(settings.cost_limit, settings.cost_bucket, settings.cost_restore_per_second)
    # Who asks and what they may spend is found out beside the operations, which may hold all of their connections.
    beside = connect(pool_size=3)
    buckets = Buckets(Leases(beside, allowance, limits, own), allowance)
    admission = Turns(
        limits.operations_at_once, waiting=limits.operations_waiting, seconds=settings.max_wait_seconds, own=own
    )
    door = Door(admission, Shares())
    signer = tokens.signer(settings)
    authenticator = Authenticator(settings, beside, signer, hub.rescope)
    schema = schema or build(suggestions=settings.development)
    sign_ins = Throttle(per_minute=settings.sign_ins_per_minute, burst=settings.sign_ins_per_minute)
    documents = Documents(schema, limits, suggestions=settings.development)
    of_trusted = limits_of_trusted(limits)
    trusted = Trusted(Documents(schema, of_trusted, suggestions=settings.development, size=100, trusted=True), beside)
    graphql = GraphQL(
        schema,
        database,
        hub,
        signer,
        limits,
        gate=Gate(documents, trusted, limits, own, Charging(buckets), sign_ins),
        own=own,
        admission=admission,
        door=door,
        sign_ins_at_once=max(1, settings.pool_size // 3),
        suggestions=settings.development,
        storage=storage,
        cache=cache,
    )
    streams = Streams(graphql, hub, Slots(limits.subscriptions), asyncio.Semaphore(settings.pool_size // 2))
    page = ide.page if settings.development else None
    http = HttpEndpoint(graphql, authenticator, EventStream(streams, drain), door, page)
    sockets = SocketEndpoint(streams, authenticator, drain, Slots(limits.sockets))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await hub.start()
        app.state.reading = reading = asyncio.create_task(read_ahead(events_url, trusted))
        watching = asyncio.create_task(door.shares.watch())
        if storage is not None:
            await storage.prepare()
        try:
            yield
        finally:
            drain.begin()
            reading.cancel()
            watching.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)
            await drain.finished(settings.drain_seconds)
            await streams.groups.close()
            await hub.stop()
            await buckets.close()
            await beside.close()
            await cache.close()
            await database.close()
            if storage is not None:
                storage.close()

    routes: list[BaseRoute] = [
        Route(PATH, http),
        WebSocketRoute(PATH, sockets.serve),
        Route("/healthz", alive),
        Route("/readyz", Readiness(database, hub, drain, storage).ready),
        Route("/metrics", Measurements(database, hub, admission).measured),
    ]
    if settings.development:
        routes += [ide.assets(), Route("/", lambda _request: RedirectResponse("/graphql", 307))]
    cors = partial(
        CORSMiddleware,
        allow_origins=settings.backend_cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=CORS_HEADERS,
        expose_headers=["X-Request-Id", "Retry-After"],
        max_age=600,
    )
    around = partial(
        Edge,
        drain=drain,
        door=door,
        cors=cors,
        trusted_proxies=networks(settings.trusted_proxies),
        https=not settings.development,
    )
    app = Application(
        around(http),
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(around), Middleware(cors)],
        exception_handlers={HTTPException: _not_here},
    )
    app.state.drain = drain
    app.state.database = database
    app.state.hub = hub
    app.state.http = http
    app.state.door = door
    app.state.streams = streams
    app.state.beside = beside
    app.state.authenticator = authenticator
    return app


def limits_of(settings: Settings) -> Limits:
    return Limits(
        tokens=settings.max_document_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        root_mutations=settings.max_root_mutations,
        list_variable=settings.max_list_variable,
        body=settings.max_body_bytes,
        operation_seconds=settings.operation_timeout_seconds,
        statement_milliseconds=settings.statement_timeout_ms,
        operations_at_once=settings.max_operations_at_once or settings.pool_size,
        operations_waiting=settings.max_operations_waiting,
        subscriptions=settings.max_subscriptions_per_principal,
        sockets=settings.max_sockets_per_principal,
    )


async def _not_here(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = (
        "There is nothing at this path; the API is at /graphql"
        if status == 404
        else "This method is not supported here"
    )
    return plain_error(status, "BAD_REQUEST", said, request.state.request_id)
