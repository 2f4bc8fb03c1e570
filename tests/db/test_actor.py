"""Scopes: where a right holds, alone and joined."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from db.actor import EVERYWHERE, MOST_SEEN, NOWHERE, Actor, Scope

PLANTS = st.integers(1, 4)
SCOPES = st.one_of(
    st.just(EVERYWHERE),
    st.just(NOWHERE),
    st.sets(PLANTS, min_size=1).map(Scope.of_plants),
    PLANTS.flatmap(lambda plant: st.integers(0, 2).map(lambda n: Scope.of_department(plant, plant * 10 + n))),
)
ROWS = PLANTS.flatmap(
    lambda plant: st.one_of(st.none(), st.integers(0, 2).map(lambda n: plant * 10 + n)).map(lambda d: (plant, d))
)


@given(SCOPES, SCOPES, ROWS)
def test_a_union_holds_where_either_does(a, b, row):
    assert (a | b).covers_row(*row) == (a.covers_row(*row) or b.covers_row(*row))


@given(SCOPES, st.one_of(st.none(), st.frozensets(PLANTS)), ROWS)
def test_a_cut_holds_in_the_given_plants_only(scope, plants, row):
    plant, _ = row
    assert scope.within(plants).covers_row(*row) == (scope.covers_row(*row) and (plants is None or plant in plants))


def test_a_department_does_not_open_its_plant():
    scope = Scope.of_department(1, 10)
    assert scope.covers_plant(1)
    assert scope.covers_row(1, 10)
    assert not scope.covers_row(1, None)
    assert not scope.covers_row(1, 11)


def test_what_a_user_may_touch_is_the_permission_within_the_plants():
    actor = Actor(
        1,
        1,
        permissions={"a": EVERYWHERE, "b": Scope.of_plants([2])},
        readable=frozenset({1, 2}),
        writable=frozenset({2}),
    )
    assert actor.read_scope("a").plants == {1, 2}
    assert actor.read_scope("b").plants == {2}
    assert actor.write_scope("a").plants == {2}
    assert actor.write_scope("a", "delete").plants == frozenset()
    assert actor.read_scope("c") == NOWHERE


def test_the_caller_of_a_request_differs_in_nothing_else():
    actor = Actor(**{field.name: f"its {field.name}" for field in fields(Actor) if field.init})
    assert actor.asking("r", "ip") == replace(actor, request_id="r", client_ip="ip")


def test_what_several_permissions_show_is_kept_whatever_their_order():
    here, there = Scope.of_plants([1]), Scope.of_plants([2])
    actor = Actor(1, permissions={"a": here, "b": here, "c": there}, readable=None)
    for asked in (actor, actor.asking("r", "ip")):
        assert asked.sees(frozenset({"a", "b"})) == here
        assert asked.sees(frozenset({"a", "c"})) is None
        assert asked.sees(frozenset({"a", "unknown"})) is None
        assert asked.sees(frozenset({"unknown"})) is None
    assert replace(actor, permissions={"a": there}).sees(frozenset({"a"})) == there
    for n in range(1_000):
        actor.sees(frozenset({"a", f"p{n}"}))
    assert len(actor._seen) <= MOST_SEEN
