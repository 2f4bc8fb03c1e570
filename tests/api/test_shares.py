"""Whom a process that is behind holds to less, and how it knows what its time was spent for."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import shares
from api.shares import IN_A_ROW, LATE, TICK, Shares

REFUSING = 0.0001
"""Seconds."""
Asking = dict[int | None, tuple[int, float]]
"""Requests per second, and the seconds of each."""


class Process:
    """One that does what it lets in as it comes, and some work that is nobody's."""

    def __init__(self, nobodys: float = 0.1) -> None:
        self.now = 0.0
        self.shares = Shares(clock=lambda: self.now)
        self.nobodys = nobodys
        self.due: Counter[int | None] = Counter()
        self.asked: Counter[int | None] = Counter()
        self.away: Counter[int | None] = Counter()
        self.late = 0.0

    def tick(self, asking: Asking, stolen: float = 0.0) -> None:
        """What has come during the last one; at most half a second of it, since that is as much as sockets hold."""
        began, worked, waiting = self.now, 0.0, []
        for tenant, (rate, each) in asking.items():
            self.due[tenant] += rate * min(TICK + self.late, 0.5)
            number, self.due[tenant] = int(self.due[tenant]), self.due[tenant] % 1
            waiting += [(n / number, tenant or 0, tenant, each) for n in range(number)]
        for _, _, tenant, each in sorted(waiting):
            away = self.shares.refuses(tenant)
            self.asked[tenant] += 1
            self.away[tenant] += away
            self.shares.spend(tenant, REFUSING if away else each)
            worked += REFUSING if away else each
            self.now = began + worked
        worked += self.nobodys * (TICK + min(self.late, 0.4))
        self.late = max(0.0, worked - TICK) + stolen
        self.now = began + TICK + self.late
        self.shares.tick(self.late, worked)


def fair(wanted: list[float], left: float) -> float:
    """What nobody leaves to others who asks for more."""
    for others, each in zip(range(len(wanted), 0, -1), sorted(wanted), strict=True):
        if each >= left / others:
            return left / others
        left -= each
    return float("inf")


def test_not_who_asks_often_but_who_costs_much_is_held() -> None:
    process = Process()
    for _ in range(100):
        process.tick({1: (40, 0.03), 2: (500, 0.0004)})
    assert process.away[1] > process.asked[1] / 5
    assert process.away[2] == 0
    assert process.late < 5 * TICK
    let_in = (process.asked[1] - process.away[1]) * 0.03
    assert let_in > process.now / 2, "it has what the other leaves"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 150), st.sampled_from([0.0004, 0.001, 0.003, 0.01, 0.03])), min_size=1, max_size=6
    ),
    st.floats(0, 0.3),
)
def test_who_asks_for_less_than_a_fair_share_is_never_refused(asking: list[tuple[int, float]], nobodys: float) -> None:
    process = Process(nobodys)
    for _ in range(50):
        process.tick(dict(enumerate(asking)))
    wanted = [rate * each for rate, each in asking]
    share = fair(wanted, 1 - nobodys)
    for tenant, want in enumerate(wanted):  # what comes in lumps looks like more for a moment
        assert want >= 0.7 * share or not process.away[tenant], (tenant, share)


@pytest.mark.parametrize("who", [None, 1])
def test_one_alone_is_held_only_where_it_is_too_much(who: int | None) -> None:
    process = Process()
    for n in range(100):
        process.tick({who: (100, 0.004)}, stolen=0 if n % 5 else 0.3)
    assert not +process.away, "busy, and late now and then"
    for _ in range(100):
        process.tick({who: (2_000, 0.004)})
    assert process.away[who]
    assert (process.asked[who] - process.away[who]) * 0.004 > 0.3 * process.now
    for _ in range(100):
        process.tick({who: (100, 0.004)})
    before = process.away[who]
    for _ in range(100):
        process.tick({who: (200, 0.004)})
    assert process.away[who] == before, "and no longer than there is a need"


def test_a_late_tick_or_two_hold_nobody() -> None:
    process = Process()
    for n in range(90):
        process.tick({1: (10, 0.015), 2: (10, 0.001)}, stolen=0.3 if n % IN_A_ROW else 0)
    assert not +process.away
    for _ in range(IN_A_ROW):
        process.tick({1: (20, 0.02), 2: (10, 0.001)}, stolen=0.3)
    assert process.shares._accounts[1].held
    assert not process.shares._accounts[2].held


def test_nobody_pays_for_work_that_is_nobodys() -> None:
    process = Process(nobodys=0.95)
    for _ in range(100):
        process.tick({1: (50, 0.002), 2: (10, 0.002)})
    assert process.late > LATE
    assert not +process.away


def test_who_was_refused_has_no_more_to_ask_and_is_forgotten() -> None:
    process = Process()
    for _ in range(50):
        process.tick({1: (400, 0.004), 2: (1, 0.0001)})
    for _ in range(50):
        process.tick({2: (1, 0.0001)})
    assert not process.shares._accounts
    assert process.shares not in shares._timing


async def test_time_is_taken_of_tasks_and_what_they_start_but_not_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_timing", set())

    def work(seconds: float) -> None:
        until = thread_time() + seconds
        while thread_time() < until:
            pass

    measured = Shares()
    watching = asyncio.create_task(measured.watch())
    await asyncio.sleep(0)

    async def child(seconds: float) -> None:
        await asyncio.sleep(0.01)
        work(seconds)

    async def request(tenant: int | None, seconds: float) -> str:
        measured.begin()
        work(seconds)  # before it is known whose it is
        measured.working(tenant)
        await asyncio.gather(child(seconds), child(seconds))
        with pytest.raises(RuntimeError):
            await asyncio.create_task(fails())
        return "answer"

    async def fails() -> None:
        raise RuntimeError

    async def everybody() -> list[str]:
        tasks = [asyncio.create_task(request(*one)) for one in ((1, 0.02), (2, 0.002), (None, 0.01))]
        return await asyncio.gather(*tasks)

    measured.tick = lambda *_: None  # type: ignore[method-assign]
    await asyncio.create_task(everybody())
    assert not measured._spent, "in time"
    shares._timing.add(measured)
    assert await asyncio.create_task(everybody()) == ["answer"] * 3
    spent = dict(measured._spent)
    assert set(spent) == {1, 2, None}
    assert spent[1] >= 0.06 > spent[None] >= 0.03 > spent[2] >= 0.006
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert measured not in shares._timing


# --- who is known ------------------------------------------------------------------------------------------------------
