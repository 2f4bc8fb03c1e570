"""The event log as a query: pages, positions shared with subscriptions, and nothing of plants, departments or topics one
may not read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from db.actor import Actor, Scope
from schema.feed import Cursor
from schema.ids import encode
from tests.api.floor import Floor
from tests.support import House, Tenant

pytestmark = pytest.mark.usefixtures("relay")
CHANGES = """query($after: String, $topics: [String!], $first: Int) {
  changes(after: $after, topics: $topics, first: $first) {
    endCursor hasMore resyncRequired
    events { cursor topic type entityId occurredAt changedFields fromStatus toStatus } } }"""


async def page(house: House, actor: Actor, **variables: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await house.data(actor, CHANGES, variables))["changes"]
    return answer


async def seen(house: House, actor: Actor, **variables: Any) -> set[tuple[str, str]]:
    answer = await page(house, actor, **variables)
    assert not answer["hasMore"]
    return {(event["topic"], event["entityId"]) for event in answer["events"]}


async def test_pages_follow_each_other_to_the_end(house: House, tenant: Tenant, floor: Floor) -> None:
    actor = tenant.actor()
    begin = (await page(house, actor, first=0))["endCursor"]
    project = await floor.project()
    await floor.change("projects", project, status="active")
    for n in range(5):
        await floor.change("projects", project, name=f"name {n}")
    newest = await floor.settled()
    found: list[dict[str, Any]] = []
    after = begin
    for size in (3, 3, 3):
        answer = await page(house, actor, after=after, topics=["Project"], first=size)
        found += answer["events"]
        after = answer["endCursor"]
        assert answer["hasMore"] == (len(found) < 7)
    assert [e["cursor"] for e in found] == (await floor.log("Project"))
    assert after == str(Cursor(newest)), "up to here there is no other"
    created, activated, renamed = found[:3]
    assert (created["type"], created["toStatus"], created["entityId"]) == (
        "CREATED",
        "DRAFT",
        encode("Project", project),
    )
    assert (activated["type"], activated["fromStatus"], activated["toStatus"]) == ("UPDATED", "DRAFT", "ACTIVE")
    assert renamed["changedFields"] == ["name"]
    assert (await page(house, actor, after=after))["events"] == []


async def test_another_organization_sees_nothing(house: House, tenant: Tenant, stranger: Tenant, floor: Floor) -> None:
    begin = str(Cursor(await floor.settled()))
    machine = await floor.machine()
    await floor.settled()
    assert await seen(house, tenant.actor(), after=begin) == {("Machine", encode("Machine", machine))}
    assert await seen(house, stranger.actor(), after=begin) == set()
    assert await seen(house, stranger.actor(), topics=["Machine"]) == set()


async def test_plants_departments_and_permissions_decide(house: House, tenant: Tenant, floor: Floor) -> None:
    begin = str(Cursor(await floor.settled()))
    here, there, everywhere = await floor.project(0), await floor.project(1), await floor.project()
    own, whole = await floor.machine(0, 0), await floor.machine(0)
    await floor.settled()
    plant, department = tenant.plants[0], tenant.departments[0]
    projects = {("Project", encode("Project", p)) for p in (here, everywhere)}
    machines = {("Machine", encode("Machine", m)) for m in (own, whole)}

    in_plant = tenant.actor(plants=[plant])
    assert await seen(house, in_plant, after=begin) == projects | machines
    scope = Scope.of_department(plant, department)
    in_department = replace(in_plant, permissions=dict.fromkeys(in_plant.permissions, scope))
    assert await seen(house, in_department, after=begin) == projects | {("Machine", encode("Machine", own))}

    other = Scope.of_plants(tenant.plants[1:])
    divided = replace(tenant.actor(), permissions=dict(tenant.actor().permissions) | {"projects.read": other})
    expected = {("Project", encode("Project", p)) for p in (there, everywhere)} | machines
    assert await seen(house, divided, after=begin) == expected

    narrow = tenant.actor(only={"projects.read"})
    assert {topic for topic, _ in await seen(house, narrow, after=begin)} == {"Project"}
    assert await house.code(narrow, CHANGES, {"topics": ["Project", "Machine"]}) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"after": "nonsense"}, "BAD_USER_INPUT"),
        ({"topics": ["Nothing"]}, "BAD_USER_INPUT"),
        ({"first": 1_001}, "BAD_USER_INPUT"),
        ({"first": -1}, "BAD_USER_INPUT"),
    ],
)
async def test_bad_questions(house: House, tenant: Tenant, variables: dict[str, Any], said: str) -> None:
    assert await house.code(tenant.actor(), CHANGES, variables) == said


async def test_nobody_is_told_anything(house: House) -> None:
    assert await house.code(Actor(None), CHANGES) == "UNAUTHENTICATED"


async def test_a_cursor_of_another_log_asks_to_read_again(house: House, tenant: Tenant, floor: Floor) -> None:
    newest = await floor.settled()
    answer = await page(house, tenant.actor(), after=str(Cursor(newest + 1_000)))
    assert (answer["resyncRequired"], answer["events"]) == (True, [])
    project = await floor.project()
    await floor.settled()
    following = await page(house, tenant.actor(), after=answer["endCursor"], topics=["Project"])
    assert [e["entityId"] for e in following["events"]] == [encode("Project", project)]
