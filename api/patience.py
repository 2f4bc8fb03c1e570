"""Waiting no longer than so long, for thousands at a time: nearly all are done before, so one timer serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from types import TracebackType, coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SOONEST = 0.001
"""Those that run out within so long are called together; the event loop's clock is no finer."""


class Patience:
    """Waits of one length. They run out in the order they began in, so only the oldest has to be watched."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waits: dict[int, tuple[float, Callable[[], None]]] = {}
        self._begun = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, runs_out: Callable[[], None]) -> int:
        """Call it when the time is up, unless the wait was ended before."""
        self._begun += 1
        self._waits[self._begun] = (monotonic() + self.seconds, runs_out)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._ring)
        return self._begun

    def end(self, wait: int) -> None:
        self._waits.pop(wait, None)

    def limit(self) -> Limit:
        """As `asyncio.timeout`, but entered by `with`: TimeoutError where the block takes longer."""
        return Limit(self)

    def _ring(self) -> None:
        """All that are due are found in one pass: a dict is looked through from where it once began, over all that left."""
        now = monotonic()
        due = []
        for wait, (until, _) in self._waits.items():
            if until > now:
                break
            due.append(wait)
        try:
            for wait in due:
                if (ended := self._waits.pop(wait, None)) is not None:  # one that runs out may end another
                    ended[1]()
        finally:  # whatever one of them raised, the others are watched
            oldest = next(iter(self._waits.values()), None)
            left = 0.0 if oldest is None else max(oldest[0] - monotonic(), SOONEST)
            self._timer = None if oldest is None else asyncio.get_running_loop().call_later(left, self._ring)


def begun(work: Coroutine[Any, Any, T]) -> tuple[bool, Any]:
    """Begin it: true with its answer where it has not to wait for anything, else false with the rest of it, to be awaited."""
    try:
        first = work.send(None)
    except StopIteration as done:
        return True, done.value
    return False, _rest(work, first)


@coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """As `yield from` goes on with a coroutine, from what it waits for already."""
    try:
        while True:
            try:
                came = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                waits_for = work.throw(error)
            else:
                waits_for = work.send(came)
    except StopIteration as done:
        answer: T = done.value
        return answer


class Limit:
    __slots__ = ("_cancelling", "_late", "_patience", "_task", "_wait")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "only a task can be stopped"
        self._task = task
        self._cancelling = task.cancelling()
        self._wait = self._patience.begin(self._stop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._patience.end(self._wait)
        if self._late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _stop(self) -> None:
        self._late = True
        self._task.cancel()
