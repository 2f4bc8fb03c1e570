"""What goes through a scalar comes out as the same value, and nothing else gets in."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from schema import scalars as s
from schema.faults import Fault
from schema.ids import decode, encode, key

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
INSTANTS = st.datetimes(datetime(1900, 1, 2), datetime(9998, 12, 30), timezones=OFFSETS)  # noqa: DTZ001


@given(INSTANTS)
def test_an_instant_keeps_its_moment(instant):
    assert s.parse_instant(instant.isoformat()) == instant
    assert s.parse_instant(s.show_instant(instant)) == instant
    assert s.show_instant(instant).endswith("Z")


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31", "2026-01-31T08:00:00", "2026-01-31 08:00:00Z", "2026-02-30T08:00:00Z", "2026-01-31T25:00:00Z", "now", "",
        "1899-12-31T23:59:59Z", "9999-06-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-31T08:00:00+99:00",
        "２０２６-01-31T08:00:00Z", 5, None, True, ["2026-01-31T08:00:00Z"], "2026-01-31T08:00:00Z\n",
    ],
)  # fmt: skip
def test_what_is_no_instant_is_refused(value):
    with pytest.raises(GraphQLError):
        s.parse_instant(value)


def test_nanoseconds_are_cut_to_microseconds():
    assert s.parse_instant("2026-01-31T08:00:00.123456789Z") == datetime(2026, 1, 31, 8, 0, 0, 123456, UTC)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_decimal_keeps_its_value(value):
    shown = s.show_decimal(value)
    assert s.parse_decimal(shown) == value
    assert "E" not in shown
    assert shown == "0" or not shown.endswith(".")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1.500", "1.5"), ("100", "100"), ("1E+3", "1000"), ("-0.00", "0"), ("0.000001", "0.000001"), ("-7.10", "-7.1")],
)
def test_a_decimal_is_plain_digits(value, shown):
    assert s.show_decimal(Decimal(value)) == shown


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "sNaN",
        "1e999",
        "1,5",
        "",
        " ",
        "0x1",
        "١",
        1.5,
        True,
        None,
        [],
        "1" * 31,
        "--1",
        "1_000",
    ],
)
def test_what_is_no_finite_decimal_is_refused(value):
    with pytest.raises(GraphQLError):
        s.parse_decimal(value)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_big_integer_goes_through(value):
    assert s.parse_big_int(str(value)) == s.parse_big_int(value) == value


@pytest.mark.parametrize("value", [2**63, "1.0", "", True, None, "9" * 20, 1.5])
def test_what_is_no_big_integer_is_refused(value):
    with pytest.raises(GraphQLError):
        s.parse_big_int(value)


@given(st.dates(date(1, 1, 1)))
def test_a_date_goes_through(value):
    assert s.parse_date(value.isoformat()) == value


@pytest.mark.parametrize("value", ["2026-1-1", "20260101", "2026-02-30", "2026-01-31T00:00:00Z", "", 1, None])
def test_what_is_no_date_is_refused(value):
    with pytest.raises(GraphQLError):
        s.parse_date(value)


@given(st.integers(0, 2**63 - 1))
def test_an_id_keeps_its_type_and_key(number):
    assert decode(encode("WorkOrder", number)) == ("WorkOrder", number)
    assert key("WorkOrder", encode("WorkOrder", number)) == number


@given(st.text(max_size=40))
def test_no_text_makes_an_id_crash(text):
    try:
        type_name, number = decode(text)
    except Fault as fault:
        assert fault.code == "BAD_USER_INPUT"
    else:
        assert encode(type_name, number) == text


@given(st.binary(max_size=40))
def test_no_bytes_make_an_id_crash(raw):
    import base64

    test = base64.b64encode(raw).decode()
    try:
        assert encode(*decode(test)) == test
    except Fault as fault:
        assert fault.code == "BAD_USER_INPUT"
