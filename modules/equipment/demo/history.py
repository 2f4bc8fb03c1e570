"""Time of one demo machine: manned stretches, setups, micro-stops, breakdowns and repairs, drawn from a seeded source."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from modules.equipment.status.rules import NEXT
from modules.equipment.status.rules import MachineStatus as S

from .catalogue import HOURS, REPAIRED, STOPS

MEAN_RUN_MINUTES = 200.0
SHORTEST = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Fact:
    at: datetime
    status: S
    reason: str | None = None


def manned(pattern: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Stretches in which people are there, by the wall clock of the plant."""
    hour, length, days = HOURS[pattern]
    if length == 24:
        yield start, end
        return
    day = start.astimezone(zone).date()
    while True:
        opens = datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)
        if opens >= end:
            return
        closes = opens + timedelta(hours=length)
        if day.weekday() < days and closes > start:
            yield max(opens, start), min(closes, end)
        day += timedelta(days=1)


def facts(rng: random.Random, pattern: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[Fact]:
    """What was recorded between start and end, in order, each fact one that may follow the one before it."""
    found = [Fact(start, S.AVAILABLE)]
    for opens, closes in manned(pattern, zone, start, end):
        for fact in (*_stretch(rng, opens, closes), Fact(closes, S.OFFLINE)):
            last = found[-1]
            follows = fact.status in NEXT[last.status] and (fact.status, fact.reason) != (last.status, last.reason)
            if follows and last.at + SHORTEST < fact.at < end:
                found.append(fact)
    return found


def _stretch(rng: random.Random, opens: datetime, closes: datetime) -> Iterator[Fact]:
    at = opens + timedelta(seconds=rng.randint(20, 600))
    yield Fact(at, S.SETUP, rng.choice(("WARM", "CHG")))
    at += _minutes(rng, 10, 40)
    weights = [stop[0] for stop in STOPS]
    while at < closes:
        yield Fact(at, S.RUNNING)
        at += max(timedelta(minutes=4), timedelta(seconds=round(rng.expovariate(1 / (MEAN_RUN_MINUTES * 60)))))
        _, status, reasons, (usual, long) = rng.choices(STOPS, weights)[0]
        reason = rng.choice(reasons)
        if at >= closes:
            return
        yield Fact(at, status, reason)
        at += _minutes(rng, usual, long)
        if reason in REPAIRED and at < closes:
            status = S.MAINTENANCE
            yield Fact(at, status, reason)
            at += _minutes(rng, 20, 90)
        if status is S.MAINTENANCE and at < closes:
            yield Fact(at, S.SETUP, "WARM")
            at += _minutes(rng, 5, 20)


def _minutes(rng: random.Random, usual: float, long: float) -> timedelta:
    """Mostly near the usual length, seldom towards the long end."""
    return timedelta(seconds=round(60 * (usual + (long - usual) * rng.random() ** 2.2)))


def running(found: list[Fact], end: datetime) -> list[tuple[datetime, datetime]]:
    """Stretches in which the machine produced."""
    ends = [fact.at for fact in found[1:]] + [end]
    return [(f.at, until) for f, until in zip(found, ends, strict=True) if f.status is S.RUNNING]


def ending_in(found: list[Fact], fact: Fact) -> list[Fact]:
    """The same time with one last fact that is believed over what was drawn after it."""
    kept = [f for f in found if f.at < fact.at - SHORTEST]
    while kept[-1].status is fact.status or fact.status not in NEXT[kept[-1].status]:
        kept.pop()
    return [*kept, fact]
