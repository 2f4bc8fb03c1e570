"""Two small bounds held in the process: how often a client may try to sign in, and how much a caller may hold open."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
PASSED_OVER = 32
"""So many are looked at for one that may be forgotten; then whoever comes next is."""


def make_room(kept: OrderedDict[K, V], size: int, held: Callable[[V], bool]) -> None:
    """Forget those not seen longest, but pass over who is held back just now: who has many keys could else have the one
    forgotten that is spent."""
    while len(kept) > size:
        for _ in range(PASSED_OVER):
            key = next(iter(kept))
            if not held(kept[key]):
                break
            kept.move_to_end(key)
        kept.popitem(last=False)


class Throttle:
    """A token bucket per key. Forgets the keys it has not seen longest, and those that have nothing left after the others."""

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
        make_room(self._buckets, self._size, lambda bucket: bucket[0] + (now - bucket[1]) * self._rate < 1)
        return 0 if granted else max(1, math.ceil((needed - tokens) / self._rate))


class Full(Exception):
    """The caller holds as many of them as it may."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


class Slots:
    """So many of something at once per key: sockets or subscriptions of one principal."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, key: str, most: int | None = None) -> Iterator[None]:
        """Hold one while this lasts, or Full: there are `most` already."""
        most = self.most if most is None else most
        if self._taken[key] >= most:
            raise Full(most)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
