"""Errors as a caller may see them: a code, a request id, never a word of Python's or the database's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import structlog
from graphql import FieldNode, GraphQLError, GraphQLSyntaxError, VariableDefinitionNode
from strawberry.exceptions import StrawberryInputCoercionError

from db.connections import PoolTimeout
from db.refusal import Refused
from db.session import TookTooLong
from schema.faults import Fault

log = structlog.stdlib.get_logger("api.errors")

RETRYABLE = {"RATE_LIMITED", "OPERATION_TIMEOUT", "CONFLICT", "IDEMPOTENCY_IN_PROGRESS", "SERVICE_UNAVAILABLE"}
STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "IDEMPOTENCY_KEY_REUSED": 409,
    "IDEMPOTENCY_IN_PROGRESS": 409,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "OPERATION_TIMEOUT": 504,
}
"""HTTP status of an answer without data under application/graphql-response+json; anything else is 400."""

TRANSPORT = frozenset({401, 429, 500, 503, 504})
"""Statuses that are about the service, not the document: application/json carries them too."""

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver makes of a server that stops between two messages
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    PoolTimeout,
)
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)


MOST_MESSAGE = 500


class Rejected(Exception):
    """A request that is answered without being executed."""

    def __init__(self, errors: list[GraphQLError], *, status: int | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.status = status
        """A status of the transport itself; None where it follows from the code and the media type."""
        self.extensions: dict[str, Any] = {}
        """Of the answer: what the request would have cost, where that is known."""

    @classmethod
    def because(cls, code: str, message: str, *, status: int | None = None, **details: Any) -> Rejected:
        return cls([coded(code, message, **details)], status=status)


def coded(code: str, message: str, **details: Any) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code, **details})


def public(error: GraphQLError, request_id: str | None) -> dict[str, Any]:
    """The error in the words a caller may read. What nobody foresaw is logged under the request id and masked."""
    shown = _recognised(error)
    if shown is None:
        cause = error.original_error or error
        log.error("unexpected error", request_id=request_id, path=error.path, exc_info=cause)
        shown = coded("INTERNAL_SERVER_ERROR", "Something went wrong here. Quote the request id when you report it.")
    answer: dict[str, Any] = {"message": _short(shown.message)}
    if error.locations:
        answer["locations"] = [location.formatted for location in error.locations]
    if error.path:
        answer["path"] = error.path
    extensions: dict[str, Any] = dict(shown.extensions or {})
    extensions.setdefault("retryable", extensions["code"] in RETRYABLE)
    answer["extensions"] = {**extensions, "requestId": request_id}
    return answer


def _recognised(error: GraphQLError) -> GraphQLError | None:
    """The error with a code, or None where there is nothing in it for a caller."""
    if isinstance(error, GraphQLSyntaxError):
        return coded("GRAPHQL_PARSE_FAILED", error.message)
    cause = error.original_error
    if error.extensions and "code" in error.extensions:
        return error
    if cause is None or isinstance(cause, GraphQLError):
        return None if _ours(error) else coded("BAD_USER_INPUT", error.message, **_argument(error))
    return failure(cause)


def _ours(error: GraphQLError) -> bool:
    """graphql-core blames a value of the document for what it refuses, and a whole field for what we answered wrong."""
    if error.path is None or isinstance(error.original_error or error, StrawberryInputCoercionError):
        return False  # nothing ran yet, or an input object did not hold together
    return not error.nodes or isinstance(error.nodes[0], FieldNode)


def _argument(error: GraphQLError) -> dict[str, str]:
    """The variable an error is about."""
    node = error.nodes[0] if error.nodes else None
    return {"argument": node.variable.name.value} if isinstance(node, VariableDefinitionNode) else {}


def _short(message: str) -> str:
    """graphql-core repeats the value it refuses, however long that is."""
    return message if len(message) <= MOST_MESSAGE else f"{message[: MOST_MESSAGE - 1]}…"


def failure(cause: BaseException) -> GraphQLError | None:
    """What an exception means to the caller, if it means anything."""
    for error in _chain(cause):
        if isinstance(error, Fault):
            return GraphQLError(error.message, extensions=error.extensions)
        if isinstance(error, Refused):  # by a query, which has no payload to say it in
            argument = {"argument": ".".join(error.path)} if error.path else {}
            return coded(error.code, error.message, retryable=error.retryable, **argument)
        if isinstance(error, TookTooLong):
            said = f"A statement took longer than {error.seconds:g} seconds and was stopped"
            return coded("OPERATION_TIMEOUT", said, limit=error.seconds)
        if isinstance(error, asyncpg.QueryCanceledError | TimeoutError) and not isinstance(error, ConnectionError):
            return coded("OPERATION_TIMEOUT", "The operation took too long and was stopped")
        if isinstance(error, CONFLICTS):
            return coded("CONFLICT", "Somebody else is changing the same rows; try again")
        if isinstance(error, LOST):
            log.warning("database unavailable", exc_info=error)
            return coded("SERVICE_UNAVAILABLE", "The database cannot be reached just now; try again")
        if isinstance(error, asyncpg.DataError):
            log.warning("value refused by the database", error=str(error))
            return coded("BAD_USER_INPUT", "A value is out of the range that can be stored")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what SQLAlchemy wrapped in it, and what it came from."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, getattr(one, "orig", None), getattr(one, "original_error", None)]


def status_of(errors: list[dict[str, Any]]) -> int:
    """HTTP status of an answer that has no data."""
    return max((STATUS.get(error["extensions"]["code"], 400) for error in errors), default=200)


def retry_after(errors: list[dict[str, Any]]) -> int | None:
    """Seconds for the Retry-After header, where an error names them."""
    waits = [error["extensions"]["retryAfter"] for error in errors if "retryAfter" in error["extensions"]]
    return max(waits) if waits else None
