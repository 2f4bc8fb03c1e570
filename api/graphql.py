"""From a request's text to its answer: document, limits, permissions, execution. Every transport comes through here."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Protocol, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute
from strawberry import execution

from api import metrics
from api.admission import Shed, Turns
from api.documents import Operation
from api.errors import Rejected, coded, failure, public
from api.gate import EVERYTHING, Gate, Request
from api.limits import Limits, Own
from api.patience import Patience
from api.tracing import span
from db.actor import Actor
from db.cache import Cache
from db.session import Database
from schema.context import Context, Hub, Storage, Tokens
from schema.permissions import PUBLIC

is_awaitable: Any = execution.optimized_is_awaitable


@dataclass(slots=True)
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

    def follow(self, follower: Follower) -> AbstractContextManager[None]:
        """While this lasts, the follower's actor is the caller as it is now."""
        ...


class Follower(Protocol):
    actor: Actor


class Door(Protocol):
    """Where it is known what organizations have the process do."""

    def check(self, tenant: int | None) -> None:
        """Shed where the organization has to ask for less."""
        ...

    def working(self, tenant: int | None) -> None:
        """What the task does from here on is done for this organization."""
        ...


class GraphQL:
    """The schema, ready to answer."""

    def __init__(
        self, schema: strawberry.Schema, database: Database, hub: Hub, tokens: Tokens, limits: Limits, *,
        gate: Gate, admission: Turns, sign_ins_at_once: int, suggestions: bool, own: Own | None = None,
        storage: Storage | None = None, cache: Cache | None = None, door: Door | None = None,
    ) -> None:  # fmt: skip
        self.schema = schema._schema
        self.limits = limits
        self._own: Own = {} if own is None else own
        self._patience = Patience(limits.operation_seconds)
        self._patiences = {limits.operation_seconds: self._patience}
        self.plans = True
        self._gate = gate
        self._admission = admission
        self._door = door
        self._database = database
        self._hub = hub
        self._tokens = tokens
        self._storage = storage
        self._cache = cache
        self.suggestions = suggestions
        self._hashing = asyncio.Semaphore(sign_ins_at_once)
        self._public = _public(self.schema)

    def admit(self, actor: Actor) -> None:
        """An operation of a connection that is open already: Shed where its organization has to ask for less."""
        if self._door is not None:
            self._door.check(actor.organization_id)

    async def prepare(
        self, request: Request, actor: Actor, allowed: Collection[OperationType] = EVERYTHING
    ) -> Operation:
        """The operation, after everything that can refuse it before it runs; Rejected otherwise."""
        operation = await self._gate.pass_(request, actor, allowed)
        if operation.guesses and not self._public.issuperset(operation.roots):
            said = "Mutations that are open to anybody, as signing in is, stand in an operation of their own"
            request.bill.refund()
            mixed = Rejected.because("BAD_REQUEST", said, status=400)
            mixed.extensions = request.bill.extensions
            raise mixed
        return operation

    async def run(self, operation: Operation, request: Request, actor: Actor) -> Answer:
        """Execute a query or mutation when it is its turn, and tell what it cost. Sign-ins have a line of their own."""
        try:
            if operation.guesses:
                answer = await self._executed(operation, request, actor)
            else:
                await self._admission.begin(actor.organization_id)
                try:
                    answer = await self._executed(operation, request, actor)
                finally:
                    self._admission.end(actor.organization_id)
        except Shed as shed:
            request.bill.refund()
            answer = refused(shed.errors, actor.request_id)
        if cost := request.bill.extensions:
            answer.payload["extensions"] = {**answer.payload.get("extensions", {}), **cost}
        return answer

    async def _executed(self, operation: Operation, request: Request, actor: Actor) -> Answer:
        """Execute a query or mutation within its time."""
        context = self.context(actor, request)
        patience = self.patience(actor) if self._own else self._patience
        started = perf_counter()
        with span("graphql", operation.attributes), metrics.in_flight:
            try:
                context.deadline = monotonic() + patience.seconds
                with patience.limit():
                    if operation.guesses:
                        async with self._hashing:
                            result = await self._result(operation, request, context)
                    else:
                        result = await self._result(operation, request, context)
                answer = self.answer(result, context)
            except TimeoutError:
                said = f"The operation took longer than {patience.seconds:g} seconds and was stopped"
                answer = refused([coded("OPERATION_TIMEOUT", said, limit=patience.seconds)], actor.request_id)
            finally:
                await context.close()
        metrics.operations.counts[operation.kind_name, _outcome(answer)] += 1
        metrics.operation_seconds.add((operation.kind_name,), perf_counter() - started)
        return answer

    def limits_of(self, actor: Actor) -> Limits:
        """Those of the caller's organization, else the server's."""
        return self._own.get(actor.organization_id, self.limits)

    def patience(self, actor: Actor) -> Patience:
        """With an operation of the caller, or with one event of a subscription."""
        seconds = self.limits_of(actor).operation_seconds
        if (patience := self._patiences.get(seconds)) is None:
            patience = self._patiences[seconds] = Patience(seconds)
        return patience

    async def _result(self, operation: Operation, request: Request, context: Context) -> ExecutionResult:
        """By plan what is planned, by the loaders what is left."""
        planned = await operation.prepared.run(request.variables, context) if self.plans else None
        if operation.kind is OperationType.QUERY:
            how = "left" if planned is None else "planned" if planned.rest is None else "partly"
            metrics.planned.counts[how,] += 1
        if self.suggestions and request.extensions.get("plan") is True:
            context.extensions["plan"] = operation.prepared.explained(request.variables, planned)
        document = operation.document if planned is None else planned.rest
        if document is None:
            assert planned is not None
            return _in_order(planned.data, planned.errors)
        result: Any = execute(
            self.schema,
            document,
            context_value=context,
            variable_values=request.variables,
            operation_name=operation.name,
            is_awaitable=is_awaitable,
            hide_suggestions=not self.suggestions,
        )
        if not isinstance(result, ExecutionResult):
            result = await result
        rest = cast(ExecutionResult, result)
        if planned is None or rest.data is None:
            return _in_order(rest.data, rest.errors or [])
        return _in_order({**planned.data, **rest.data}, [*planned.errors, *(rest.errors or [])])

    def context(
        self, actor: Actor, request: Request, *, turns: asyncio.Semaphore | None = None, together: bool = False
    ) -> Context:
        if together and self._door is not None:
            self._door.working(actor.organization_id)  # a group of subscriptions belongs to no request
        return Context(
            actor, self._database, self._hub, self._tokens, storage=self._storage, cache=self._cache,
            idempotency_key=request.idempotency_key, last_event_id=request.last_event_id, turns=turns, together=together,
        )  # fmt: skip

    def answer(self, result: ExecutionResult, context: Context) -> Answer:
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


def _in_order(data: dict[str, Any] | None, errors: list[GraphQLError]) -> ExecutionResult:
    """Errors in the order of the document's root fields: they come in that in which fields fail."""
    if data is not None and len(errors) > 1:
        places = {key: place for place, key in enumerate(data)}
        errors = sorted(errors, key=lambda error: places.get(str(error.path[0]), -1) if error.path else -1)
    return ExecutionResult(data, errors or None)


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


def _public(schema: GraphQLSchema) -> frozenset[str]:
    """The mutations that may stand beside a sign-in: they share its line, which another would skip its own by and hold up."""
    fields = schema.mutation_type.fields if schema.mutation_type else {}
    declared = {name: field.extensions.get("strawberry-definition") for name, field in fields.items()}
    return frozenset(["__typename", *(n for n, d in declared.items() if d and d.metadata.get("permission") == PUBLIC)])


def _outcome(answer: Answer) -> str:
    if "errors" not in answer.payload:
        return "ok"
    return "error" if answer.executed else "refused"
