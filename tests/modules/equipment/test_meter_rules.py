"""Rules of meters: totals that never run backwards, over rollovers and replaced meters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.refusal import Refused, ValidationFailed
from modules.equipment.meters.rules import Reading, ReadingKind, ReadingNotMonotonic, check_voidable, offset_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
K = ReadingKind


def at(value: int, offset: int = 0, hours: int = 0) -> Reading:
    return Reading(Decimal(value), Decimal(offset), NOON + timedelta(hours=hours))


def test_a_first_reading_counts_from_nothing() -> None:
    assert offset_of(K.READING, Decimal(1200), None, None) == 0


def test_a_reading_between_others_fits_between_their_totals() -> None:
    before, after = at(100, 1000), at(150, 1000, 2)
    assert offset_of(K.READING, Decimal(100), before, after) == 1000
    assert offset_of(K.READING, Decimal(150), before, after) == 1000
    for wrong in (99, 151):
        with pytest.raises(ReadingNotMonotonic) as refused:
            offset_of(K.READING, Decimal(wrong), before, after)
        assert (refused.value.at_least, refused.value.at_most) == (100, 150)


def test_a_rollover_goes_on_where_the_dial_began_again() -> None:
    offset = offset_of(K.ROLLOVER, Decimal(20), at(99_990), None, rollover_at=Decimal(100_000))
    assert Decimal(20) + offset == 100_020


def test_a_replaced_meter_goes_on_from_the_final_value_of_the_old_one() -> None:
    assert Decimal(5) + offset_of(K.REPLACEMENT, Decimal(5), at(1200), None, final_value=Decimal(1210)) == 1210
    assert Decimal(0) + offset_of(K.REPLACEMENT, Decimal(0), at(1200), None) == 1200
    with pytest.raises(ReadingNotMonotonic):
        offset_of(K.REPLACEMENT, Decimal(0), at(1200), None, final_value=Decimal(1199))


@pytest.mark.parametrize(
    ("kind", "value", "before", "after", "rollover_at", "final_value"),
    [
        (K.READING, -1, None, None, None, None),
        (K.READING, 100, None, None, 100, None),
        (K.READING, 10, None, None, None, 9),
        (K.ROLLOVER, 10, at(90), None, None, None),
        (K.ROLLOVER, 10, None, None, 100, None),
        (K.ROLLOVER, 90, at(90), None, 100, None),
        (K.ROLLOVER, 10, at(90), at(95), 100, None),
        (K.REPLACEMENT, 10, None, None, None, None),
        (K.REPLACEMENT, 10, at(90), at(95), None, None),
    ],
)
def test_what_makes_no_sense_is_refused(
    kind: K, value: int, before: Reading | None, after: Reading | None, rollover_at: int | None, final_value: int | None
) -> None:
    limits = {"rollover_at": rollover_at and Decimal(rollover_at), "final_value": final_value and Decimal(final_value)}
    with pytest.raises(ValidationFailed):
        offset_of(kind, Decimal(value), before, after, **limits)


@pytest.mark.parametrize(
    ("kind", "following", "voidable"),
    [
        (K.READING, None, True),
        (K.READING, K.READING, True),
        (K.READING, K.ROLLOVER, False),
        (K.READING, K.REPLACEMENT, False),
        (K.ROLLOVER, None, True),
        (K.ROLLOVER, K.READING, False),
        (K.REPLACEMENT, None, True),
        (K.REPLACEMENT, K.READING, False),
    ],
)
def test_later_totals_stand_on_rollovers_and_replacements(kind: K, following: K | None, voidable: bool) -> None:
    if voidable:
        check_voidable(kind, following)
    else:
        with pytest.raises(ValidationFailed):
            check_voidable(kind, following)


events = st.lists(
    st.tuples(st.sampled_from(K), st.integers(0, 999), st.integers(0, 40), st.none() | st.integers(0, 999)), max_size=30
)


@given(events)
def test_totals_never_run_backwards(arrived: list[tuple[K, int, int, int | None]]) -> None:
    kept: list[Reading] = []
    for kind, value, hour, final in arrived:
        moment = NOON + timedelta(hours=hour)
        if any(r.read_at == moment for r in kept):
            continue
        before = max((r for r in kept if r.read_at < moment), key=lambda r: r.read_at, default=None)
        after = min((r for r in kept if r.read_at > moment), key=lambda r: r.read_at, default=None)
        final_value = Decimal(final) if final is not None and kind is K.REPLACEMENT else None
        try:
            offset = offset_of(kind, Decimal(value), before, after, rollover_at=Decimal(1000), final_value=final_value)
        except Refused:
            continue
        kept.append(Reading(Decimal(value), offset, moment))
    kept.sort(key=lambda r: r.read_at)
    assert all(a.total <= b.total for a, b in pairwise(kept))
