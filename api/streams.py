"""Answers that keep coming: a subscription alone, or in a group of those who are told the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import Any, cast

from graphql import ExecutionResult, OperationType
from graphql.execution import create_source_event_stream
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

from api import metrics
from api.documents import Operation
from api.errors import Rejected, coded
from api.gate import Request
from api.graphql import Answer, Caller, GraphQL, broken, is_awaitable, refused
from api.groups import Group, Groups, Seat
from api.hub import Hub
from api.responses import dumps
from api.sharing import shared
from api.throttle import Full, Slots
from api.told import Outlet, Told
from schema import permissions
from schema.context import Context
from schema.feed import Cursor
from schema.subscribe import Pay, Together

REST = 2
"""A group rests for this many times as long as it took to tell its members, so that the more there are, the more events go
out together, and the process has time for others."""
LONGEST_REST = 0.03
TOO_LATE = "The event took too long to answer"


class Streams:
    """Every transport that can send more than one answer comes through here."""

    def __init__(self, graphql: GraphQL, hub: Hub, subscriptions: Slots, turns: asyncio.Semaphore) -> None:
        self.graphql = graphql
        self.groups = Groups(hub, self._serve)
        self._subscriptions = subscriptions
        self._turns = turns
        """One event wakes many subscriptions: they take turns at part of the database's connections."""

    async def stream(
        self, operation: Operation, request: Request, caller: Caller, outlet: Outlet | None = None
    ) -> AsyncGenerator[Answer, None]:
        """A query's or mutation's one answer, or a subscription's answers until it ends. With an outlet a subscription may
        join those who are told the same: their answers go to the outlet, between the ones that are yielded."""
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self.graphql.run(operation, request, caller.actor)
            return
        async with aclosing(self._subscription(operation, request, caller, outlet)) as answers:
            try:
                async for answer in answers:
                    yield answer
            except asyncio.CancelledError as cancelled:
                # A task keeps what it was cancelled by, and that the frames it came through with all that is in them.
                raise cancelled.with_traceback(None) from None

    async def _subscription(
        self, operation: Operation, request: Request, caller: Caller, outlet: Outlet | None
    ) -> AsyncGenerator[Answer, None]:
        actor = caller.actor
        context = self.graphql.context(actor, request, turns=self._turns)
        executor = self._executor(operation, request.variables, context, request.bill.catch_up)
        if isinstance(executor, list):
            yield refused(executor, actor.request_id)
            return
        follower: Context | Seat = context
        same = shared(self.graphql.schema, operation, request.variables, executor.variable_values)
        if same is not None and outlet is not None and actor.signed_in:
            follower = context.hub = Seat(self.groups, same, context, outlet)
        try:
            with (
                self._subscriptions.taken(caller.key, self.graphql.limits_of(actor).subscriptions),
                metrics.subscriptions.track_inprogress(),
                caller.follow(follower),
            ):
                async with aclosing(await _source(executor)) as source:
                    async for event in source:
                        permissions.check(operation.needs, context.actor)
                        yield await self._event(executor, event, context)
        except Rejected as rejected:
            yield refused(rejected.errors, actor.request_id)
        except Full as full:
            said = f"At most {full.most} subscriptions at once"
            yield refused([coded("RATE_LIMITED", said, limit=full.most)], actor.request_id)
        except Exception as error:
            yield broken(error, actor.request_id)
        finally:
            await self._let_go(context, executor)

    async def _let_go(self, context: Context, executor: Any) -> None:
        """End it, and undo the circles: seat and loaders refer to their context, an executor to its own methods. What refers
        to itself stays until all of the memory is searched, which is hardly ever."""
        try:
            await context.close()
        finally:
            context.hub = self.groups.hub
            del context.loaders, executor.async_helpers

    def _executor(
        self, operation: Operation, variables: dict[str, Any], context: Context, pay: Pay | None = None
    ) -> Any:
        return ExecutorThrowingOnIncremental.build(
            self.graphql.schema,
            operation.document,
            root_value=pay,
            context_value=context,
            raw_variable_values=variables,
            operation_name=operation.name,
            is_awaitable=is_awaitable,
            hide_suggestions=not self.graphql.suggestions,
        )

    async def _event(self, executor: Any, event: Any, context: Context) -> Answer:
        """One event's answer. Its transaction ends and its loaders forget before the next one is waited for."""
        patience = self.graphql.patience(context.actor)
        try:
            with patience.limit():
                result = executor.build_per_event_executor(event).execute_operation(False)
                if not isinstance(result, ExecutionResult):
                    result = await result
            answer = self.graphql.answer(cast(ExecutionResult, result), context)
            return replace(answer, cursor=getattr(event, "cursor", None))
        except TimeoutError:
            late = coded("OPERATION_TIMEOUT", TOO_LATE, limit=patience.seconds)
            return refused([late], context.actor.request_id)
        finally:
            await context.renew()

    async def _serve(self, group: Group) -> None:
        """Execute a group's subscription as somebody who sees what its members see."""
        request = Request("", variables=dict(group.shared.given))
        context = self.graphql.context(group.reader, request, turns=self._turns, together=True)
        context.hub = group
        executor = self._executor(group.shared.operation, request.variables, context)
        try:
            async with aclosing(await _source(executor)) as source:
                async for together in source:
                    began = perf_counter()
                    group.tell(together.came, await self._told(executor, together, context))
                    if group.ended:
                        return
                    await asyncio.sleep(0)  # the sockets are written to now
                    await asyncio.sleep(min(REST * (perf_counter() - began), LONGEST_REST))
        except asyncio.CancelledError:
            if not group.ended:
                raise
            # Its last member has left. That is an end like any other: a task that was cancelled would keep its frames.
        except Exception as error:
            group.fail(error)
        finally:
            await self._let_go(context, executor)

    async def _told(self, executor: Any, together: Together, context: Context) -> list[Told]:
        """The answers of events that were read together; links of all of them are read by one statement as well."""
        patience = self.graphql.patience(context.actor)
        try:
            with patience.limit():
                results = [
                    executor.build_per_event_executor(event).execute_operation(False) for event in together.shown
                ]
                waiting = [n for n, result in enumerate(results) if not isinstance(result, ExecutionResult)]
                for n, result in zip(waiting, await asyncio.gather(*(results[n] for n in waiting)), strict=True):
                    results[n] = result
        except TimeoutError:
            raise Rejected.because("OPERATION_TIMEOUT", TOO_LATE, limit=patience.seconds) from None
        finally:
            await context.renew()
        metrics.group_answers.inc(len(results))
        return [
            Told(Cursor.of(event.cursor).pos, event.cursor, dumps(self.graphql.answer(result, context).payload))
            for event, result in zip(together.shown, results, strict=True)
        ]


async def _source(executor: Any) -> Any:
    source: Any = create_source_event_stream(executor)
    if executor.is_awaitable(source):
        source = await source
    if isinstance(source, ExecutionResult):
        raise Rejected(source.errors or [])
    return source
