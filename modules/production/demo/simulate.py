"""Work on one demo order, by the same rules as real work: pieces in batches through the steps, people at their clocks."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from modules.production.logs.rules import LogKind as K
from modules.production.operations import rules as flow
from modules.production.operations.rules import Amounts, Totals

from .catalogue import ISSUES, SCRAPPED_AT, Work

Stretch = tuple[datetime, datetime]
BREAK = timedelta(minutes=10)
"""People clock off for longer breaks only."""


class Place:
    """Where work is done: free time that work takes away, or time of people, of whom there are enough."""

    def __init__(self, free: Sequence[Stretch], *, shared: bool = False) -> None:
        self.free = list(free)
        self.shared = shared

    def take(self, ready: datetime, seconds: float) -> tuple[list[Stretch], bool]:
        """Stretches of work from `ready` on, and whether it is done by the end of the time that is known."""
        first = bisect_right(self.free, ready, key=lambda stretch: stretch[1])
        worked: list[Stretch] = []
        left: list[Stretch] = []
        i = first
        wanted = timedelta(seconds=round(seconds))
        while i < len(self.free) and wanted > timedelta():
            start, end = self.free[i]
            begin = max(start, ready)
            if begin > start:
                left.append((start, begin))
            until = min(end, begin + wanted)
            worked.append((begin, until))
            wanted -= until - begin
            if until < end:
                left.append((until, end))
            i += 1
        if not self.shared:
            self.free[first:i] = left
        return _joined(worked), wanted <= timedelta()


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for start, end in stretches:
        if joined and start - joined[-1][1] <= BREAK:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


@dataclass(slots=True)
class Row:
    """A row of the log before it has keys. `takes_back` is the row it reverses."""

    at: datetime
    kind: K
    step: int
    operator: int
    amounts: Amounts = field(default_factory=Amounts)
    reason: str | None = None
    target: int | None = None
    notes: str | None = None
    takes_back: Row | None = None


@dataclass
class Book:
    """An order being worked on."""

    rng: random.Random
    works: Sequence[Work]
    places: Sequence[Place]
    operators: Sequence[int]
    maximum: Decimal
    ordered: int
    now: datetime
    rows: list[Row] = field(default_factory=list)
    totals: list[Totals] = field(default_factory=list)
    completed_at: datetime | None = None

    def __post_init__(self) -> None:
        self.totals = [Totals()] * len(self.works)

    @property
    def good(self) -> int:
        return int(self.totals[-1].good)

    def work(self, start: datetime, share: float) -> None:
        """Send the order through its steps in batches; a share below 1 stops early."""
        batches = self._batches()
        wanted = max(1, round(len(batches) * share)) if share < 1 else len(batches)
        done = [start] * len(self.works)
        for size in batches[:wanted]:
            if not self._batch(size, done, careful=False):
                return
        while share >= 1 and self.good < self.ordered:
            missing = min(self.ordered - self.good, int(flow.available(self.totals, 0, self.maximum)))
            if missing == 0 or not self._batch(missing, done, careful=True):
                return

    def _batches(self) -> list[int]:
        count = min(self.ordered, self.rng.randint(3, 5))
        size, rest = divmod(self.ordered, count)
        return [size + (n < rest) for n in range(count)]

    def _batch(self, pieces: int, done: list[datetime], *, careful: bool) -> bool:
        """One batch through every step; False where it is not through by now."""
        ready = done[0]
        for step, work in enumerate(self.works):
            setup = work.setup if not self.totals[step].processed else work.setup * 0.1
            pace = self.rng.uniform(1.0, 1.35)
            worked, finished = self.places[step].take(max(ready, done[step]), setup + pieces * work.run * pace)
            if not worked:
                return False
            operator = self._clock(step, worked, finished)
            if not finished:
                return False
            pieces, ready = self._report(step, pieces, worked[-1][1], operator, careful=careful)
            done[step] = max(done[step], ready)
            if pieces == 0:
                break
        return True

    def _clock(self, step: int, worked: list[Stretch], finished: bool) -> int:
        """Somebody clocks on and off with the work; whoever works right now stays clocked on."""
        operator = self.rng.choice(self.operators)
        for n, (start, end) in enumerate(worked):
            self.rows.append(Row(start, K.START if n == 0 else K.RESUME, step, operator))
            last = n == len(worked) - 1
            if not last or (not finished and end < self.now - timedelta(minutes=1)):
                self.rows.append(Row(end, K.PAUSE, step, operator))
        if finished:
            self.rows.append(Row(worked[-1][1], K.COMPLETE, step, operator))
        if self.rng.random() < 0.01:
            self.rows.append(Row(worked[0][0], K.ISSUE, step, operator, notes=self.rng.choice(ISSUES)))
        return operator

    def _report(self, step: int, pieces: int, at: datetime, operator: int, *, careful: bool) -> tuple[int, datetime]:
        """What became of a batch: mostly good, some scrapped, some reworked. Answers the good ones and when they were."""
        share = 0.0 if careful else self.works[step].scrap
        scrap = sum(self.rng.random() < share for _ in range(pieces))
        rework = sum(self.rng.random() < share * 0.8 for _ in range(pieces - scrap))
        good = pieces - scrap - rework
        if not careful and good > 2 and self.rng.random() < 0.02:
            wrong = self._post(step, at, operator, good=good - 1)
            self.rows.append(Row(at, K.REVERSAL, step, operator, wrong.amounts, notes="Miscounted", takes_back=wrong))
            self.totals = flow.apply(self.totals, step, wrong.amounts, None, -1)
        self._post(step, at, operator, good=good, scrap=scrap, rework=rework)
        if rework == 0:
            return good, at
        worked, finished = self.places[step].take(at, rework * self.works[step].run * 1.5)
        if not finished or not worked:
            return good, at
        again = worked[-1][1]
        lost = int(self.rng.random() < 0.15)
        self._post(step, again, operator, good=rework - lost, scrap=lost, reworked=True)
        return good + rework - lost, again

    def _post(
        self,
        step: int,
        at: datetime,
        operator: int,
        *,
        good: int,
        scrap: int = 0,
        rework: int = 0,
        reworked: bool = False,
    ) -> Row:
        amounts = Amounts(Decimal(good), Decimal(scrap), Decimal(rework), reworked)
        target = step if rework else None
        flow.check_report(self.totals, step, amounts, self.maximum)
        self.totals = flow.apply(self.totals, step, amounts, target)
        reason = self.rng.choice(SCRAPPED_AT[self.works[step].machine_type]) if scrap else None
        row = Row(at, K.REPORT, step, operator, amounts, reason, target)
        self.rows.append(row)
        if self.completed_at is None and self.good >= self.ordered:
            self.completed_at = at
        return row
