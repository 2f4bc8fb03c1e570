"""Pages, filters and orders of any list."""

import base64
import random
from decimal import Decimal

import asyncpg
import orjson
import pytest

from db.paging import Key
from db.session import Database
from schema.context import Context
from schema.listing import cursor
from schema.node import NODES
from tests.schema.widgets import WidgetRow
from tests.support import House, Statements, Tenant

LIST = """query($first: Int, $after: String, $last: Int, $before: String, $where: WidgetWhere, $orderBy: [WidgetOrder!]) {
  widgets(first: $first, after: $after, last: $last, before: $before, where: $where, orderBy: $orderBy) {
    nodes { code } edges { cursor node { code } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount { value exact } } }"""
ALL = {"widget.read", "widget.secret", "widget.make", "box.read"}


def actor(tenant: Tenant, permissions: set[str] = ALL):
    from dataclasses import replace

    from db.actor import EVERYWHERE

    return replace(tenant.actor(), permissions=dict.fromkeys(permissions, EVERYWHERE))


@pytest.fixture
async def full(shop: House, admin: asyncpg.Connection, tenant: Tenant) -> Tenant:
    """Forty widgets with ties and missing weights, in three boxes."""
    r = random.Random(1)
    for n in range(3):
        await admin.execute(
            "insert into app.boxes (organization_id, plant_id, code) values ($1, $2, $3)",
            tenant.organization_id,
            tenant.plants[n % 2],
            f"B{n}",
        )
    boxes = [
        row["id"]
        for row in await admin.fetch(
            "select id from app.boxes where organization_id = $1 order by id", tenant.organization_id
        )
    ]
    rows = [
        (tenant.organization_id, f"W{n:02}", r.choice(["red", "dark_blue"]), r.choice([None, Decimal(1), Decimal(2), Decimal("2.5")]),
         r.choice([None, *boxes]))
        for n in range(40)
    ]  # fmt: skip
    await admin.executemany(
        "insert into app.widgets (organization_id, code, color, weight, box_id) values ($1, $2, $3, $4, $5)", rows
    )
    return tenant


ORDERS = [
    ([{"field": "CODE"}], "code"),
    ([{"field": "CODE", "direction": "DESC"}], "code desc"),
    ([{"field": "WEIGHT"}], "weight asc nulls last, id"),
    ([{"field": "WEIGHT", "direction": "DESC"}], "weight desc nulls last, id desc"),
    ([{"field": "COLOR", "direction": "DESC"}, {"field": "WEIGHT"}], "color desc, weight nulls last, id"),
]


@pytest.mark.parametrize(("order", "sql"), ORDERS)
@pytest.mark.parametrize("size", [1, 7, 200])
@pytest.mark.parametrize("backwards", [False, True])
async def test_pages_join_into_the_whole_list(shop, full, admin, order, sql, size, backwards):
    seen, at = [], None
    while True:
        page = {"last": size, "before": at} if backwards else {"first": size, "after": at}
        found = (await shop.data(actor(full), LIST, {**page, "orderBy": order}))["widgets"]
        codes = [n["code"] for n in found["nodes"]]
        assert codes == [e["node"]["code"] for e in found["edges"]]
        seen = codes + seen if backwards else seen + codes
        info = found["pageInfo"]
        assert info["hasPreviousPage" if not backwards else "hasNextPage"] is (at is not None)
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            break
        at = info["startCursor" if backwards else "endCursor"]
    whole = await admin.fetch(
        f"select code from app.widgets where organization_id = $1 order by {sql}", full.organization_id
    )
    assert seen == [row["code"] for row in whole]


FILTERS = [
    ({"code": {"eq": "W03"}}, "code = 'W03'"),
    ({"code": {"in": []}}, "false"),
    ({"code": {"startsWith": "W1"}}, "code like 'W1%'"),
    ({"code": {"contains": "w2"}}, "code ilike '%w2%'"),
    ({"color": {"eq": "DARK_BLUE"}}, "color = 'dark_blue'"),
    ({"color": {"in": ["RED", "DARK_BLUE"]}}, "true"),
    ({"weight": {"gte": "2", "lt": "2.5"}}, "weight >= 2 and weight < 2.5"),
    ({"weight": {"isNull": True}}, "weight is null"),
    ({"weight": {"eq": None}}, "weight is null"),
    ({"not": {"weight": {"isNull": True}}}, "weight is not null"),
    ({"or": [{"color": {"eq": "RED"}}, {"code": {"startsWith": "W0"}}]}, "color = 'red' or code like 'W0%'"),
    ({"or": []}, "false"),
    ({"and": []}, "true"),
    ({"madeAt": {"isNull": False}}, "false"),
    ({"color": {"eq": "RED"}, "weight": {"gt": "1"}}, "color = 'red' and weight > 1"),
]


@pytest.mark.parametrize(("where", "sql"), FILTERS)
async def test_filter(shop, full, admin, where, sql):
    found = (await shop.data(actor(full), LIST, {"where": where, "first": 200}))["widgets"]
    want = await admin.fetch(
        f"select code from app.widgets where organization_id = $1 and ({sql}) order by code", full.organization_id
    )
    assert [n["code"] for n in found["nodes"]] == [row["code"] for row in want]
    assert found["totalCount"] == {"value": len(want), "exact": True}


DEEP = {"and": [{"and": [{"and": [{"and": [{"code": {"eq": "x"}}]}]}]}]}
BAD = [
    {"first": 0}, {"first": 201}, {"first": -1}, {"first": 5, "last": 5}, {"after": "x"}, {"after": ""}, {"before": "eyJ9"},
    {"where": DEEP}, {"where": {"or": [{"code": {"eq": str(n)}} for n in range(51)]}},
    {"where": {"code": {"in": ["x"] * 1001}}}, {"where": {"box": {"eq": "zzz"}}}, {"where": {"box": {"eq": "V2lkZ2V0OjE="}}},
    {"where": {"weight": {"gte": None}}}, {"orderBy": [{"field": "CODE"}] * 6}, {"where": {"code": {"eq": "\0"}}},
]  # fmt: skip


@pytest.mark.parametrize("variables", BAD)
async def test_bad_input_is_named(shop, full, variables):
    assert await shop.code(actor(full), LIST, variables) == "BAD_USER_INPUT"


async def test_a_cursor_of_another_filter_is_refused(shop, full):
    page = (await shop.data(actor(full), LIST, {"first": 2}))["widgets"]
    variables = {"after": page["pageInfo"]["endCursor"], "where": {"color": {"eq": "RED"}}}
    assert await shop.code(actor(full), LIST, variables) == "BAD_USER_INPUT"


async def test_a_cursor_somebody_wrote_is_refused(shop, full):
    """Also where no row would have to be compared with what stands in it."""
    page = (await shop.data(actor(full), LIST, {"first": 2, "orderBy": [{"field": "WEIGHT"}]}))["widgets"]
    given = page["pageInfo"]["endCursor"]
    fingerprint, *place = orjson.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    assert len(place) == 2
    for wrong in (
        ["zzz", place[1]],
        [place[0], "zzz"],
        [place[0], "9" * 30],
        [place[0]],
        [place[0], 5],
        [None, None, None],
    ):
        variables = {"after": cursor(fingerprint, wrong), "orderBy": [{"field": "WEIGHT"}]}
        assert await shop.code(actor(full), LIST, variables) == "BAD_USER_INPUT", wrong
    good = {"after": cursor(fingerprint, place), "orderBy": [{"field": "WEIGHT"}]}
    assert (await shop.data(actor(full), LIST, good))["widgets"]["nodes"]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (WidgetRow.id, ["5", "-1"], ["", "x", "1.5", "٣", "1" * 19]),
        (WidgetRow.weight, ["1.50", "-3"], ["NaN", "1e5", "1."]),
        (WidgetRow.created_at, ["2026-11-29 10:00:00+00", "2026-11-29 10:00:00.123456-03:30"], ["2026-13-01 00:00:00+00", "now"]),
        (WidgetRow.code, ["", "x"], ["\0"]),
    ],
)  # fmt: skip
def test_what_can_stand_in_a_cursor(column, good, bad):
    assert all(Key(column).fits(text) for text in good)
    assert not any(Key(column).fits(text) for text in bad)


NESTED = """query($first: Int, $after: String) { boxes { nodes { code widgets(first: $first, after: $after, orderBy: [{field: WEIGHT}]) {
  nodes { code box { code widgets(first: 1) { nodes { code } } } } pageInfo { hasNextPage endCursor } totalCount { value } } } } }"""


async def test_a_nested_list_costs_one_statement_per_level(shop, full, database: Database):
    with Statements(database) as statements:
        found = await shop.data(actor(full), NESTED, {"first": 3})
    # boxes; their widgets; the widgets' boxes; those boxes' widgets; the counts
    assert len(statements.selects) == 5, statements.selects
    assert [len(b["widgets"]["nodes"]) for b in found["boxes"]["nodes"]] == [3, 3, 3]


async def test_nested_pages_join_into_the_whole_list(shop, full, admin):
    org = full.organization_id
    for n, box in enumerate(
        await admin.fetch("select id, code from app.boxes where organization_id = $1 order by code", org)
    ):
        seen, after = [], None
        while True:
            found = (await shop.data(actor(full), NESTED, {"first": 4, "after": after}))["boxes"]["nodes"][n]["widgets"]
            seen += [w["code"] for w in found["nodes"]]
            after = found["pageInfo"]["endCursor"]
            if not found["pageInfo"]["hasNextPage"]:
                break
        want = await admin.fetch(
            "select code from app.widgets where organization_id = $1 and box_id = $2 order by weight nulls last, id",
            org,
            box["id"],
        )
        assert seen == [row["code"] for row in want]
        assert found["totalCount"]["value"] == len(want)


async def test_a_count_stops_at_ten_thousand(shop, admin, tenant):
    await admin.execute(
        "insert into app.widgets (organization_id, code, color) select $1, 'N' || n, 'red' from generate_series(1, 10001) n",
        tenant.organization_id,
    )
    found = await shop.data(actor(tenant), "{ widgets(first: 1) { totalCount { value exact } } }")
    assert found["widgets"]["totalCount"] == {"value": 10_000, "exact": False}


async def test_conditions_that_only_hold_others_are_not_free(shop, full):
    fan = {"and": [{} for _ in range(60)]}
    assert await shop.code(actor(full), LIST, {"where": fan}) == "BAD_USER_INPUT"
    assert await shop.code(actor(full), LIST, {"where": {"or": [fan, fan]}}) == "BAD_USER_INPUT"


async def test_long_lists_of_values_are_one_parameter_each(shop, full):
    some = {"code": {"in": [f"W{n:02}" for n in range(1_000)]}}
    page = (await shop.data(actor(full), LIST, {"where": {"or": [some] * 40}, "first": 1}))["widgets"]
    assert page["totalCount"] == {"value": 40, "exact": True}


async def test_a_closed_operation_begins_no_transaction(shop, full, database: Database):
    context = Context(actor(full), database, shop.hub, shop.tokens)
    late = context.loaders.one(NODES["Widget"]).load(1)
    await context.close()
    with pytest.raises(RuntimeError, match="has ended"):
        await late
    assert context._tx is None
