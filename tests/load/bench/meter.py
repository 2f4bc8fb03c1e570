"""What a run cost: CPU time of the server and of PostgreSQL, and the memory the server holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU used so far."""

    server: float
    database: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.server - before.server, self.database - before.database)


def cpu(server: int, postmaster: int) -> Cpu:
    """Of a server with what it started, and of PostgreSQL: the postmaster, its living processes, and those that ended."""
    return Cpu(_used(server), _used(postmaster))


def megabytes(server: int) -> float:
    """Resident memory of a server with what it started."""
    return sum(process.memory_info().rss for process in _family(server)) / 2**20


def _used(pid: int) -> float:
    seconds = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has just ended: its parent has its time
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _family(pid: int) -> Iterator[psutil.Process]:
    process = psutil.Process(pid)
    yield from process.children(recursive=True)
    yield process  # last: the time of a child that ends meanwhile is counted twice rather than lost
