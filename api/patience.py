"""Waiting no longer than so long, for thousands at a time: nearly all are done before, so one timer serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from types import TracebackType


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
        self._timer = None
        while self._waits:
            oldest = next(iter(self._waits))
            until, runs_out = self._waits[oldest]
            left = until - monotonic()
            if left > 0:
                self._timer = asyncio.get_running_loop().call_later(left, self._ring)
                return
            del self._waits[oldest]
            runs_out()


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
