"""Messages as they are read from a queue, and what of them can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from schema.work import Job


class Poison(Exception):
    """A message no handler can be given."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, held by this worker as long as its read count is the one seen."""

    id: int
    read: int
    org: int
    request_id: str | None
    job: Job


def decoded(row: Mapping[str, Any]) -> Message:
    """The message of a row of `ev.take_jobs`, or Poison with what is wrong in words safe to show."""
    try:
        body, headers = orjson.loads(row["message"] or "null"), orjson.loads(row["headers"] or "null")
    except orjson.JSONDecodeError:
        raise Poison("The message is not JSON") from None
    if not isinstance(body, dict) or not isinstance(headers, dict):
        raise Poison("The message is not an object with headers")
    org, job, kind, payload = body.get("org"), body.get("job"), body.get("kind"), body.get("payload")
    if not isinstance(org, int) or isinstance(org, bool) or headers.get("org") != str(org):
        raise Poison("The message names no organization, or two")
    if not isinstance(job, int) or not isinstance(kind, str) or not isinstance(payload, dict):
        raise Poison("The message lacks its job, kind or payload")
    request = body.get("request")
    key = headers.get("x-pgmq-group")
    return Message(
        id=row["msg_id"],
        read=row["read_ct"],
        org=org,
        request_id=request if isinstance(request, str) else None,
        job=Job(job, kind, payload, key if isinstance(key, str) else None, row["read_ct"]),
    )
