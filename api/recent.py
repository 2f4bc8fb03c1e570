"""What was found out lately and is believed for a while."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The latest values by key, each until its time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def get(self, key: str) -> V | None:
        until, value = self._kept.get(key, (0.0, None))
        return value if until > monotonic() else None

    def keep(self, key: str, value: V, seconds: float) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (monotonic() + seconds, value)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def forget(self, key: str) -> None:
        self._kept.pop(key, None)
