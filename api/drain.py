"""Stopping without breaking anybody: what runs may finish, what is new is sent elsewhere, sockets are told to leave."""

from __future__ import annotations

import asyncio

RETRY_AFTER = 5


class Drain:
    def __init__(self) -> None:
        self.begun = False
        self._begun = asyncio.Event()
        self._idle = asyncio.Event()
        """Set while nothing runs; looked after only while somebody waits for it."""
        self._waiting = 0
        self._running = 0

    def begin(self) -> None:
        self.begun = True
        self._begun.set()

    async def beginning(self) -> None:
        """Return when the process starts to stop: long-lived connections wait for this."""
        await self._begun.wait()

    def __enter__(self) -> None:
        """Something begins that may finish before the process ends."""
        self._running += 1

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if self._waiting and not self._running:
            self._idle.set()

    async def finished(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until nothing runs any more; False if it took too long."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout):
                while self._running:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True
