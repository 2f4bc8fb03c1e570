"""Trusted documents, read before anybody asks: when a process starts it reads, validates and plans them, beside its requests."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import asyncpg
import structlog

from api.errors import Rejected
from api.hub import FAILURES
from api.trusted import Trusted

log = structlog.stdlib.get_logger("api.ahead")

MOST = 1_000
"""Documents read ahead: the newest of each organization and of the server, as many of each as there is room for."""
REST = 1.0
"""A document is followed by this many times the time it took, in which requests are served."""


async def read_ahead(url: str, trusted: Trusted) -> None:
    """Whatever cannot be read now is read when it is first asked for. `url` is of the hub's role: no request is held by it."""
    read = passed_over = 0
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(url, timeout=5, command_timeout=10)
        try:
            for row in await connection.fetch("select * from ev.trusted_documents($1)", MOST):
                organization, hash = row["organization_id"], row["hash"]
                source = await connection.fetchval("select ev.trusted_document($1, $2)", organization, hash)
                began = perf_counter()
                try:
                    if source is None or not trusted.ahead(organization, hash, source):
                        passed_over += 1  # a shorter one may still have room
                        continue
                    read += 1
                except Rejected:  # it does not fit the schema any more: `unison doctor` says so
                    passed_over += 1
                except Exception:
                    passed_over += 1
                    log.exception("trusted document not read ahead", hash=hash, organization=organization)
                await asyncio.sleep(REST * (perf_counter() - began))
        finally:
            await connection.close(timeout=2)
    except FAILURES as error:
        log.warning("trusted documents not read ahead", error=type(error).__name__)
    log.info("trusted documents read", documents=read, passed_over=passed_over)
