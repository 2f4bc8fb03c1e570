"""Two small bounds held in the process: how often a client may try to sign in, and how much a caller may hold open."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


class Throttle:
    """A token bucket per key. Forgets the keys it has not seen longest, which are full again anyway."""

    def __init__(
        self, *, per_minute: int, burst: int, size: int = 10_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._size = size
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str, cost: int = 1) -> int:
        """Take `cost` tokens; 0 if they were there, else the seconds after which they will be. A cost of 0 asks for one and
        leaves it there."""
        now = self._clock()
        tokens, since = self._buckets.pop(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        needed = min(max(cost, 1), self._burst)
        granted = tokens >= needed
        self._buckets[key] = (tokens - cost if granted else tokens, now)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return 0 if granted else max(1, math.ceil((needed - tokens) / self._rate))


class Full(Exception):
    """The caller holds as many of them as it may."""


class Slots:
    """So many of something at once per key: sockets or subscriptions of one principal."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, key: str) -> Iterator[None]:
        if self._taken[key] >= self.most:
            raise Full
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
