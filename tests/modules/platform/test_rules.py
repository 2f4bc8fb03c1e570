"""How numbers are written, and what values settings take."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.refusal import ValidationFailed, VersionConflict
from modules.platform import rules
from modules.platform.rules import DocumentType, Scheme, SettingKey, SettingType


@pytest.mark.parametrize(
    ("scheme", "year", "count", "written"),
    [
        (Scheme("WO", 6, True), 2026, 123, "WO-2026-000123"), (Scheme("WO", 6, False), 2026, 123, "WO-000123"),
        (Scheme("", 4, True), 2026, 1, "2026-0001"), (Scheme("", 1, False), 2026, 7, "7"),
        (Scheme("A/B", 4, True), 2026, 12345, "A/B-2026-12345"),
    ],
)  # fmt: skip
def test_numbers(scheme, year, count, written):
    assert rules.number(scheme, year, count) == written


@given(
    st.integers(1, 12), st.booleans(), st.lists(st.tuples(st.integers(2020, 2030), st.integers(1, 10**14)), unique=True)
)
def test_numbers_of_one_scheme_never_collide(padding, yearly, counts):
    scheme = Scheme("X", padding, yearly)
    if not yearly:
        counts = [(2026, c) for c in {c for _, c in counts}]
    assert len({rules.number(scheme, y, c) for y, c in counts}) == len(counts)


def test_default_schemes():
    assert rules.default_scheme("work_order", None) == Scheme("WO", 6, True)
    assert rules.default_scheme("ncr", DocumentType("ncr", "NCR", "Reports", padding=4)) == Scheme("NCR", 4, True)
    with pytest.raises(ValueError):
        rules.default_scheme("Work Order", None)


@pytest.mark.parametrize(
    ("prefix", "padding", "path"),
    [("W O", 6, "prefix"), ("X" * 21, 6, "prefix"), ("W", 0, "padding"), ("W", 13, "padding")],
)
def test_schemes_refused(prefix, padding, path):
    with pytest.raises(ValidationFailed) as refused:
        rules.checked_scheme(prefix, padding, True)
    assert refused.value.path == (path,)


TEXT = SettingKey(key="a", type=SettingType.TEXT, default="x", description="A text", choices=("x", "y"))
COUNT = SettingKey(key="b", type=SettingType.INTEGER, default=1, description="A count", least=1, most=9)
RATE = SettingKey(key="c", type=SettingType.DECIMAL, default=Decimal(0), description="A rate", most=Decimal(1))
FLAG = SettingKey(key="d", type=SettingType.BOOLEAN, default=False, description="A flag")
EVEN = SettingKey(
    key="e", type=SettingType.INTEGER, default=2, description="An even number", check=lambda n: n % 2 == 0
)


@pytest.mark.parametrize(
    ("setting", "value"),
    [(TEXT, "y"), (COUNT, 9), (RATE, Decimal("0.25")), (FLAG, True), (EVEN, 4)],
)
def test_values_taken_come_back(setting, value):
    assert rules.checked(setting, value) == value
    assert rules.from_json(setting, rules.to_json(value)) == value


@pytest.mark.parametrize(
    ("setting", "value", "constraint"),
    [
        (TEXT, "z", "choice"), (TEXT, 1, "type text"), (TEXT, "x" * 4001, "maxLength 4000"), (COUNT, 0, "minimum 1"),
        (COUNT, 10, "maximum 9"), (COUNT, True, "type integer"), (COUNT, Decimal(2), "type integer"),
        (RATE, Decimal("1.01"), "maximum 1"), (RATE, 1, "type decimal"), (FLAG, 1, "type boolean"), (EVEN, 3, "check"),
    ],
)  # fmt: skip
def test_values_refused(setting, value, constraint):
    with pytest.raises(ValidationFailed) as refused:
        rules.checked(setting, value)
    assert refused.value.constraint == constraint


def test_a_stored_value_of_another_type_is_the_default():
    assert rules.from_json(COUNT, "nine") == 1
    assert rules.from_json(RATE, "many") == Decimal(0)
    assert rules.from_json(FLAG, 1) is False


def test_versions():
    rules.same_version(0, 0)
    with pytest.raises(VersionConflict) as conflict:
        rules.same_version(3, 2)
    assert conflict.value.current == 3
