"""One operation and its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from db.actor import ANONYMOUS
from db.session import Database
from modules.platform.public import notify
from schema.ids import encode
from tests.support import House, Statements, Tenant

LIST = """query($where: NotificationWhere, $first: Int, $after: String) {
  notifications(where: $where, first: $first, after: $after) {
    nodes { id kind severity title body entityType entityId plant { id } byEmail readAt createdAt unreadCount }
    pageInfo { hasNextPage endCursor } totalCount { value } }
  notificationUnreadCount }"""
READ = """mutation($input: NotificationMarkReadInput!) { notificationMarkRead(input: $input) {
  unreadCount errors { code path } notifications { id readAt unreadCount } } }"""
READ_ALL = """mutation($input: NotificationMarkAllReadInput!) { notificationMarkAllRead(input: $input) {
  marked unreadCount errors { code } } }"""
PREFERENCES = "{ notificationPreferences { kind description severity inApp email inAppByDefault emailByDefault } }"
PREFER = """mutation($input: NotificationPreferenceSetInput!) { notificationPreferenceSet(input: $input) {
  preference { kind inApp email } errors { code path } } }"""


@pytest.fixture
async def three(database: Database, tenant: Tenant, house: House) -> list[str]:
    """Ids of three notifications of the viewer, oldest first."""
    for n in range(3):
        async with database.write(tenant.actor()) as tx:
            await notify(
                tx, "sample.told", {"what": f"thing {n}", "more": ""}, to=[tenant.users["viewer"]],
                plant_id=tenant.plants[0], about=("Plant", tenant.plants[0]),
            )  # fmt: skip
    found = await house.data(tenant.actor("viewer"), LIST)
    return [node["id"] for node in reversed(found["notifications"]["nodes"])]


async def test_the_callers_own_newest_first(house: House, tenant: Tenant, three: list[str]):
    viewer = tenant.actor("viewer")
    with Statements(house.database) as statements:
        found = await house.data(viewer, LIST)
    nodes, plant = found["notifications"]["nodes"], encode("Plant", tenant.plants[0])
    assert [node["title"] for node in nodes] == ["thing 2", "thing 1", "thing 0"]
    assert {(n["entityType"], n["entityId"], n["plant"]["id"], n["readAt"]) for n in nodes} == {
        ("Plant", plant, plant, None)
    }
    assert {node["unreadCount"] for node in nodes} == {3}
    assert (found["notifications"]["totalCount"]["value"], found["notificationUnreadCount"]) == (3, 3)
    assert len(statements.selects) == 6, "unread by both executors; page, plants, one count for all nodes, total"


async def test_nobody_else_finds_it(house: House, tenant: Tenant, stranger: Tenant, three: list[str]):
    viewer = tenant.actor("viewer")
    document = f'{{ node(id: "{three[0]}") {{ id }} notification(by: {{id: "{three[0]}"}}) {{ id }} }}'
    assert await house.data(viewer, document) == {"node": {"id": three[0]}, "notification": {"id": three[0]}}
    program = replace(tenant.actor(), user_id=None, app_id=1)
    for other in (tenant.actor(), stranger.actor("viewer"), program, tenant.actor("viewer", plants=tenant.plants[1:])):
        assert await house.data(other, document) == {"node": None, "notification": None}
        found = await house.data(other, LIST)
        assert (found["notifications"]["nodes"], found["notificationUnreadCount"]) == ([], 0)
        (refused,) = (await house.data(other, READ, {"input": {"ids": three[:1]}}))["notificationMarkRead"]["errors"]
        assert refused["code"] in ("NOT_FOUND", "FORBIDDEN")
        refusal = (await house.data(other, READ_ALL, {"input": {}}))["notificationMarkAllRead"]
        assert not refusal["marked"]
    assert (await house.data(viewer, LIST))["notificationUnreadCount"] == 3


async def test_filters_and_pages(house: House, tenant: Tenant, three: list[str]):
    viewer = tenant.actor("viewer")

    async def found(**variables: Any) -> list[str]:
        return [node["id"] for node in (await house.data(viewer, LIST, variables))["notifications"]["nodes"]]

    await house.data(viewer, READ, {"input": {"ids": three[:1]}})
    assert await found(where={"readAt": {"isNull": True}}) == [three[2], three[1]]
    assert await found(where={"kind": {"eq": "sample.mailed"}}) == []
    assert await found(where={"severity": {"in": ["INFO"]}}) == three[::-1]
    page = (await house.data(viewer, LIST, {"first": 2}))["notifications"]
    assert page["pageInfo"]["hasNextPage"]
    assert await found(first=2, after=page["pageInfo"]["endCursor"]) == [three[0]]


async def test_reading(house: House, tenant: Tenant, three: list[str]):
    viewer = tenant.actor("viewer")
    answer = (await house.data(viewer, READ, {"input": {"ids": [three[1], three[0], three[1]]}}))[
        "notificationMarkRead"
    ]
    assert (answer["unreadCount"], answer["errors"]) == (1, [])
    assert [n["id"] for n in answer["notifications"]] == three[:2]
    assert {n["unreadCount"] for n in answer["notifications"]} == {1}
    again = (await house.data(viewer, READ, {"input": {"ids": three[:2]}}))["notificationMarkRead"]
    assert again["notifications"] == answer["notifications"], "the first time counts"
    foreign = encode("Notification", 10**12)
    refused = (await house.data(viewer, READ, {"input": {"ids": [three[2], foreign]}}))["notificationMarkRead"]
    assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["ids", "1"]}]
    assert refused["unreadCount"] is None
    everything = (await house.data(viewer, READ_ALL, {"input": {}}))["notificationMarkAllRead"]
    assert everything == {"marked": 1, "unreadCount": 0, "errors": []}
    empty = (await house.data(viewer, READ, {"input": {"ids": []}}))["notificationMarkRead"]
    assert (empty["notifications"], empty["errors"]) == ([], [])
    assert await house.code(viewer, READ, {"input": {"ids": three[:1] * 201}}) == "BAD_USER_INPUT"
    assert await house.code(viewer, READ, {"input": {"ids": [encode("Plant", 1)]}}) == "BAD_USER_INPUT"


async def test_preferences(house: House, tenant: Tenant):
    viewer = tenant.actor("viewer")

    async def of(kind: str, actor: Any = viewer) -> dict[str, Any]:
        rows = (await house.data(actor, PREFERENCES))["notificationPreferences"]
        return next(row for row in rows if row["kind"] == kind)

    assert await of("sample.mailed") == {
        "kind": "sample.mailed", "description": "Mailed", "severity": "CRITICAL", "inApp": True, "email": True,
        "inAppByDefault": True, "emailByDefault": True,
    }  # fmt: skip
    given = {"kind": "sample.mailed", "channel": "EMAIL", "enabled": False}
    answer = (await house.data(viewer, PREFER, {"input": given}))["notificationPreferenceSet"]
    assert answer == {"preference": {"kind": "sample.mailed", "inApp": True, "email": False}, "errors": []}
    assert (await of("sample.mailed"))["email"] is False
    assert (await of("sample.mailed", tenant.actor()))["email"] is True, "another's own"
    unknown = (await house.data(viewer, PREFER, {"input": {**given, "kind": "no.such"}}))["notificationPreferenceSet"]
    assert unknown["errors"] == [{"code": "NOT_FOUND", "path": ["kind"]}]
    program = replace(viewer, user_id=None, app_id=1)
    refused = (await house.data(program, PREFER, {"input": given}))["notificationPreferenceSet"]
    assert refused["errors"][0]["code"] == "FORBIDDEN"


async def test_who_is_not_signed_in(house: House):
    for document in (LIST, PREFERENCES, "subscription { notificationEvents { cursor } }"):
        assert await house.code(ANONYMOUS, document) == "UNAUTHENTICATED"
