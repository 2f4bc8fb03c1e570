"""Work for later: a job enters its queue in the caller's transaction, and exists exactly when that commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import text

from db.session import WriteTx

MOST_BYTES = 16_384
"""A message names what to work on; what it works with is read when it runs."""

_ENQUEUE = text(
    "select app.enqueue(:queue, :kind, array(select jsonb_array_elements(cast(:payloads as jsonb))), :key, :delay)"
)


class Queue(StrEnum):
    BACKGROUND_JOBS = "background_jobs"
    SAP_SYNC = "sap_sync"
    EMAIL_NOTIFICATIONS = "email_notifications"
    REPORT_GENERATION = "report_generation"
    BARCODE_GENERATION = "barcode_generation"
    WEBHOOKS = "webhooks"


async def enqueue(
    tx: WriteTx, queue: Queue, kind: str, payload: Mapping[str, Any], *, key: str | None = None,
    delay: timedelta | None = None,
) -> int:  # fmt: skip
    """The id of the job. Jobs of one `key` run one after the other, in the order their transactions commit."""
    return (await enqueue_many(tx, queue, kind, [payload], key=key, delay=delay))[0]


async def enqueue_many(
    tx: WriteTx, queue: Queue, kind: str, payloads: Sequence[Mapping[str, Any]], *, key: str | None = None,
    delay: timedelta | None = None,
) -> list[int]:  # fmt: skip
    """As `enqueue`, for many jobs of one kind in one statement."""
    if not payloads:
        return []
    encoded = [orjson.dumps(payload) for payload in payloads]
    if any(len(one) > MOST_BYTES for one in encoded):
        raise ValueError(f"the payload of a job has at most {MOST_BYTES} bytes: pass ids, read rows")
    given = {
        "queue": str(queue),
        "kind": kind,
        "payloads": (b"[" + b",".join(encoded) + b"]").decode(),
        "key": key,
        "delay": None if delay is None else delay.total_seconds(),
    }
    return list(await tx.scalar(_ENQUEUE, given))
