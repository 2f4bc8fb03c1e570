"""How every mutation runs: once per key, refusals as data, versions, nothing half-written."""

import asyncio

import pytest

from db.base import Table
from db.refusal import Refused, refusal
from schema.errors import error_type
from schema.ids import encode
from tests.schema import widgets as w
from tests.schema.test_lists import actor
from tests.support import House, Tenant

MAKE = """mutation($code: String!, $weight: Decimal, $box: ID, $key: String!) {
  widgetMake(input: {code: $code, weight: $weight, boxId: $box, idempotencyKey: $key}) {
    widget { id code weight grams version box { code } }
    errors { __typename code message path retryable ... on TooHeavy { most } } } }"""
UPDATE = """mutation($id: ID!, $version: Int!, $weight: Decimal, $fail: String) {
  widgetUpdate(input: {id: $id, expectedVersion: $version, weight: $weight, fail: $fail}) {
    widget { code weight version } errors { __typename code path ... on VersionConflict { current } } } }"""


async def make(shop: House, tenant: Tenant, code: str = "A", key: str = "k1", **more):
    return (await shop.data(actor(tenant), MAKE, {"code": code, "key": key, **more}))["widgetMake"]


async def test_an_answer_carries_what_the_database_computed(shop, tenant):
    made = await make(shop, tenant, weight="1.500")
    assert made["errors"] == []
    assert made["widget"] == {
        "id": made["widget"]["id"], "code": "A", "weight": "1.5", "grams": "1500", "version": 1, "box": None
    }  # fmt: skip


async def test_a_refusal_is_typed_data_and_nothing_is_written(shop, tenant, admin):
    made = await make(shop, tenant, weight="101")
    assert made["widget"] is None
    assert made["errors"] == [
        {
            "__typename": "TooHeavy",
            "code": "TOO_HEAVY",
            "message": "Too heavy",
            "path": ["weight"],
            "retryable": False,
            "most": "100",
        }
    ]
    assert (
        await admin.fetchval("select count(*) from app.widgets where organization_id = $1", tenant.organization_id) == 0
    )


async def test_a_taken_code_is_refused_at_its_path(shop, tenant):
    await make(shop, tenant)
    again = await make(shop, tenant, key="k2")
    assert [(e["code"], e["path"]) for e in again["errors"]] == [("ALREADY_EXISTS", ["code"])]


async def test_the_same_key_gets_the_first_answer(shop, tenant, admin):
    first = await make(shop, tenant, weight="2")
    await admin.execute("update app.widgets set weight = 3 where organization_id = $1", tenant.organization_id)
    result = await shop.ask(actor(tenant), MAKE, {"code": "A", "weight": "2", "key": "k1"})
    assert result.data is not None
    assert result.data["widgetMake"] == first
    assert (
        await admin.fetchval("select count(*) from app.widgets where organization_id = $1", tenant.organization_id) == 1
    )


async def test_the_same_key_for_another_request_is_refused(shop, tenant):
    await make(shop, tenant)
    assert await shop.code(actor(tenant), MAKE, {"code": "B", "key": "k1"}) == "IDEMPOTENCY_KEY_REUSED"


async def test_a_refused_request_may_use_its_key_again(shop, tenant):
    await make(shop, tenant, weight="101")
    assert (await make(shop, tenant, weight="100"))["errors"] == []


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_a_key_is_short_and_printable(shop, tenant, key):
    assert await shop.code(actor(tenant), MAKE, {"code": "A", "key": key}) == "BAD_USER_INPUT"


async def test_parallel_submissions_post_once(shop, tenant, admin):
    async def one():
        try:
            return await shop.ask(actor(tenant), MAKE, {"code": "A", "key": "k1"})
        except Exception as error:
            return error

    answers = await asyncio.gather(*(one() for _ in range(8)))
    outcomes = [
        a.errors[0].original_error.code if a.errors else a.data["widgetMake"]["widget"]["code"] for a in answers
    ]
    assert set(outcomes) <= {"A", "IDEMPOTENCY_IN_PROGRESS"}
    assert "A" in outcomes
    assert (
        await admin.fetchval("select count(*) from app.widgets where organization_id = $1", tenant.organization_id) == 1
    )


async def test_keys_of_two_tenants_do_not_meet(shop, tenant, stranger):
    assert (await make(shop, tenant))["errors"] == (await make(shop, stranger))["errors"] == []


async def test_a_stale_version_is_refused_with_the_current_one(shop, tenant):
    id = (await make(shop, tenant))["widget"]["id"]
    ask = {"id": id, "version": 1, "weight": "5"}
    assert (await shop.data(actor(tenant), UPDATE, ask))["widgetUpdate"]["widget"] == {
        "code": "A",
        "weight": "5",
        "version": 2,
    }
    stale = (await shop.data(actor(tenant), UPDATE, ask))["widgetUpdate"]
    assert stale == {
        "widget": None,
        "errors": [
            {"__typename": "VersionConflict", "code": "VERSION_CONFLICT", "path": ["expectedVersion"], "current": 2}
        ],
    }


async def test_of_two_parallel_updates_one_wins(shop, tenant):
    id = (await make(shop, tenant))["widget"]["id"]
    answers = await asyncio.gather(
        *(shop.data(actor(tenant), UPDATE, {"id": id, "version": 1, "weight": str(n)}) for n in range(5))
    )
    assert sorted(len(a["widgetUpdate"]["errors"]) for a in answers) == [0, 1, 1, 1, 1]


async def test_absent_and_null_differ(shop, tenant):
    id = (await make(shop, tenant, weight="5"))["widget"]["id"]
    absent = "mutation($id: ID!) { widgetUpdate(input: {id: $id, expectedVersion: 1}) { widget { weight } } }"
    null = (
        "mutation($id: ID!) { widgetUpdate(input: {id: $id, expectedVersion: 1, weight: null}) { widget { weight } } }"
    )
    assert (await shop.data(actor(tenant), absent, {"id": id}))["widgetUpdate"]["widget"]["weight"] == "5"
    assert (await shop.data(actor(tenant), null, {"id": id}))["widgetUpdate"]["widget"]["weight"] is None


@pytest.mark.parametrize("id", ["", "x", "V2lkZ2V0OjE", encode("Box", 1), encode("Widget", 2**63), "V2lkZ2V0OjAx"])
async def test_an_undecodable_id_is_bad_input(shop, tenant, id):
    assert await shop.code(actor(tenant), UPDATE, {"id": id, "version": 1}) == "BAD_USER_INPUT"


async def test_another_tenants_id_is_an_unknown_id(shop, tenant, stranger):
    theirs = (await make(shop, stranger))["widget"]["id"]
    answers = [
        (await shop.data(actor(tenant), UPDATE, {"id": id, "version": 1}))["widgetUpdate"]
        for id in (theirs, encode("Widget", 999_999))
    ]
    assert (
        answers[0]
        == answers[1]
        == {"widget": None, "errors": [{"__typename": "NotFound", "code": "NOT_FOUND", "path": ["id"]}]}
    )


async def test_a_returned_refusal_keeps_what_was_written(shop, tenant, admin):
    id = (await make(shop, tenant))["widget"]["id"]
    answer = await shop.data(actor(tenant), UPDATE, {"id": id, "version": 1, "weight": "9", "fail": "commit"})
    assert answer["widgetUpdate"]["errors"][0]["code"] == "VALIDATION_FAILED"
    assert (
        await admin.fetchval("select weight from app.widgets where organization_id = $1", tenant.organization_id) == 9
    )


async def test_a_bug_writes_nothing(shop, tenant, admin):
    id = (await make(shop, tenant))["widget"]["id"]
    await shop.ask(actor(tenant), UPDATE, {"id": id, "version": 1, "weight": "9", "fail": "bug"})
    assert (
        await admin.fetchval("select weight from app.widgets where organization_id = $1", tenant.organization_id)
        is None
    )


async def test_each_field_of_a_document_is_its_own_transaction(shop, tenant):
    document = """mutation {
      a: widgetMake(input: {code: "A", idempotencyKey: "a"}) { widget { code } errors { code } }
      b: widgetMake(input: {code: "B", weight: "1000", idempotencyKey: "b"}) { widget { code } errors { code } }
      c: widgetMake(input: {code: "C", idempotencyKey: "c"}) { widget { code } errors { code } } }"""
    found = await shop.data(actor(tenant), document)
    assert [bool(found[f]["widget"]) for f in "abc"] == [True, False, True]
    listed = await shop.data(actor(tenant), "{ widgets { nodes { code } } }")
    assert [n["code"] for n in listed["widgets"]["nodes"]] == ["A", "C"]


@pytest.mark.parametrize(
    ("document", "without"),
    [
        ("{ widgets { nodes { code } } }", "widget.read"),
        ("{ boxes { nodes { widgets { nodes { code } } } } }", "widget.read"),
        ("{ widgets { nodes { ...F } } } fragment F on Widget { secret }", "widget.secret"),
        ('{ node(id: "V2lkZ2V0OjE=") { ... on Widget { code } } }', "widget.read"),
        ('{ node(id: "V2lkZ2V0OjE=") { id } }', "widget.read"),
        ('mutation { widgetMake(input: {code: "A", idempotencyKey: "a"}) { errors { code } } }', "widget.make"),
        ("subscription { widgetEvents { cursor } }", "widget.read"),
    ],
)
async def test_a_missing_permission_is_named(shop, tenant, document, without):
    if document.startswith("subscription"):
        from graphql import parse

        from schema.faults import Fault
        from schema.permissions import check, needs

        parsed = parse(document)
        with pytest.raises(Fault, match=without):
            check(needs(shop.schema._schema, parsed, parsed.definitions[0]), actor(tenant, set()))
        return
    permissions = {"widget.read", "widget.secret", "widget.make", "box.read"} - {without}
    assert await shop.code(actor(tenant, permissions), document) == "FORBIDDEN"


async def test_a_row_of_a_plant_one_may_only_read_is_forbidden_to_change(shop, tenant, admin):
    from dataclasses import replace

    box = await admin.fetchval(
        "insert into app.boxes (organization_id, plant_id, code) values ($1, $2, 'B') returning id",
        tenant.organization_id,
        tenant.plants[0],
    )
    touch = "mutation($id: ID!) { boxTouch(input: {id: $id, expectedVersion: 1}) { errors { code } } }"
    may, ask = actor(tenant), {"id": encode("Box", box)}
    reader = replace(may, writable=frozenset({tenant.plants[1]}))
    blind = replace(may, readable=frozenset({tenant.plants[1]}))
    codes = [[e["code"] for e in (await shop.data(a, touch, ask))["boxTouch"]["errors"]] for a in (reader, blind, may)]
    assert codes == [["FORBIDDEN"], ["NOT_FOUND"], []]


async def test_nodes_in_order_with_nulls(shop, tenant, stranger):
    mine, theirs = (await make(shop, tenant))["widget"]["id"], (await make(shop, stranger))["widget"]["id"]
    ids = [theirs, mine, encode("Widget", 10**12), mine]
    found = await shop.data(
        actor(tenant), "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Widget { code } } }", {"ids": ids}
    )
    assert found["nodes"] == [None, {"id": mine, "code": "A"}, None, {"id": mine, "code": "A"}]


async def test_lookup_takes_exactly_one_key(shop, tenant):
    id = (await make(shop, tenant))["widget"]["id"]
    look = "query($by: WidgetBy!) { widget(by: $by) { code } }"
    for by in ({"id": id}, {"code": "A"}):
        assert (await shop.data(actor(tenant), look, {"by": by}))["widget"] == {"code": "A"}
    assert (await shop.data(actor(tenant), look, {"by": {"code": "Z"}}))["widget"] is None
    for by in ({}, {"id": id, "code": "A"}, {"code": None}):
        assert await shop.code(actor(tenant), look, {"by": by}) == "GRAPHQL_VALIDATION_FAILED"


async def test_audit_and_event_are_written_with_the_row(shop, tenant, admin):
    id = (await make(shop, tenant))["widget"]["id"]
    await shop.data(actor(tenant), UPDATE, {"id": id, "version": 1, "weight": "5"})
    trail = await admin.fetch(
        "select action, changed_fields, actor_user_id, before ->> 'weight' as before, after ->> 'weight' as after"
        " from app.audit_logs where organization_id = $1 and entity_type = 'Widget' order by id", tenant.organization_id
    )  # fmt: skip
    assert [(t["action"], t["before"], t["after"]) for t in trail] == [
        ("insert", None, None),
        ("update", None, "5.000000"),
    ]
    assert trail[1]["changed_fields"] == ["weight"]
    assert {t["actor_user_id"] for t in trail} == {tenant.users["admin"]}


def test_the_small_module_is_in_the_metadata():
    assert "app.widgets" in Table.metadata.tables
    assert w.WidgetRow.__table__.fullname == "app.widgets"


def test_a_refusal_has_a_name_of_its_own():
    @refusal("ARCHIVED", "Another one.")
    class Shelved(Refused): ...

    with pytest.raises(TypeError, match="is a refusal already"):
        error_type(Shelved)
