"""Which subscriptions may be shared at all, and the frames that are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphql.execution.values import get_variable_values
from websockets.frames import Frame, Opcode

from api.documents import Documents, named
from api.frames import text_frame
from api.limits import Limits
from api.sharing import Shared, shared
from db.actor import EVERYWHERE, Actor, Scope
from schema.build import build

BUILT = build(suggestions=False)
SCHEMA = BUILT._schema
DOCUMENTS = Documents(BUILT, Limits(), suggestions=False)
PLAIN = "subscription($after: String) { machineEvents(after: $after) { cursor object { id plant { code } } } }"


def of(document: str, **variables: Any) -> Shared | None:
    operation = named(DOCUMENTS.read(document), None)
    coerced = get_variable_values(SCHEMA, operation.node.variable_definitions or (), variables)
    assert not isinstance(coerced, list), coerced
    return shared(SCHEMA, operation, variables, coerced)


SHARED = [
    PLAIN,
    "subscription { __typename: machineEvents { __typename type occurredAt changedFields resyncRequired } }",
    "subscription { workOrderEvents { object { ...A } } } fragment A on WorkOrder { quantityGood { value unit } number }",
    "subscription { workOrderEvents { object { operations(first: 2) { totalCount { value } edges { cursor node { id } } } } } }",
    "subscription { fileEvents { object { id filename } } }",
]
ALONE = {
    "a link made for the caller": "subscription { fileEvents { object { download { url } } } }",
    "the same in a fragment": "subscription { fileEvents { object { ...A } } } fragment A on File { download { url } }",
    "the same behind a type": "subscription { fileEvents { object { ... on File { download { url } } } } }",
    "a root in a fragment": "subscription { ...A } fragment A on Subscription { machineEvents { cursor } }",
}


@pytest.mark.parametrize("document", SHARED)
def test_declared_fields_are_shared(document: str) -> None:
    assert of(document) is not None


@pytest.mark.parametrize("document", ALONE.values(), ids=ALONE.keys())
def test_whatever_may_depend_on_somebody_is_not(document: str) -> None:
    assert of(document) is None


def test_a_pace_is_shared_by_those_who_keep_it() -> None:
    document = "subscription($every: Int = %s) { machineEvents(minIntervalMs: $every) { cursor } }"
    paces = [(of(document % 500), 0.5), (of(document % 500, every=0), 0), (of(document % "null", every=250), 0.25)]
    actor = Actor(1, permissions={"equipment.read": EVERYWHERE}, readable=None)
    assert [found.pace for found, _ in paces if found is not None] == [pace for _, pace in paces]
    assert len({found.key(actor) for found, _ in paces if found is not None}) == 3


def test_where_a_subscriber_begins_makes_no_difference_later() -> None:
    actor = Actor(1, user_id=1, permissions={"equipment.read": EVERYWHERE}, readable=None)
    one, other = of(PLAIN, after="a"), of(PLAIN, after="b")
    assert one is not None
    assert other is not None
    assert one.key(actor) == other.key(replace(actor, user_id=2, app_id=3, writable=None, session_id="x"))
    twice = PLAIN.replace("id plant", "id meters(after: $after) { nodes { id } } plant")
    first, second = of(twice, after="a"), of(twice, after="b")
    assert first is not None
    assert second is not None
    assert first.key(actor) != second.key(actor), "there it says something else too"


def test_a_key_is_a_view() -> None:
    found = of(PLAIN)
    assert found is not None
    plant = Scope.of_plants({1})
    full = Actor(1, permissions={"equipment.read": EVERYWHERE, "identity.read": EVERYWHERE}, readable=None)
    views = [
        full,
        replace(full, organization_id=2),
        replace(full, readable=frozenset({1})),
        replace(full, permissions={**full.permissions, "equipment.read": plant}),
        replace(full, permissions={**full.permissions, "equipment.read": Scope.of_department(1, 1)}),
        replace(full, permissions={**full.permissions, "identity.read": plant}),
        replace(full, permissions={"equipment.read": EVERYWHERE}),
    ]
    assert len({found.key(view) for view in views}) == len(views)
    unasked = replace(full, permissions={**full.permissions, "projects.read": plant})
    assert found.key(unasked) == found.key(full)
    for view in views:
        reader = found.reader(view)
        assert found.key(reader) == found.key(view), "who reads for a group sees what its members see"
        assert (reader.user_id, reader.app_id, reader.session_id, reader.writable) == (None, None, None, frozenset())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_frame_is_as_websockets_makes_it(size: int) -> None:
    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
