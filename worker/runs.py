"""Running what was taken: several jobs in one transaction, or one alone, with its failure kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import text

from api import metrics
from api.logs import log
from db.actor import EVERYWHERE, Actor
from db.refusal import Refused
from db.session import Database, WriteTx
from schema.work import Abandon, Handler, InTransaction, Outside, Policy, Postpone, Work
from worker.calls import Calls
from worker.messages import Message
from worker.notices import tell_of

GROUP_SECONDS = 1.0
"""How long jobs are put into one transaction before it commits."""
UNKNOWN = Policy(attempts=8, shortest=10.0)
"""A kind nobody knows may belong to a program that is just being rolled out."""

_DONE = text("select app.jobs_done(:queue, :messages, :reads, :jobs)")

logger = log("worker.jobs")


class NotOurs(Exception):
    """Messages were read again by another worker: this effect must not be kept."""


class Runner:
    """Runs the jobs of one queue. A job acts for its organization, as nobody in particular, with every right there."""

    def __init__(self, queue: str, database: Database, calls: Calls, handlers: Mapping[str, Handler],
                 permissions: Sequence[str]) -> None:  # fmt: skip
        self._queue = queue
        self._database = database
        self._calls = calls
        self._handlers = handlers
        self._permissions = dict.fromkeys(permissions, EVERYWHERE)

    def together(self) -> list[str]:
        """Kinds whose jobs may share a transaction."""
        return [kind for kind, handler in self._handlers.items() if isinstance(handler, InTransaction)]

    async def group(self, messages: Sequence[Message]) -> list[Message]:
        """Run jobs of one organization in one transaction; answers those that are left for another one."""
        began = time.monotonic()
        done: list[Message] = []
        async with self._database.write(self._actor(messages[0], request=False)) as tx:
            for message in messages:
                handler = self._handlers[message.job.kind]
                assert isinstance(handler, InTransaction)
                async with asyncio.timeout(handler.policy.seconds):
                    await handler.run(tx, message.job)
                    await tx.let_go()
                done.append(message)
                if time.monotonic() - began > GROUP_SECONDS:
                    break
            await self._acknowledge(tx, done)
        self._count("succeeded", done)
        return list(messages[len(done) :])

    async def alone(self, message: Message) -> bool:
        """Run one job; a failure waits for its next attempt, or is dead. False where it failed."""
        handler = self._handlers.get(message.job.kind)
        policy = UNKNOWN if handler is None else handler.policy
        try:
            if message.read > policy.attempts:
                raise Abandon("It ended the worker, or ran out of time, at every attempt")
            if handler is None:
                raise Postpone("No module handles this kind of job", policy.delay(message.read) or 0)
            await self._calls.started(message)
            began = time.monotonic()
            async with asyncio.timeout(policy.seconds):
                await self._run(handler, message)
            metrics.job_seconds.labels(self._queue).observe(time.monotonic() - began)
        except NotOurs:
            logger.warning("a job was taken by another worker", queue=self._queue, job=message.job.id)
            return True
        except Exception as error:
            await self._fail(message, policy, error)
            return False
        self._count("succeeded", [message])
        return True

    async def _run(self, handler: Handler, message: Message) -> None:
        actor = self._actor(message)
        if isinstance(handler, Outside):
            await handler.run(Work(self._database, actor, message.job))
        async with self._database.write(actor) as tx:
            if isinstance(handler, InTransaction):
                await handler.run(tx, message.job)
                await tx.flush()
            await self._acknowledge(tx, [message])

    async def _acknowledge(self, tx: WriteTx, messages: Sequence[Message]) -> None:
        columns: dict[str, Callable[[Message], int]] = {
            "messages": lambda m: m.id, "reads": lambda m: m.read, "jobs": lambda m: m.job.id,
        }  # fmt: skip
        given = {name: [of(message) for message in messages] for name, of in columns.items()}
        if await tx.scalar(_DONE, {"queue": self._queue, **given}) != len(messages):
            raise NotOurs

    async def _fail(self, message: Message, policy: Policy, error: Exception) -> None:
        delay = None if isinstance(error, Abandon) else policy.delay(message.read)
        if isinstance(error, Postpone) and delay is not None:
            delay = error.seconds
        outcome = "dead" if delay is None else "failed"
        logger.warning(
            f"a job {outcome}", queue=self._queue, job=message.job.id, kind=message.job.kind, attempt=message.read,
            again_in_seconds=delay, request_id=message.request_id, exc_info=None if _expected(error) else error,
        )  # fmt: skip
        self._count(outcome, [message])
        failed = await self._calls.failed(message.id, message.read, safe_text(error), delay)
        if failed and delay is None:
            await tell_of(self._database, self._actor(message), self._queue, message.job, safe_text(error))

    def _actor(self, message: Message, *, request: bool = True) -> Actor:
        return Actor(
            message.org, permissions=self._permissions, readable=None, writable=None, deletable=None,
            request_id=message.request_id if request else None,
        )  # fmt: skip

    def _count(self, outcome: str, messages: Sequence[Message]) -> None:
        metrics.jobs.labels(self._queue, outcome).inc(len(messages))


def _expected(error: Exception) -> bool:
    return isinstance(error, Abandon | Postpone | Refused)


def safe_text(error: Exception) -> str:
    """What may be shown of an error: the words of those made for it, of others their kind alone."""
    if isinstance(error, TimeoutError):
        return "It took too long"
    return str(error)[:1_000] if _expected(error) else f"Unexpected error ({type(error).__name__}); the log has it"
