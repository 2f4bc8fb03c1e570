"""From a request's text to its answer: document, limits, permissions, execution. Every transport comes through here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType, execute
from graphql.execution import create_source_event_stream
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from strawberry import execution

from api import metrics
from api.documents import Documents, Operation
from api.errors import Rejected, coded, failure, public
from api.limits import Limits, check_variables
from api.throttle import Full, Slots, Throttle
from api.tracing import tracer
from db.actor import Actor
from db.cache import Cache
from db.session import Database
from schema import permissions
from schema.context import Context, Hub, Storage, Tokens
from schema.faults import Fault

is_awaitable: Any = execution.optimized_is_awaitable

READING = (OperationType.QUERY,)
SINGLE = (OperationType.QUERY, OperationType.MUTATION)
STREAMED_BY_GET = (OperationType.QUERY, OperationType.SUBSCRIPTION)
EVERYTHING = tuple(OperationType)
_ELSEWHERE = {
    OperationType.QUERY: "A query cannot be sent this way",
    OperationType.MUTATION: "A mutation is sent by POST",
    OperationType.SUBSCRIPTION: "A subscription is sent over graphql-transport-ws or with Accept: text/event-stream",
}
_ELSEWHERE_STATUS = {OperationType.QUERY: 405, OperationType.MUTATION: 405, OperationType.SUBSCRIPTION: 400}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked, its shape already checked."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    last_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `executed` is false for a request that was refused as a whole: it has no data entry then."""

    payload: dict[str, Any]
    executed: bool
    status: int | None = None
    cursor: str | None = None
    """Of a subscription's event: where to go on from."""


class Caller(Protocol):
    """Who is on the other end. On a long-lived connection the rights behind it change while it is open."""

    @property
    def actor(self) -> Actor: ...

    @property
    def key(self) -> str: ...

    def follow(self, context: Context) -> AbstractContextManager[None]:
        """While this lasts, the context's actor is the caller as it is now."""
        ...


class GraphQL:
    """The schema, ready to answer."""

    def __init__(
        self, schema: strawberry.Schema, database: Database, hub: Hub, tokens: Tokens, limits: Limits, *,
        sign_ins: Throttle, sign_ins_at_once: int, subscriptions: Slots, turns: asyncio.Semaphore, suggestions: bool,
        storage: Storage | None = None, cache: Cache | None = None,
    ) -> None:  # fmt: skip
        self.schema = schema._schema
        self.limits = limits
        self.documents = Documents(self.schema, limits, suggestions=suggestions)
        self._database = database
        self._hub = hub
        self._tokens = tokens
        self._storage = storage
        self._cache = cache
        self._sign_ins = sign_ins
        self._subscriptions = subscriptions
        self._turns = turns
        """One event wakes many subscriptions: they take turns at part of the database's connections."""
        self._suggestions = suggestions
        self._hashing = asyncio.Semaphore(sign_ins_at_once)

    def prepare(self, request: Request, actor: Actor, allowed: Collection[OperationType] = EVERYTHING) -> Operation:
        """The operation, after everything that can refuse it before it runs; Rejected otherwise."""
        try:
            operation = self.documents.operation(request.query, request.operation_name)
            if operation.kind not in allowed:
                raise Rejected.because(
                    "BAD_REQUEST", _ELSEWHERE[operation.kind], status=_ELSEWHERE_STATUS[operation.kind]
                )
            check_variables(request.variables, self.limits)
            if operation.introspects and not actor.signed_in:
                raise Fault("UNAUTHENTICATED", "Sign in to read the schema")
            permissions.check(operation.needs, actor)
            self._check_key(request, operation)
            self._check_sign_ins(operation, actor)
        except (Fault, Rejected) as refusal:
            metrics.operations.labels("unknown", "rejected").inc()
            if isinstance(refusal, Rejected):
                raise
            raise Rejected([coded(**refusal.extensions, message=refusal.message)]) from None
        return operation

    def _check_key(self, request: Request, operation: Operation) -> None:
        mutations = len(operation.roots) if operation.kind is OperationType.MUTATION else 0
        if request.idempotency_key is not None and mutations > 1:
            raise Rejected.because(
                "BAD_REQUEST", "Idempotency-Key needs a document with exactly one mutation", status=400
            )

    def _check_sign_ins(self, operation: Operation, actor: Actor) -> None:
        """Mutations open to anybody are where passwords are guessed."""
        if _guesses(operation):
            wait = self._sign_ins.wait(actor.client_ip or "unknown", cost=len(operation.roots))
            if wait:
                raise Rejected.because("RATE_LIMITED", "Too many attempts; wait a little", status=429, retryAfter=wait)

    async def run(self, operation: Operation, request: Request, actor: Actor) -> Answer:
        """Execute a query or mutation within its time."""
        context = self._context(actor, request)
        started = perf_counter()
        with (
            tracer.start_as_current_span("graphql", attributes=_attributes(operation)),
            metrics.in_flight.track_inprogress(),
        ):
            try:
                context.deadline = asyncio.get_running_loop().time() + self.limits.timeout
                async with (
                    asyncio.timeout_at(context.deadline),
                    self._hashing if _guesses(operation) else nullcontext(),
                ):
                    result: Any = execute(
                        self.schema,
                        operation.document,
                        context_value=context,
                        variable_values=request.variables,
                        operation_name=operation.name,
                        is_awaitable=is_awaitable,
                        hide_suggestions=not self._suggestions,
                    )
                    if not isinstance(result, ExecutionResult):
                        result = await result
                answer = self._answer(result, context)
            except TimeoutError:
                said = f"The operation took longer than {self.limits.timeout:g} seconds and was stopped"
                answer = refused([coded("OPERATION_TIMEOUT", said)], actor.request_id)
            finally:
                await context.close()
        metrics.operations.labels(operation.kind.value, _outcome(answer)).inc()
        metrics.operation_seconds.labels(operation.kind.value).observe(perf_counter() - started)
        return answer

    async def stream(self, operation: Operation, request: Request, caller: Caller) -> AsyncGenerator[Answer, None]:
        """A query's or mutation's one answer, or a subscription's answers until it ends."""
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self.run(operation, request, caller.actor)
            return
        actor = caller.actor
        context = self._context(actor, request, self._turns)
        executor = ExecutorThrowingOnIncremental.build(
            self.schema,
            operation.document,
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=operation.name,
            is_awaitable=is_awaitable,
            hide_suggestions=not self._suggestions,
        )
        if isinstance(executor, list):
            yield refused(executor, actor.request_id)
            return
        try:
            with (
                self._subscriptions.taken(caller.key),
                metrics.subscriptions.track_inprogress(),
                caller.follow(context),
            ):
                async with aclosing(await self._source(executor)) as source:
                    async for event in source:
                        permissions.check(operation.needs, context.actor)
                        yield await self._event(executor, event, context)
        except Rejected as rejected:
            yield refused(rejected.errors, actor.request_id)
        except Full:
            said = f"At most {self._subscriptions.most} subscriptions at once"
            yield refused([coded("RATE_LIMITED", said)], actor.request_id)
        except Exception as error:
            yield broken(error, actor.request_id)
        finally:
            await context.close()

    async def _source(self, executor: Any) -> Any:
        source: Any = create_source_event_stream(executor)
        if executor.is_awaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Rejected(source.errors or [])
        return source

    async def _event(self, executor: Any, event: Any, context: Context) -> Answer:
        """One event's answer. Its transaction ends and its loaders forget before the next one is waited for."""
        try:
            async with asyncio.timeout(self.limits.timeout):
                result = executor.build_per_event_executor(event).execute_operation(False)
                if not isinstance(result, ExecutionResult):
                    result = await result
            answer = self._answer(cast(ExecutionResult, result), context)
            return replace(answer, cursor=getattr(event, "cursor", None))
        except TimeoutError:
            return refused([coded("OPERATION_TIMEOUT", "The event took too long to answer")], context.actor.request_id)
        finally:
            await context.renew()

    def _context(self, actor: Actor, request: Request, turns: asyncio.Semaphore | None = None) -> Context:
        return Context(
            actor, self._database, self._hub, self._tokens, storage=self._storage, cache=self._cache,
            idempotency_key=request.idempotency_key, last_event_id=request.last_event_id, turns=turns,
        )  # fmt: skip

    def _answer(self, result: ExecutionResult, context: Context) -> Answer:
        request_id = context.actor.request_id
        errors = result.errors or []
        if result.data is None and errors and all(error.path is None for error in errors):
            return refused(errors, request_id)  # the variables did not fit: nothing was executed
        payload: dict[str, Any] = {"data": result.data}
        if errors:
            payload["errors"] = [public(error, request_id) for error in errors]
        if context.extensions:
            payload["extensions"] = context.extensions
        return Answer(payload, executed=True)


def _guesses(operation: Operation) -> bool:
    """A mutation open to anybody: it may hash a password while it holds a connection, so only some run at once."""
    open_to_all = any(need.permission == permissions.PUBLIC for need in operation.needs)
    return operation.kind is OperationType.MUTATION and open_to_all


def refused(errors: list[GraphQLError], request_id: str | None, *, status: int | None = None) -> Answer:
    return Answer({"errors": [public(error, request_id) for error in errors]}, executed=False, status=status)


def broken(error: BaseException, request_id: str | None) -> Answer:
    """The answer to a request whose handling itself failed."""
    seen = failure(error)
    return refused([seen or GraphQLError("", original_error=cast(Exception, error))], request_id)


def _attributes(operation: Operation) -> dict[str, str]:
    return {"graphql.operation.type": operation.kind.value, "graphql.operation.name": operation.name or ""}


def _outcome(answer: Answer) -> str:
    if "errors" not in answer.payload:
        return "ok"
    return "error" if answer.executed else "refused"
