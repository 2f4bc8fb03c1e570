"""Checks of input values name the rule that was broken."""

from decimal import Decimal

import pytest

from db.refusal import ValidationFailed
from schema import checks


@pytest.mark.parametrize(
    ("call", "constraint"),
    [
        (lambda: checks.text("", "name"), "minLength 1"),
        (lambda: checks.text("   ", "name"), "minLength 1"),
        (lambda: checks.text("x" * 256, "name"), "maxLength 255"),
        (lambda: checks.text("a\0b", "name"), "noControlCharacters"),
        (lambda: checks.text("a\x1bb", "name"), "noControlCharacters"),
        (lambda: checks.quantity(Decimal(0), "good"), "positive"),
        (lambda: checks.quantity(Decimal(-1), "good", positive=False), "minimum 0"),
        (lambda: checks.quantity(Decimal("0.0000001"), "good"), "maxDecimalPlaces 6"),
        (lambda: checks.quantity(Decimal(10) ** 12, "good"), "maximum 999999999999.999999"),
        (lambda: checks.between(5, "n", most=4), "maximum 4"),
        (lambda: checks.between(5, "n", least=6), "minimum 6"),
        (lambda: checks.time_zone("Mars/Olympus", "timeZone"), "ianaTimeZone"),
    ],
)
def test_a_broken_rule_is_named(call, constraint):
    with pytest.raises(ValidationFailed) as refused:
        call()
    assert refused.value.constraint == constraint
    assert refused.value.path


def test_text_is_trimmed_and_normalised():
    assert checks.text("  Cafe\u0301 ", "name") == "Café"
    assert checks.optional_text("  ", "name") is None
    assert checks.optional_text(None, "name") is None


def test_a_path_may_have_steps():
    with pytest.raises(ValidationFailed) as refused:
        checks.text("", "operations.0.name")
    assert refused.value.path == ("operations", "0", "name")
