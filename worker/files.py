"""What becomes of files nobody wants: given-up uploads, deleted files, and objects without a row."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from api.logs import log
from modules.platform.public import FileStorage
from schema.faults import Fault
from worker.relay import LOST

EVERY_SECONDS = 3600.0
QUARANTINE = timedelta(days=7)
ORPHAN_AGE = timedelta(days=1)  # a copy that is being verified has no row yet
BATCH = 500

logger = log("worker.files")


async def clean(connection: asyncpg.Connection[Any], storage: FileStorage, *, now: datetime) -> tuple[int, int, int]:
    """Answers how many uploads were given up, how many objects of deleted files and how many without a row were removed."""
    given_up = await connection.fetchval("select ev.expire_files($1)", QUARANTINE)
    removed = 0
    while rows := await connection.fetch("select * from ev.files_to_remove($1)", BATCH):
        for row in rows:
            await storage.remove(row["key"])
            await connection.execute("select ev.file_removed($1, $2)", row["organization_id"], row["id"])
        removed += len(rows)
    unknown = 0
    async for keys in storage.older_than(now - ORPHAN_AGE):
        for row in await connection.fetch("select ev.unknown_files($1) as key", keys):
            await storage.remove(row["key"])
            unknown += 1
    return given_up, removed, unknown


async def keep_clean(url: str, storage: FileStorage, *, every: float = EVERY_SECONDS) -> None:
    """Clean now and every hour. What fails is done the next time; several workers doing it at once do it once."""
    while True:
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(url, timeout=10)
            try:
                given_up, removed, unknown = await clean(connection, storage, now=datetime.now(UTC))
            finally:
                await connection.close()
            logger.info("files cleaned", given_up=given_up, removed=removed, without_a_row=unknown)
        except (*LOST, Fault) as error:
            logger.warning("cleaning of files failed", error=str(error) or type(error).__name__)
        await asyncio.sleep(every)
