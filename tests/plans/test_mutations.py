"""One mutation by plan: few round trips, posted once whatever answers it, the loaders' bytes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from graphql import parse

from db.actor import EVERYWHERE, Scope
from db.session import Database
from schema.plans.execute import Prepared
from tests.conftest import Urls
from tests.modules.production.shop import Shop
from tests.plans.posting import ROWS, pieces, planned, recording, watched
from tests.support import House, Tenant


@pytest.mark.parametrize(
    "selection",
    [
        ROWS,
        "errors { code }",
        "__typename",
        "operation { id } operation { status }",
        "order: workOrder { id @include(if: $whole) number @skip(if: $whole) }",
        "... on ProductionLogPayload { workOrder { operations(last: 1, orderBy: [{field: SEQUENCE}]) { edges { cursor } } } }",
    ],
)
async def test_the_loaders_say_the_same(shop: Shop, house: House, operation: str, selection: str) -> None:
    """The house completes what was posted by both executors and compares."""
    document = recording(selection, ", $whole: Boolean = true" if "$whole" in selection else "")
    given = {"operation": operation, "good": "5"}
    assert (await house.data(shop.actor, document, {**given, "key": "one"}))["recordLog"]
    answered, _ = await planned(house, shop.actor, document, key="two", **given)
    assert answered is not None
    assert answered.left == {}
    assert await pieces(house, shop.actor) == ["5", "5"]


async def test_a_report_is_seven_round_trips(shop: Shop, house: House, operation: str) -> None:
    one, seen = await watched(house)
    answered, _ = await planned(House(house.schema, one), shop.actor, recording(ROWS), operation=operation, key="k")
    await asyncio.sleep(0.01)  # the driver tells of a statement a little later
    await one.close()
    assert answered is not None
    assert [query.split()[0] for query in seen] == ["begin;", "select", "select", "select", "with", "with", "commit"]


async def test_a_refusal_is_completed_by_the_loaders(shop: Shop, house: House, operation: str) -> None:
    document = recording("operation { id } errors { code ... on OverCompletion { maxRemaining } }")
    answered, posted = await planned(house, shop.actor, document, operation=operation, key="k", good="101")
    assert list(answered.left) == ["recordLog"]
    assert posted.refused
    told = await house.data(shop.actor, document, {"operation": operation, "key": "k", "good": "101"})
    assert told["recordLog"] == {"operation": None, "errors": [{"code": "OVER_COMPLETION", "maxRemaining": "100"}]}
    assert await pieces(house, shop.actor) == []


async def test_the_first_answer_is_given_again(shop: Shop, house: House, operation: str) -> None:
    given = {"operation": operation, "key": "k"}
    first = await house.ask(shop.actor, recording(ROWS), given)
    await house.data(shop.actor, recording(ROWS), {**given, "key": "later"})
    again = await house.ask(shop.actor, recording(ROWS), given)
    assert again.data == first.data
    assert await pieces(house, shop.actor) == ["5", "5"]
    _, posted = await planned(house, shop.actor, recording(ROWS), **given)
    assert posted.replayed


async def test_at_the_same_moment_it_is_posted_once(shop: Shop, house: House, operation: str) -> None:
    given = {"operation": operation, "key": "k"}
    answers = await asyncio.gather(*(house.ask(shop.actor, recording(ROWS), given) for _ in range(10)))
    assert {error.original_error.code for answer in answers for error in answer.errors or []} <= {
        "IDEMPOTENCY_IN_PROGRESS"
    }  # type: ignore[union-attr]
    assert await pieces(house, shop.actor) == ["5"]


async def test_what_is_wrong_with_the_arguments_is_said_by_the_loaders(
    shop: Shop, house: House, operation: str
) -> None:
    answered, posted = await planned(house, shop.actor, recording(ROWS), operation=operation, key="k", good="many")
    assert (answered, posted) == (None, None)
    assert await house.code(shop.actor, recording(ROWS), {"operation": "x", "key": "k"}) == "BAD_USER_INPUT"


async def test_what_is_not_planned_is_posted_by_the_loaders(shop: Shop, house: House, operation: str) -> None:
    document = recording("workOrder { " + "n" * 64 + ": number }")
    answered, posted = await planned(house, shop.actor, document, operation=operation, key="k")
    assert (answered, posted) == (None, None)
    assert await pieces(house, shop.actor) == []
    assert await house.data(shop.actor, document, {"operation": operation, "key": "k"})
    assert await pieces(house, shop.actor) == ["5"]


async def test_a_permission_that_holds_in_fewer_plants_shows_no_more_by_plan(
    shop: Shop, house: House, tenant: Tenant, operation: str
) -> None:
    actor = shop.actor
    narrow = replace(
        actor, permissions={**actor.permissions, "identity.read": Scope.of_plants(tenant.plants[1:])},
        readable=frozenset(tenant.plants), writable=frozenset(tenant.plants),
    )  # fmt: skip
    document = recording("operation { id plant { code } }")
    answered, posted = await planned(house, narrow, document, operation=operation, key="k")
    assert list(answered.left) == ["recordLog"]
    assert not posted.refused
    told = await house.data(narrow, document, {"operation": operation, "key": "k2"})
    assert told["recordLog"]["operation"]["plant"] is None


async def test_who_holds_a_permission_in_all_the_plants_they_see_is_answered_by_plan(
    shop: Shop, house: House, tenant: Tenant, operation: str
) -> None:
    """A terminal's key, bound to a plant, and a person with a role in that plant alone see the same rows."""
    there = frozenset(tenant.plants[:1])
    held = {**dict.fromkeys(shop.actor.permissions, Scope.of_plants(there)), "identity.read": EVERYWHERE}
    bound = replace(shop.actor, permissions=held, readable=there, writable=there)
    answered, posted = await planned(house, bound, recording(ROWS), operation=operation, key="k")
    assert posted is None
    assert answered.left == {}


@pytest.mark.parametrize("page", ["first: 0", 'first: 1, after: "xx"', "first: 1, last: 2"])
async def test_a_page_that_cannot_be_read_undoes_nothing(shop: Shop, house: House, operation: str, page: str) -> None:
    document = recording(f"workOrder {{ number operations({page}) {{ nodes {{ id }} }} }} errors {{ code }}")
    parsed = parse(document)
    Prepared(house.schema, parsed, parsed.definitions[0]).ahead()  # type: ignore[arg-type]
    answer = await house.ask(shop.actor, document, {"operation": operation, "key": "k"})
    assert answer.data == {"recordLog": {"workOrder": None, "errors": []}}
    assert [error.path for error in answer.errors or []] == [["recordLog", "workOrder", "operations"]]
    assert await pieces(house, shop.actor) == ["5"]


async def test_what_cannot_be_read_back_in_time_is_posted_all_the_same(
    shop: Shop, house: House, urls: Urls, admin: asyncpg.Connection, operation: str
) -> None:
    """Somebody alters a table that the payload alone reads."""
    impatient = Database.connect(urls.app, pool_size=2, statement_timeout_ms=400)
    document = recording("workOrder { number plant { code workOrders(first: 1) { nodes { project { name } } } } }")
    await admin.execute("begin; lock table app.projects in access exclusive mode")
    try:
        answered, posted = await planned(
            House(house.schema, impatient), shop.actor, document, operation=operation, key="k"
        )
    finally:
        await admin.execute("rollback")
        await impatient.close()
    assert list(answered.left) == ["recordLog"]
    assert (posted.refused, posted.replayed, posted.read) == (False, False, None)
    assert await pieces(house, shop.actor) == ["5"]


async def test_the_same_asked_twice_is_refused_with_both_places(shop: Shop, house: House, operation: str) -> None:
    once = f'productionLogRecord(input: {{operationId: "x{operation}", kind: REPORT, good: "1", idempotencyKey: "k"}})'
    answer = await house.ask(shop.actor, f"mutation {{ r: {once} {{ errors {{ code }} }} r: {once} {{ __typename }} }}")
    (error,) = answer.errors or []
    assert len(error.locations or []) == 2


async def test_other_operations_of_the_document_decide_nothing(shop: Shop, house: House, operation: str) -> None:
    """A variable of the same name stands in a directive there."""
    document = """mutation M($x: ProductionLogRecordInput!) { recordLog: productionLogRecord(input: $x) { operation { id } } }
      query Q($x: Boolean!) { workOrders(first: 1) { nodes { id number @skip(if: $x) } } }"""
    answer = await house.data(
        shop.actor,
        document,
        {"x": {"operationId": operation, "kind": "REPORT", "good": "5", "idempotencyKey": "k"}},
        operation="M",
    )
    assert answer == {"recordLog": {"operation": {"id": operation}}}


async def test_it_is_told_why_a_mutation_was_not_planned(shop: Shop, house: House, operation: str) -> None:
    def explained(document: str, answered: Any) -> dict[str, Any]:
        parsed = parse(document)
        prepared = Prepared(house.schema, parsed, parsed.definitions[0])  # type: ignore[arg-type]
        return prepared.explained({"operation": operation, "key": "k"}, answered)

    document = recording("workOrder { " + "n" * 64 + ": number }")
    assert explained(document, None) == {
        "statement": None, "left": {"recordLog": "a response key longer than names in PostgreSQL"},
    }  # fmt: skip
    answered, _ = await planned(house, shop.actor, recording(ROWS), operation=operation, key="k")
    assert explained(recording(ROWS), answered)["statement"].startswith("with context as")
