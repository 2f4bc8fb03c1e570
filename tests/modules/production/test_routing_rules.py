"""Routing rules: every pair of states, and which lists of operations are a routing."""

from __future__ import annotations

from decimal import Decimal as Dec
from itertools import product

import pytest

from db.refusal import InvalidTransition, ValidationFailed
from modules.production.routings import rules
from modules.production.routings.rules import RoutingStatus as S
from modules.production.routings.rules import Step

ALLOWED = {(S.DRAFT, S.ACTIVE), (S.DRAFT, S.RETIRED), (S.ACTIVE, S.RETIRED)}


@pytest.mark.parametrize(("current", "target"), list(product(S, S)))
def test_every_pair_of_states(current: S, target: S) -> None:
    if (current, target) in ALLOWED:
        assert rules.move(current, target) is target
    else:
        with pytest.raises(InvalidTransition):
            rules.move(current, target)


def test_only_a_draft_is_edited_and_only_an_active_one_is_used() -> None:
    rules.check_draft(S.DRAFT)
    rules.check_active(S.ACTIVE)
    for status in (S.ACTIVE, S.RETIRED):
        with pytest.raises(rules.RoutingNotDraft):
            rules.check_draft(status)
    for status in (S.DRAFT, S.RETIRED):
        with pytest.raises(rules.RoutingNotActive):
            rules.check_active(status)


@pytest.mark.parametrize(
    "steps",
    [
        [Step(10, "Saw"), Step(10, "Mill")],
        [Step(0, "Saw")],
        [Step(10000, "Saw")],
        [Step(10, "Saw", setup_seconds=-1)],
        [Step(10, "Saw", run_seconds_per_unit=Dec("-0.1"))],
        [Step(n, "Saw") for n in range(1, 102)],
    ],
)
def test_lists_that_are_no_routing(steps: list[Step]) -> None:
    with pytest.raises(ValidationFailed):
        rules.check_steps(steps)


def test_a_routing_of_operations_and_its_planned_time() -> None:
    rules.check_steps([Step(10, "Saw", run_seconds_per_unit=Dec("1.5")), Step(20, "Mill", setup_seconds=60)])
    assert rules.planned_seconds(60, Dec("1.5"), Dec(10)) == 75
    with pytest.raises(ValidationFailed):
        rules.check_complete(0)
