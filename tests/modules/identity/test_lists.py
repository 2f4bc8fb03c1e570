"""Pages of every list join into the whole list, and filters mean what they say."""

import random

import asyncpg
import pytest

from tests.support import House, Tenant

USERS = """query($first: Int, $after: String, $last: Int, $before: String, $order: [UserOrder!], $where: UserWhere) {
  users(first: $first, after: $after, last: $last, before: $before, orderBy: $order, where: $where) {
    nodes { id fullName email } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount { value exact } } }"""


@pytest.fixture
async def crowd(tenant: Tenant, admin: asyncpg.Connection) -> Tenant:
    """Forty people more, several of one name."""
    chance = random.Random(1)
    rows = [
        (
            tenant.organization_id,
            f"P{n}@crowd.example",
            f"p{n}",
            f"Name {chance.randrange(7)}",
            chance.randrange(2) == 0,
        )
        for n in range(40)
    ]
    await admin.executemany(
        "insert into app.users (organization_id, email, username, full_name, archived_at)"
        " values ($1, $2, $3, $4, case when $5 then now() end)",
        rows,
    )
    return tenant


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", [3, 50])
@pytest.mark.parametrize(
    ("order", "sql"),
    [
        (None, "full_name, id"),
        ([{"field": "EMAIL", "direction": "DESC"}], "email_lower desc, id desc"),
        ([{"field": "FULL_NAME", "direction": "DESC"}, {"field": "CREATED_AT"}], "full_name desc, created_at, id"),
    ],
)
async def test_pages_join_into_the_whole_list(house: House, crowd: Tenant, admin, order, sql, size, backwards):
    seen, at = [], None
    for _ in range(60):
        page = {"last": size, "before": at} if backwards else {"first": size, "after": at}
        found = (await house.data(crowd.actor(), USERS, {"order": order, **page}))["users"]
        names = [n["email"] for n in found["nodes"]]
        seen = names + seen if backwards else seen + names
        info = found["pageInfo"]
        at = info["startCursor" if backwards else "endCursor"]
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            break
    wanted = await admin.fetch(
        f"select email from app.users where organization_id = $1 order by {sql}", crowd.organization_id
    )
    assert seen == [r["email"] for r in wanted]
    assert found["totalCount"] == {"value": 50, "exact": True}


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ({"fullName": {"eq": "Name 3"}}, "full_name = 'Name 3'"),
        ({"email": {"startsWith": "p1"}}, "email_lower like 'p1%'"),
        ({"archivedAt": {"isNull": False}}, "archived_at is not null"),
        (
            {"or": [{"fullName": {"in": ["Name 1", "Name 2"]}}, {"username": {"eq": "admin"}}]},
            "full_name in ('Name 1', 'Name 2') or username = 'admin'",
        ),
        ({"not": {"fullName": {"contains": "name"}}}, "full_name not ilike '%name%'"),
        ({"fullName": {"in": []}}, "false"),
    ],
)  # fmt: skip
async def test_filters(house: House, crowd: Tenant, admin, where, sql):
    found = (await house.data(crowd.actor(), USERS, {"where": where, "first": 200}))["users"]["nodes"]
    wanted = await admin.fetch(
        f"select email from app.users where organization_id = $1 and ({sql})", crowd.organization_id
    )
    assert {n["email"] for n in found} == {r["email"] for r in wanted}


OTHERS = {
    "plants": ("{ code }", 2, 1), "departments": ("{ code plant { code } }", 2, 1), "roles": ("{ code }", 10, 10),
    "apps": ("{ code }", 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("field", OTHERS)
async def test_lists_show_the_callers_plants(house: House, tenant: Tenant, field: str):
    selection, everywhere, in_one = OTHERS[field]
    document = f"{{ {field} {{ nodes {selection} totalCount {{ value }} }} }}"
    assert (await house.data(tenant.actor(), document))[field]["totalCount"]["value"] == everywhere
    in_one_plant = (await house.data(tenant.actor(plants=tenant.plants[:1]), document))[field]
    assert in_one_plant["totalCount"]["value"] == len(in_one_plant["nodes"]) == in_one


async def test_grants_and_access_by_their_links(house: House, tenant: Tenant):
    document = """{ users(where: {username: {eq: "viewer"}}) { nodes {
      grants { nodes { level role { code } plant { code } user { username } } } plantAccess { nodes { canRead } } } } }"""
    (viewer,) = (await house.data(tenant.actor(), document))["users"]["nodes"]
    assert viewer["grants"]["nodes"] == [
        {"level": "ORGANIZATION", "role": {"code": "viewer"}, "plant": None, "user": {"username": "viewer"}}
    ]
    assert viewer["plantAccess"]["nodes"] == []
