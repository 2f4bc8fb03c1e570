"""From a request's text to its answer: document, limits, permissions, execution. Every transport comes through here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType, execute
from graphql.execution import create_source_event_stream
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from strawberry import execution

from api import metrics
from api.admission import Shed, Turns
from api.documents import Operation
from api.errors import Rejected, coded, failure, public
from api.gate import EVERYTHING, Gate, Request, guesses
from api.limits import Limits
from api.throttle import Full, Slots
from api.tracing import tracer
from db.actor import Actor
from db.cache import Cache
from db.session import Database
from schema import permissions
from schema.context import Context, Hub, Storage, Tokens

is_awaitable: Any = execution.optimized_is_awaitable


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
        gate: Gate, admission: Turns,
        sign_ins_at_once: int, subscriptions: Slots, turns: asyncio.Semaphore, suggestions: bool,
        storage: Storage | None = None, cache: Cache | None = None,
    ) -> None:  # fmt: skip
        self.schema = schema._schema
        self.limits = limits
        self._gate = gate
        self._admission = admission
        self._database = database
        self._hub = hub
        self._tokens = tokens
        self._storage = storage
        self._cache = cache
        self._subscriptions = subscriptions
        self._turns = turns
        """One event wakes many subscriptions: they take turns at part of the database's connections."""
        self._suggestions = suggestions
        self._hashing = asyncio.Semaphore(sign_ins_at_once)

    async def prepare(
        self, request: Request, actor: Actor, allowed: Collection[OperationType] = EVERYTHING
    ) -> Operation:
        """The operation, after everything that can refuse it before it runs; Rejected otherwise."""
        return await self._gate.pass_(request, actor, allowed)

    async def run(self, operation: Operation, request: Request, actor: Actor) -> Answer:
        """Execute a query or mutation when it is its turn, and tell what it cost. Sign-ins have a line of their own."""
        try:
            if guesses(operation):
                answer = await self._executed(operation, request, actor)
            else:
                await self._admission.begin(actor.organization_id)
                try:
                    answer = await self._executed(operation, request, actor)
                finally:
                    self._admission.end()
        except Shed as shed:
            answer = refused(shed.errors, actor.request_id)
        if cost := request.bill.extensions:
            answer.payload["extensions"] = {**answer.payload.get("extensions", {}), **cost}
        return answer

    async def _executed(self, operation: Operation, request: Request, actor: Actor) -> Answer:
        """Execute a query or mutation within its time."""
        context = self._context(actor, request)
        started = perf_counter()
        with (
            tracer.start_as_current_span("graphql", attributes=_attributes(operation)),
            metrics.in_flight.track_inprogress(),
        ):
            try:
                async with (
                    asyncio.timeout(self.limits.timeout),
                    self._hashing if guesses(operation) else nullcontext(),
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


def refused(
    errors: list[GraphQLError], request_id: str | None, *, status: int | None = None,
    extensions: dict[str, Any] | None = None,
) -> Answer:  # fmt: skip
    payload: dict[str, Any] = {"errors": [public(error, request_id) for error in errors]}
    if extensions:
        payload["extensions"] = extensions
    return Answer(payload, executed=False, status=status)


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
