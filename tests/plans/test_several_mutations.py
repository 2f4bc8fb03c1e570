"""Several mutations in one operation, by plan: each committed and read before the next begins, as the loaders do it.

Two shops that are the same are asked the same, one by plans, one without.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from graphql import parse

from db.actor import EVERYWHERE, Scope
from db.session import Database
from schema.ids import encode
from schema.plans.execute import Prepared
from tests.modules.production.shop import Shop
from tests.plans.asking import Asking
from tests.plans.posting import Twin, pieces, planned, watched
from tests.support import House, Tenant

ROWS = """{ productionLog { id kind good { value } loggedAt: occurredAt } operation { status quantityGood { value } }
  workOrder { number status version productionLogs(first: 2) { totalCount { value } nodes { good { value } } } }
  errors { __typename code message ... on OverCompletion { maxRemaining } } }"""


def report(alias: str, amount: int | str, key: str, operation: str = "$first", more: str = "") -> str:
    return (
        f"{alias}: productionLogRecord(input: {{operationId: {operation}, kind: REPORT, good: \"{amount}\","
        f' idempotencyKey: "{key}"{more}}}) {ROWS}'
    )  # fmt: skip


def reason(alias: str, code: str) -> str:
    return (
        f'{alias}: scrapReasonCreate(input: {{code: "{code}", name: "N", category: HANDLING}})'
        " { scrapReason { id code } errors { code } }"
    )


def document(*fields: str, **variables: str) -> str:
    text = " ".join(fields)
    known = {"first": "ID!", "second": "ID!", **variables}
    declared = ", ".join(f"${name}: {kind}" for name, kind in known.items() if f"${name}" in text)
    return f"mutation{f'({declared})' if declared else ''} {{ {text} }}"


@pytest.fixture
async def twins(database: Database, tenant: Tenant, stranger: Tenant) -> tuple[Twin, Twin]:
    return await Twin.opened(Shop(database, tenant)), await Twin.opened(Shop(database, stranger))


CASES: dict[str, tuple[str, int]] = {
    "each sees what was done before": (document(report("a", 1, "1"), report("b", 2, "2"), report("c", 3, "3", "$second")), 3),
    "of several kinds": (document(reason("x", "R1"), report("a", 1, "1"), reason("y", "R2"), reason("z", "R3")), 4),
    "refused first": (document(report("a", 101, "1"), report("b", 2, "2")), 0),
    "refused in between": (document(report("a", 1, "1"), report("b", 101, "2"), report("c", 3, "3")), 1),
    "refused last": (document(report("a", 1, "1"), reason("r", "R1"), reason("again", "R1")), 2),
    "an error in between": (document(report("a", 1, "1"), report("b", 2, "2", '"x"'), report("c", 3, "3")), 3),
    "errors around a refusal": (
        document(report("a", 1, "1", '"x"'), report("b", 101, "2"), report("c", 3, "3", '"y"'), report("d", 4, "4")), 1,
    ),
    "only errors": (document(report("a", 1, "1", '"x"'), report("b", 2, "2", '"y"')), 2),
    "the first answer given again": (document(report("a", 1, "1"), report("b", 1, "1"), report("c", 3, "3")), 1),
    "a key of another request": (document(report("a", 1, "1"), report("b", 2, "1"), report("c", 3, "3")), 3),
    "what a fragment brings": (
        "mutation($first: ID!) { ...f b: " + report("b", 2, "2")[3:] + " }"
        f" fragment f on Mutation {{ {report('a', 1, '1')} {report('b', 2, '2')} }}", 2,
    ),
    "one left out": (document(report("a", 1, "1").replace(") {", ") @skip(if: true) {", 1), report("b", 2, "2")), 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_both_executors_do_and_say_the_same(house: House, twins: tuple[Twin, Twin], case: str) -> None:
    whole, _ = CASES[case]
    fast, slow = [await twin.answer(house, whole, {}, plans=twin is twins[0]) for twin in twins]
    assert fast == slow
    assert await pieces(house, twins[0].shop.actor) == await pieces(house, twins[1].shop.actor)
    if "of another request" not in case:  # once more, now that there are receipts of all
        fast, slow = [await twin.answer(house, whole, {}, plans=twin is twins[0]) for twin in twins]
        assert fast == slow
    assert await pieces(house, twins[0].shop.actor) == await pieces(house, twins[1].shop.actor)


@pytest.mark.parametrize("case", CASES)
async def test_by_plan_up_to_what_the_loaders_complete(house: House, twins: tuple[Twin, Twin], case: str) -> None:
    whole, by_plan = CASES[case]
    given = {"first": twins[0].operations[0], "second": twins[0].operations[1]}
    answered, _ = await planned(house, twins[0].shop.actor, whole, **given)
    assert len(answered.data) - len(answered.left) == by_plan
    assert list(answered.data)[by_plan:] == list(answered.left)
    await house.ask(twins[1].shop.actor, whole, dict(zip(given, twins[1].operations, strict=True)))


async def test_the_header_s_key_is_each_field_s(house: House, twins: tuple[Twin, Twin]) -> None:
    whole = document(reason("x", "R1"), reason("y", "R1"), reason("z", "R2"))
    for _ in range(2):
        fast, slow = [await twin.answer(house, whole, {}, plans=twin is twins[0], key="k") for twin in twins]
        assert fast == slow
        assert "IDEMPOTENCY_KEY_REUSED" in fast
        assert '"replayed":true' in fast


async def test_two_reports_are_twice_seven_round_trips(house: House, twins: tuple[Twin, Twin]) -> None:
    one, seen = await watched(house)
    twin = twins[0]
    given = {"first": twin.operations[0], "second": twin.operations[1]}
    whole = document(report("a", 1, "1"), report("b", 2, "2"))
    answered, _ = await planned(House(house.schema, one), twin.shop.actor, whole, **given)
    await asyncio.sleep(0.01)  # the driver tells of a statement a little later
    await one.close()
    assert answered.left == {}
    assert answered.statement.count("with context") == 2
    report_ = ["begin;", "select", "select", "select", "with", "with", "commit"]
    assert [query.split()[0] for query in seen] == report_ + report_


@pytest.mark.parametrize(
    "other",
    [
        'uploadComplete(input: {id: "x"}) { errors { code } }',
        "__typename",
        'scrapReasonCreate(input: {code: "R1", name: "N", category: HANDLING}) { scrapReason { '
        + "n" * 64
        + ": id } }",
    ],
)
async def test_where_one_is_not_planned_none_is(house: House, twins: tuple[Twin, Twin], other: str) -> None:
    whole = document(report("a", 1, "1"), f"o: {other}")
    assert await planned(house, twins[0].shop.actor, whole, first=twins[0].operations[0]) == (None, None)
    assert await pieces(house, twins[0].shop.actor) == []
    parsed = parse(whole)
    prepared = Prepared(house.schema, parsed, parsed.definitions[0])  # type: ignore[arg-type]
    assert list(prepared.explained({"first": twins[0].operations[0]}, None)["left"]) == ["a", "o"]
    fast, slow = [await twin.answer(house, whole, {}, plans=twin is twins[0]) for twin in twins]
    assert fast == slow


async def test_a_value_of_a_later_one_that_does_not_fit_leaves_all(house: House, twins: tuple[Twin, Twin]) -> None:
    of = report("b", 2, "2").replace("productionLogs(first: 2)", "productionLogs(first: $n)")
    whole = document(report("a", 1, "1"), of, n="Int")
    keys = {"first": twins[0].operations[0], "second": twins[0].operations[1]}
    assert await planned(house, twins[0].shop.actor, whole, n=0, **keys) == (None, None)
    for n in (0, 1):
        fast, slow = [await twin.answer(house, whole, {"n": n}, plans=twin is twins[0]) for twin in twins]
        assert fast == slow
    assert await pieces(house, twins[0].shop.actor) == ["2", "1"]


async def test_rights_in_other_plants_are_completed_by_the_loaders(house: House, twins: tuple[Twin, Twin]) -> None:
    whole = document(
        reason("r", "R1"),
        report("a", 1, "1").replace("status quantity", "plant { code } quantity"),
        report("b", 2, "2"),
    )
    told = []
    for twin in twins:
        tenant, actor = twin.shop.tenant, twin.shop.actor
        narrow = replace(
            actor, permissions={**actor.permissions, "identity.read": Scope.of_plants(tenant.plants[1:])},
            readable=frozenset(tenant.plants), writable=frozenset(tenant.plants),
        )  # fmt: skip
        told.append(await twin.answer(house, whole, {}, plans=twin is twins[0], actor=narrow))
    assert told[0] == told[1]
    assert '"plant":null' in told[0]


async def test_a_plant_one_may_not_report_in_stops_nobody(house: House, twins: tuple[Twin, Twin]) -> None:
    whole, told = document(report("a", 1, "1"), reason("r", "R1"), report("b", 2, "2")), []
    for twin in twins:
        tenant, actor = twin.shop.tenant, twin.shop.actor
        elsewhere = Scope.of_plants(tenant.plants[1:])
        narrow = replace(
            actor, permissions={**dict.fromkeys(actor.permissions, EVERYWHERE), "production.report": elsewhere},
            readable=frozenset(tenant.plants), writable=frozenset(tenant.plants),
        )  # fmt: skip
        told.append(await twin.answer(house, whole, {}, plans=twin is twins[0], actor=narrow))
        assert await pieces(house, actor) == []
    assert told[0] == told[1]
    assert '"code":"R1"' in told[0]


async def test_who_runs_out_of_time_has_posted_what_came_before(
    house: House, twins: tuple[Twin, Twin], admin: asyncpg.Connection
) -> None:
    whole = document(report("a", 1, "1"), report("b", 2, "2", "$second"), report("c", 3, "3"))
    for twin in twins:
        (row,) = await twin.shop.operations(await twin.shop.order())
        twin.operations[1] = encode("WorkOrderOperation", row.id)
        async with admin.transaction():
            await admin.execute("select 1 from app.work_orders where id = $1 for update", row.work_order_id)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(twin.answer(house, whole, {}, plans=twin is twins[0]), 0.7)
        assert await pieces(house, twin.shop.actor) == ["1"]


async def test_the_same_several_at_the_same_moment_are_posted_once(house: House, twins: tuple[Twin, Twin]) -> None:
    twin, whole = twins[0], document(report("a", 1, "1"), report("b", 2, "2"))
    asking, given = Asking(house), {"first": twin.operations[0]}
    await asyncio.gather(*(asking.answer(twin.shop.actor, whole, given, plans=True) for _ in range(8)))
    assert sorted(await pieces(house, twin.shop.actor)) == ["1", "2"]
