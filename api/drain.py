"""Stopping without breaking anybody: what runs may finish, what is new is sent elsewhere, sockets are told to leave."""

from __future__ import annotations

import asyncio

RETRY_AFTER = 5


class Drain:
    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    def begin(self) -> None:
        self._begun.set()

    async def beginning(self) -> None:
        """Return when the process starts to stop: long-lived connections wait for this."""
        await self._begun.wait()

    def __enter__(self) -> None:
        """Something begins that may finish before the process ends."""
        self._running += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()

    async def finished(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until nothing runs any more; False if it took too long."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
