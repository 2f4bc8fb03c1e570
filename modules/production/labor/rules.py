"""Time at work: the clock of one person at one operation, and the seconds that follow from the log.

Seconds of people add up per person; seconds of a machine are the union of the times anybody worked on it. Both are
taken from finished stretches only, so a number never changes by being looked at later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.refusal import Refused, detail, refusal


class Clock(StrEnum):
    OFF = "off"
    RUNNING = "running"
    PAUSED = "paused"


class ClockEvent(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"


NEXT: Mapping[Clock, Mapping[ClockEvent, Clock]] = {
    Clock.OFF: {ClockEvent.START: Clock.RUNNING},
    Clock.RUNNING: {ClockEvent.PAUSE: Clock.PAUSED, ClockEvent.COMPLETE: Clock.OFF},
    Clock.PAUSED: {ClockEvent.RESUME: Clock.RUNNING, ClockEvent.COMPLETE: Clock.OFF},
}


@refusal(
    "OUT_OF_SEQUENCE", "The person's clock at this operation does not allow the event at that time.", conflict=True
)
class OutOfSequence(Refused):
    state: str = detail("State of the person's clock at that time: OFF, RUNNING or PAUSED.")
    allowed: list[str] = detail("Events that state allows.")


@dataclass(frozen=True, slots=True)
class Punch:
    """One event of a person at an operation."""

    event: ClockEvent
    at: datetime
    order: int
    """Order of arrival: decides between events of the same moment."""
    machine: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time somebody worked; `end` is None while they still do."""

    start: datetime
    end: datetime | None
    machine: int | None


@dataclass(frozen=True, slots=True)
class Worked:
    """What the punches of one person at one operation come to."""

    state: Clock
    stretches: tuple[Stretch, ...]

    @property
    def seconds(self) -> int:
        return union_seconds(self.stretches)

    @property
    def running_since(self) -> datetime | None:
        return self.stretches[-1].start if self.state is Clock.RUNNING else None


def work(punches: Iterable[Punch], *, path: tuple[str, ...] = ("kind",)) -> Worked:
    """Follow the clock through the events in the order of their time, or refuse the one that does not fit."""
    state = Clock.OFF
    stretches: list[Stretch] = []
    for punch in sorted(punches, key=lambda p: (p.at, p.order)):
        allowed = NEXT[state]
        if punch.event not in allowed:
            raise OutOfSequence(
                f"{punch.event.name} does not follow: the clock is {state.name}",
                path=path,
                state=state.name,
                allowed=[event.name for event in allowed],
            )
        if state is Clock.RUNNING:
            last = stretches.pop()
            stretches.append(Stretch(last.start, punch.at, last.machine))
        state = allowed[punch.event]
        if state is Clock.RUNNING:
            stretches.append(Stretch(punch.at, None, punch.machine))
    return Worked(state, tuple(stretches))


def union_seconds(stretches: Iterable[Stretch]) -> int:
    """Seconds covered by the finished stretches, each moment once."""
    total = timedelta()
    until: datetime | None = None
    for stretch in sorted((s for s in stretches if s.end is not None), key=lambda s: s.start):
        assert stretch.end is not None
        start = stretch.start if until is None else max(stretch.start, until)
        if stretch.end > start:
            total += stretch.end - start
            until = stretch.end
    return total // timedelta(seconds=1)


def machine_seconds(people: Sequence[Worked]) -> int:
    """Seconds of machines at an operation: per machine the union over everybody who worked on it."""
    by_machine: dict[int, list[Stretch]] = {}
    for person in people:
        for stretch in person.stretches:
            if stretch.machine is not None:
                by_machine.setdefault(stretch.machine, []).append(stretch)
    return sum(union_seconds(stretches) for stretches in by_machine.values())
