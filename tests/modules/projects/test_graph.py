"""Projects as a client sees them: one operation and its answer."""

from __future__ import annotations

import asyncio
import random
from datetime import date
from typing import Any

import asyncpg
import pytest

from schema.ids import encode
from tests.support import House, Tenant

CREATE = """mutation($input: ProjectCreateInput!) { projectCreate(input: $input) {
  project { id number name status priority version primaryPlant { code } manager { username } customerName startDate }
  errors { code path } } }"""
UPDATE = """mutation($input: ProjectUpdateInput!) { projectUpdate(input: $input) {
  project { name description primaryPlant { code } plannedEndDate version } errors { __typename code path } } }"""
LIST = """query($where: ProjectWhere, $order: [ProjectOrder!], $first: Int, $after: String) {
  projects(where: $where, orderBy: $order, first: $first, after: $after) {
    nodes { id number } pageInfo { hasNextPage endCursor } } }"""


async def create(house: House, tenant: Tenant, role: str = "planner", **values: Any) -> dict[str, Any]:
    answer = await house.data(tenant.actor(role), CREATE, {"input": {"name": "Pumps", **values}})
    made: dict[str, Any] = answer["projectCreate"]
    return made


async def step(house: House, tenant: Tenant, verb: str, id: str, version: int, **more: Any) -> dict[str, Any]:
    kind = "ProjectCompleteInput" if verb == "Complete" else "ProjectVersionInput"
    document = f"""mutation($input: {kind}!) {{ project{verb}(input: $input) {{
      project {{ status actualEndDate archivedAt version }} errors {{ code path ... on InvalidTransition {{ from to allowed }} }} }} }}"""
    answer = await house.data(tenant.actor(), document, {"input": {"id": id, "expectedVersion": version, **more}})
    made: dict[str, Any] = answer[f"project{verb}"]
    return made


async def test_a_project_is_opened_as_a_draft_with_the_next_number(house: House, tenant: Tenant) -> None:
    made = await create(
        house, tenant, primaryPlantId=encode("Plant", tenant.plants[0]), managerId=encode("User", tenant.users["planner"]),
        customerName="Nordlicht", startDate="2026-03-02", plannedEndDate="2026-06-30", priority="HIGH",
    )  # fmt: skip
    project = made["project"]
    assert made["errors"] == []
    year, number = project.pop("number")[4:].split("-")
    assert (int(number), len(year)) == (1, 4)
    project.pop("id")
    assert project == {
        "name": "Pumps", "status": "DRAFT", "priority": "HIGH", "version": 1, "primaryPlant": {"code": "P1"},
        "manager": {"username": "planner"}, "customerName": "Nordlicht", "startDate": "2026-03-02",
    }  # fmt: skip


async def test_five_projects_at_once_get_five_numbers(house: House, tenant: Tenant) -> None:
    made = await asyncio.gather(*(create(house, tenant) for _ in range(5)))
    numbers = sorted(one["project"]["number"] for one in made)
    assert [int(n.rsplit("-", 1)[1]) for n in numbers] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("values", "code", "path"),
    [
        ({"number": "TAKEN"}, "ALREADY_EXISTS", ["number"]),
        ({"name": " "}, "VALIDATION_FAILED", ["name"]),
        ({"customerCode": "x" * 101}, "VALIDATION_FAILED", ["customerCode"]),
        ({"startDate": "2026-03-02", "plannedEndDate": "2026-03-01"}, "VALIDATION_FAILED", ["plannedEndDate"]),
        ({"managerId": encode("User", 2**40)}, "NOT_FOUND", ["managerId"]),
        ({"primaryPlantId": encode("Plant", 2**40)}, "NOT_FOUND", ["primaryPlantId"]),
    ],
)
async def test_projects_that_are_refused(
    house: House, tenant: Tenant, values: dict[str, Any], code: str, path: list[str]
) -> None:
    await create(house, tenant, number="TAKEN")
    made = await create(house, tenant, **values)
    assert made["project"] is None
    assert made["errors"] == [{"code": code, "path": path}]


async def test_a_projects_life(house: House, tenant: Tenant) -> None:
    id = (await create(house, tenant, startDate="2026-03-02"))["project"]["id"]
    for verb, version, status in (
        ("Activate", 1, "ACTIVE"), ("Hold", 2, "ON_HOLD"), ("Activate", 3, "ACTIVE"), ("Complete", 4, "COMPLETED"),
        ("Reopen", 5, "ACTIVE"), ("Cancel", 6, "CANCELLED"), ("Reopen", 7, "DRAFT"), ("Cancel", 8, "CANCELLED"),
    ):  # fmt: skip
        day = {"actualEndDate": "2026-05-01"} if verb == "Complete" else {}
        made = await step(house, tenant, verb, id, version, **day)
        assert made["errors"] == []
        assert (made["project"]["status"], made["project"]["version"]) == (status, version + 1)
        assert made["project"]["actualEndDate"] == day.get("actualEndDate")
    assert (await step(house, tenant, "Archive", id, 9))["project"]["archivedAt"] is not None
    assert (await step(house, tenant, "Unarchive", id, 10))["project"]["archivedAt"] is None


async def test_steps_that_are_refused(house: House, tenant: Tenant) -> None:
    id = (await create(house, tenant, startDate="2026-03-02"))["project"]["id"]
    hold = await step(house, tenant, "Hold", id, 1)
    refused = {
        "code": "INVALID_TRANSITION",
        "path": ["id"],
        "from": "DRAFT",
        "to": "ON_HOLD",
        "allowed": ["ACTIVE", "CANCELLED"],
    }
    assert hold == {"project": None, "errors": [refused]}
    await step(house, tenant, "Activate", id, 1)
    early = await step(house, tenant, "Complete", id, 2, actualEndDate="2026-03-01")
    assert [e["path"] for e in early["errors"]] == [["actualEndDate"]]
    assert [e["code"] for e in (await step(house, tenant, "Archive", id, 2))["errors"]] == ["INVALID_TRANSITION"]
    assert [e["code"] for e in (await step(house, tenant, "Hold", id, 1))["errors"]] == ["VERSION_CONFLICT"]


async def test_a_patch_changes_what_it_names(house: House, tenant: Tenant) -> None:
    made = await create(house, tenant, description="Old", primaryPlantId=encode("Plant", tenant.plants[0]))
    change = {"id": made["project"]["id"], "expectedVersion": 1, "name": "Valves", "primaryPlantId": None}
    updated = (await house.data(tenant.actor("planner"), UPDATE, {"input": change}))["projectUpdate"]
    assert updated["project"] == {
        "name": "Valves", "description": "Old", "primaryPlant": None, "plannedEndDate": None, "version": 2,
    }  # fmt: skip
    refused = await house.data(
        tenant.actor("planner"), UPDATE, {"input": {**change, "expectedVersion": 2, "name": None}}
    )
    assert [(e["code"], e["path"]) for e in refused["projectUpdate"]["errors"]] == [("VALIDATION_FAILED", ["name"])]


async def test_projects_of_a_plant_are_seen_there_and_of_all_plants_everywhere(
    house: House, tenant: Tenant, stranger: Tenant
) -> None:
    for number, plant in (("A", 0), ("B", 1), ("C", None)):
        values = {} if plant is None else {"primaryPlantId": encode("Plant", tenant.plants[plant])}
        await create(house, tenant, number=number, **values)
    first_only = tenant.actor("planner", plants=tenant.plants[:1])
    seen = (await house.data(first_only, LIST, {}))["projects"]["nodes"]
    assert [p["number"] for p in seen] == ["A", "C"]
    assert (await house.data(stranger.actor(), LIST, {}))["projects"]["nodes"] == []
    there = {"input": {"name": "X", "primaryPlantId": encode("Plant", tenant.plants[1])}}
    refused = (await house.data(first_only, CREATE, there))["projectCreate"]
    assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["primaryPlantId"]}]
    found = await house.data(tenant.actor(), '{ project(by: {number: "B"}) { id } }')
    document = "query($id: ID!) { project(by: {id: $id}) { number } node(id: $id) { id } }"
    for outsider in (stranger.actor(), first_only):
        assert await house.data(outsider, document, {"id": found["project"]["id"]}) == {"project": None, "node": None}


async def test_who_may_do_what(house: House, tenant: Tenant) -> None:
    assert await house.code(tenant.actor("operator"), CREATE, {"input": {"name": "X"}}) == "FORBIDDEN"
    await house.data(tenant.actor("operator"), LIST)


@pytest.mark.parametrize(
    ("order", "sql"),
    [
        ([], "number"),
        ([{"field": "CUSTOMER_NAME", "direction": "DESC"}], "customer_name desc nulls last, id desc"),
        ([{"field": "START_DATE"}, {"field": "NUMBER", "direction": "DESC"}], "start_date nulls last, number desc"),
    ],
)
async def test_pages_join_into_the_whole_list(
    house: House, tenant: Tenant, admin: asyncpg.Connection, order: list[dict[str, str]], sql: str
) -> None:
    rng = random.Random(5)
    rows = [
        (
            tenant.organization_id,
            f"N{n:02}",
            "P",
            rng.choice([None, "A", "B"]),
            rng.choice([None, date(2026, 1, 1 + rng.randrange(3))]),
        )
        for n in range(25)
    ]
    await admin.executemany(
        "insert into app.projects (organization_id, number, name, customer_name, start_date) values ($1, $2, $3, $4, $5)",
        rows,
    )
    seen: list[str] = []
    after = None
    while True:
        variables = {"order": order, "first": 4, "after": after, "where": {"status": {"eq": "DRAFT"}}}
        page = (await house.data(tenant.actor(), LIST, variables))["projects"]
        seen += [n["number"] for n in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    wanted = await admin.fetch(
        f"select number from app.projects where organization_id = $1 order by {sql}", tenant.organization_id
    )
    assert seen == [row["number"] for row in wanted]
