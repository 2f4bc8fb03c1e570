"""What grants add up to, what may be passed on, when an account is locked, what values are taken."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.actor import EVERYWHERE
from db.refusal import ValidationFailed
from modules.identity import rules
from modules.identity.rules import Grant, PlantAccess, effective, holds_at, lacking, reach

PERMISSIONS = st.frozensets(st.sampled_from(["a.read", "a.write", "b.read", "b.write"]), min_size=1)
# A department belongs to one plant: department 10 * plant + n.
PLACES = st.one_of(
    st.just((None, None)),
    st.integers(1, 3).map(lambda p: (p, None)),
    st.tuples(st.integers(1, 3), st.integers(1, 2)).map(lambda x: (x[0], 10 * x[0] + x[1])),
)
GRANTS = st.lists(st.builds(lambda p, at: Grant(p, *at), PERMISSIONS, PLACES), max_size=6)


def covers(grant: Grant, plant: int | None, department: int | None) -> bool:
    """The rule, said plainly: a grant reaches its own place and everything inside it."""
    if grant.plant is None:
        return True
    if grant.department is None:
        return plant == grant.plant
    return (plant, department) == (grant.plant, grant.department)


@given(GRANTS, st.sampled_from(["a.read", "b.write"]), PLACES)
def test_a_permission_holds_exactly_where_some_grant_gives_it(grants, permission, place):
    held = effective(grants).get(permission)
    assert holds_at(held, *place) == any(permission in g.permissions and covers(g, *place) for g in grants)


@given(GRANTS, GRANTS, PLACES)
def test_more_grants_never_take_anything_away(some, more, place):
    before, after = effective(some), effective(some + more)
    for permission, scope in before.items():
        assert not holds_at(scope, *place) or holds_at(after[permission], *place)


@given(GRANTS)
def test_everyone_may_pass_on_what_they_hold(grants):
    assert lacking(effective(grants), grants) == []


@given(GRANTS, GRANTS)
def test_what_may_be_passed_on_adds_nothing(own, passed):
    held = effective(own)
    if lacking(held, passed) == []:
        together = effective(own + passed)
        assert set(together) == set(held)
        for permission in together:
            for place in [
                (None, None),
                *((p, None) for p in (1, 2, 3)),
                *((p, 10 * p + n) for p in (1, 2, 3) for n in (1, 2)),
            ]:
                assert holds_at(together[permission], *place) == holds_at(held[permission], *place)


def test_order_of_grants_does_not_matter():
    grants = [Grant(frozenset({"a"}), 1), Grant(frozenset({"a"}), 2, 21), Grant(frozenset({"a", "b"}))]
    assert effective(grants) == effective(grants[::-1])
    assert effective(grants)["a"] == EVERYWHERE


def test_a_right_in_a_department_is_none_in_its_plant():
    held = effective([Grant(frozenset({"a"}), 1, 11)])
    assert holds_at(held["a"], 1, 11)
    assert not holds_at(held["a"], 1)
    assert not holds_at(held["a"], 1, 12)
    assert not holds_at(held["a"], None)


def test_passing_on_more_than_one_holds_names_what_lacks():
    with pytest.raises(rules.ExceedsOwnRights) as refused:
        rules.must_hold(effective([Grant(frozenset({"a", "b"}), 1)]), [Grant(frozenset({"a", "c"}), 1)], ("roleId",))
    assert refused.value.permissions == ["c"]
    assert refused.value.path == ("roleId",)


@pytest.mark.parametrize(
    ("plant", "department", "level"),
    [(None, None, "organization"), (1, None, "plant"), (1, 2, "department")],
)
def test_level(plant, department, level):
    assert rules.level(plant, department) == level


def test_reach_of_a_user():
    assert reach(True, [PlantAccess(1)]) == rules.Reach(None, None, None)
    assert reach(False, []) == rules.Reach(frozenset(), frozenset(), frozenset())
    some = reach(False, [PlantAccess(1), PlantAccess(2, write=True), PlantAccess(3, write=True, delete=True)])
    assert some == rules.Reach(frozenset({1, 2, 3}), frozenset({2, 3}), frozenset({3}))


def test_lockout_grows_from_the_fifth_failure_and_stops_at_an_hour():
    seconds = [None if (wait := rules.lockout(n)) is None else wait.total_seconds() for n in range(1, 14)]
    assert seconds == [None, None, None, None, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert rules.lockout(10**9) == timedelta(hours=1)


@pytest.mark.parametrize(
    ("password", "constraint"),
    [
        ("short", "minLength 10"), ("x" * 1001, "maxLength 1000"), ("Ada.Lovelace@acme.example", "differsFromEmail"),
        ("ADA.LOVELACE", "differsFromEmail"), ("correct horse battery", None), ("ünïcödé-pässwörd", None),
    ],
)  # fmt: skip
def test_passwords(password, constraint):
    if constraint is None:
        assert rules.password(password, "ada.lovelace@acme.example", "newPassword") == password
    else:
        with pytest.raises(ValidationFailed) as refused:
            rules.password(password, "ada.lovelace@acme.example", "newPassword")
        assert refused.value.constraint == constraint


VALUES = [
    (
        rules.email,
        ["a@b.c", "ada+mes@acme.example"],
        ["", "a", "a@b", "a b@c.d", "a@b..c", "a@@b.c", "x" * 255 + "@b.c"],
    ),
    (rules.locale, ["en", "de-AT", "pt-BR", "zh-Hant-TW", "es-419"], ["", "EN", "english", "de_AT", "de-at"]),
    (rules.code, ["A", "P1", "north.2_b-c"], ["", "-a", "a b", "x" * 51, "ä"]),
    (
        rules.logo_url,
        ["https://acme.example/logo.svg"],
        ["http://acme.example/x", "javascript:alert(1)", "https://", "https://u@h"],
    ),
]


@pytest.mark.parametrize(("check", "value"), [(c, v) for c, good, _ in VALUES for v in good])
def test_values_taken(check, value):
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), [(c, v) for c, _, bad in VALUES for v in bad])
def test_values_refused(check, value):
    with pytest.raises(ValidationFailed):
        check(value)


def test_colours_are_kept_in_lower_case():
    assert rules.color("#A0B1c2", "primaryColor") == "#a0b1c2"
    assert rules.color(None, "primaryColor") is None
    with pytest.raises(ValidationFailed):
        rules.color("red", "primaryColor")
