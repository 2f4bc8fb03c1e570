"""Time at work: which event may follow which, late events, seconds of people and machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.production.labor import rules
from modules.production.labor.rules import Clock, ClockEvent, Punch, Stretch, Worked

MORNING = datetime(2026, 3, 8, 6, tzinfo=UTC)
ALLOWED = {
    (Clock.OFF, ClockEvent.START), (Clock.RUNNING, ClockEvent.PAUSE), (Clock.RUNNING, ClockEvent.COMPLETE),
    (Clock.PAUSED, ClockEvent.RESUME), (Clock.PAUSED, ClockEvent.COMPLETE),
}  # fmt: skip
INTO = {Clock.OFF: "", Clock.RUNNING: "S", Clock.PAUSED: "SP"}
LETTER = {"S": ClockEvent.START, "P": ClockEvent.PAUSE, "R": ClockEvent.RESUME, "C": ClockEvent.COMPLETE}


def punches(text: str, *minutes: int, machine: int | None = None) -> list[Punch]:
    times = minutes or tuple(10 * i for i in range(len(text)))
    return [
        Punch(LETTER[letter], MORNING + timedelta(minutes=at), i, machine)
        for i, (letter, at) in enumerate(zip(text, times, strict=True))
    ]


@pytest.mark.parametrize(("state", "event"), list(product(Clock, ClockEvent)))
def test_every_event_in_every_state(state: Clock, event: ClockEvent) -> None:
    before = punches(INTO[state])
    after = [*before, Punch(event, MORNING + timedelta(hours=1), 99)]
    if (state, event) in ALLOWED:
        rules.work(after)
    else:
        with pytest.raises(rules.OutOfSequence) as refused:
            rules.work(after)
        assert refused.value.state == state.name
        assert set(refused.value.allowed) == {e.name for s, e in ALLOWED if s is state}


def test_seconds_are_those_between_start_and_pause() -> None:
    worked = rules.work(punches("SPRC", 0, 10, 15, 60))
    assert worked.seconds == 55 * 60
    assert worked.state is Clock.OFF
    assert worked.running_since is None


def test_an_open_stretch_counts_when_it_ends() -> None:
    worked = rules.work(punches("SPR", 0, 10, 15))
    assert worked.seconds == 600
    assert worked.running_since == MORNING + timedelta(minutes=15)


def test_a_late_event_is_placed_by_its_own_time() -> None:
    late = [*punches("SC", 0, 60), Punch(ClockEvent.PAUSE, MORNING + timedelta(minutes=40), 2)]
    assert rules.work(late).seconds == 40 * 60
    late.append(Punch(ClockEvent.RESUME, MORNING + timedelta(minutes=50), 3))
    assert rules.work(late).seconds == 50 * 60


def test_a_late_event_that_does_not_fit_is_refused() -> None:
    with pytest.raises(rules.OutOfSequence):
        rules.work([*punches("SPRC"), Punch(ClockEvent.PAUSE, MORNING + timedelta(minutes=5), 9)])


def test_events_of_one_moment_keep_their_order_of_arrival() -> None:
    assert rules.work(punches("SPRC", 0, 0, 0, 0)).state is Clock.OFF


def test_people_add_up_and_machines_are_covered_once() -> None:
    anna = rules.work(punches("SC", 0, 60, machine=1))
    ben = rules.work(punches("SC", 30, 90, machine=1))
    cleo = rules.work(punches("SC", 30, 40, machine=2))
    by_hand = rules.work(punches("SC", 0, 500))
    assert sum(p.seconds for p in (anna, ben)) == 120 * 60
    assert rules.machine_seconds([anna, ben]) == 90 * 60
    assert rules.machine_seconds([anna, ben, cleo, by_hand]) == 100 * 60


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60), st.integers(1, 3)), max_size=12))
def test_a_union_is_what_counting_minutes_gives(spans: list[tuple[int, int, int]]) -> None:
    at = [(MORNING + timedelta(minutes=s), MORNING + timedelta(minutes=s + n), m) for s, n, m in spans]
    people = [Worked(Clock.OFF, (Stretch(*span),)) for span in at]
    minutes = {(m, minute) for s, n, m in spans for minute in range(s, s + n)}
    assert rules.machine_seconds(people) == 60 * len(minutes)
