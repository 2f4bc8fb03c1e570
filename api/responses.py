"""Answers on the wire: JSON bytes with the status the media type and the errors call for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import TRANSPORT, Rejected, coded, public, retry_after, status_of
from api.graphql import Answer, refused
from api.negotiation import GRAPHQL, JSON

_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL)}
WHOLE = "unison.whole"
"""A server that has this among its extensions takes a body under this name along with the head: one message, one write."""
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="unison"'}


def respond(answer: Answer, media: str, *, headers: Mapping[str, str] | None = None) -> Response:
    status = _status(answer, media)
    if status == 200 and headers is None and "errors" not in answer.payload:
        return _ready(dumps(answer.payload), media)
    more = dict(headers or {})
    errors = answer.payload.get("errors", ())
    if status == 401:
        more |= CHALLENGE
    if (wait := retry_after(list(errors))) is not None or status == 503:
        more["Retry-After"] = str(wait or 1)
    return Response(dumps(answer.payload), status, more, media_type=f"{media}; charset=utf-8")


class Ready(Response):
    """An answer that is there as a whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if WHOLE in scope.get("extensions", ()):
            await send({**start, WHOLE: self.body})
        else:
            await send(start)
            await send({"type": "http.response.body", "body": self.body})


def _ready(body: bytes, media: str) -> Response:
    """What nearly every answer is: a Response with the two headers it needs, which nobody has to look up and encode."""
    response = Ready.__new__(Ready)
    response.status_code, response.background, response.body = 200, None, body
    response.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", _TYPES[media])]
    return response


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)


def reject(rejected: Rejected, media: str, request_id: str | None, **headers: str) -> Response:
    answer = refused(rejected.errors, request_id, status=rejected.status, extensions=rejected.extensions)
    return respond(answer, media, headers=headers)


def plain_error(status: int, code: str, message: str, request_id: str | None, **headers: str) -> Response:
    """An answer of the transport, before there is anything to do with GraphQL."""
    error: GraphQLError = coded(code, message)
    body = {"errors": [public(error, request_id)]}
    return Response(dumps(body), status, headers, media_type=f"{JSON}; charset=utf-8")


def _status(answer: Answer, media: str) -> int:
    if answer.status is not None:
        return answer.status
    errors = answer.payload.get("errors", [])
    if answer.executed:
        if not errors:
            return 200
        lost = any(error["extensions"]["code"] == "SERVICE_UNAVAILABLE" for error in errors)
        return 503 if lost and not any((answer.payload["data"] or {}).values()) else 200
    status = status_of(errors)
    return status if media == GRAPHQL or status in TRANSPORT else 200
