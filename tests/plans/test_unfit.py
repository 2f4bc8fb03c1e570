"""What variables decide, and values that do not fit: both executors say the same."""

from __future__ import annotations

from typing import Any

import pytest

from db.actor import Actor
from tests.isolation.conftest import Factory
from tests.plans.asking import Asking

SEVERAL = """query A($x: Boolean!) { plants(first: 1) { nodes { id code @skip(if: $x) } } }
query B($x: PlantWhere) { plants(first: 1, where: $x) { nodes { code } } }
query C($y: Boolean!) { plants(first: 1) { nodes { code ...f } } }
fragment f on Plant { id name @include(if: $y) }"""


@pytest.mark.parametrize("name", ["A", "C"])
async def test_each_operation_of_a_document_has_plans_of_its_own(factory: Factory, acme: Actor, name: str):
    asking = Asking(factory.house)
    for given in (True, False, True):
        answers = await asking.both(acme, SEVERAL, {"x": given, "y": given}, name)
        assert answers.fast == answers.slow
        assert (b'"name"' in answers.fast, b'"id"' in answers.fast) == (given and name == "C", True)


async def test_a_variable_decides_in_its_own_operation_only(factory: Factory, acme: Actor):
    """The same name is a flag in another one, and here a condition."""
    asking = Asking(factory.house)
    for n in range(3):
        answers = await asking.both(acme, SEVERAL, {"x": {"code": {"startsWith": f"P{n}"}}}, "B")
        assert answers.fast == answers.slow
        assert answers.planned
    known = asking.documents.known(SEVERAL)
    assert known is not None
    assert len(known["B"].prepared.plans) == 1


async def test_a_value_that_does_not_fit_takes_no_other_root_along(factory: Factory, acme: Actor):
    of_number = "workOrders(first: 1, where: {number: {eq: $n}})"
    document = f"""query($n: String) {{ me {{ __typename }} plants(first: 1) {{ nodes {{ code }} }}
      {of_number} {{ nodes {{ id }} }} {of_number} {{ nodes {{ number }} }} }}"""
    for whole in (document, document.replace("me { __typename } ", "")):
        for number in ("\0", "WO-1"):
            answers = await Asking(factory.house).both(acme, whole, {"n": number})
            assert answers.fast == answers.slow
            assert b'"plants":{' in answers.fast


async def test_no_condition_at_all_is_none(factory: Factory, acme: Actor):
    answers = await Asking(factory.house).both(acme, "{ plants(where: {}) { nodes { code } totalCount { value } } }")
    assert answers.fast == answers.slow
    assert b'"errors"' not in answers.fast


async def test_conditions_deeper_than_the_stack_are_refused_by_both(factory: Factory, acme: Actor):
    where: dict[str, Any] = {"code": {"eq": "x"}}
    for _ in range(900):
        where = {"not": where}
    answers = await Asking(factory.house).both(
        acme, "query($w: PlantWhere) { plants(where: $w) { nodes { id } } }", {"w": where}
    )
    assert answers.fast == answers.slow
    assert b'"errors"' in answers.fast
