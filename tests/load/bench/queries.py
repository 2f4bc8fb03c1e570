"""What is asked: five queries, each in the words of each server, and their answers made comparable."""

from __future__ import annotations

import base64
import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from schema.ids import encode
from tests.load.bench.house import STATUSES, House
from tests.load.bench.servers import OURS, POSTGRAPHILE, YOGA, Server
from tests.support import Tenant

EIGHT = "number productCode productName operationType status priority plannedStartAt"
"""With the id, the eight scalars of the wide list."""
PAGES = (200, 200, 100)
"""500 rows: our page limit is 200, so everybody is asked for three pages in one document."""


@dataclass(frozen=True)
class Query:
    """One of the queries. `variables(server, tenant's place)` are those of the next request."""

    name: str
    title: str
    documents: Mapping[str, str]
    writes: bool = False


def _ours_dashboard() -> str:
    lists = (
        f"{s}: workOrders(where: {{status: {{eq: {s.upper()}}}}}, first: 10, orderBy: [{{field: NUMBER, direction: DESC}}])"
        " { totalCount { value } nodes { id number } }"
        for s in STATUSES
    )
    return "{ " + " ".join(lists) + " }"


def _peers_dashboard(listing: Callable[[str], str], id: str) -> str:
    return "{ " + " ".join(f"{s}: {listing(s)} {{ totalCount nodes {{ {id} number }} }}" for s in STATUSES) + " }"


def _wide(head: str, page: Callable[[int, str | None], str], id: str) -> str:
    variables = (None, "$second", "$third")
    pages = (
        f"{name}: {page(size, after)} {{ nodes {{ {id} {EIGHT} }} }}"
        for name, size, after in zip("abc", PAGES, variables, strict=True)
    )
    return f"query({head}) {{ {' '.join(pages)} }}"


def _after(after: str | None) -> str:
    return f", after: {after}" if after else ""


ONE = "number status productName version createdAt"
QUERIES = (
    Query("Q1", "one order by id", {
        OURS: f"query($id: ID!) {{ workOrder(by: {{id: $id}}) {{ id {ONE} quantityOrdered {{ value }} }} }}",
        POSTGRAPHILE: "query($org: Int!, $id: BigInt!) { workOrder: workOrderByOrganizationIdAndRowId(organizationId: $org, rowId: $id)"
        f" {{ id: rowId {ONE} quantityOrdered }} }}",
        YOGA: f"query($id: ID!) {{ workOrder(id: $id) {{ id {ONE} quantityOrdered }} }}",
    }),
    Query("Q2", "50 orders, plant, project, 4 operations", {
        OURS: "query($after: String) { workOrders(first: 50, after: $after, orderBy: [{field: NUMBER}]) { nodes { id number status"
        " plant { code name } project { number name }"
        " operations(first: 4) { nodes { id sequence name status quantityGood { value } } } } } }",
        POSTGRAPHILE: "query($after: Cursor) { workOrders: allWorkOrders(first: 50, after: $after, orderBy: [NUMBER_ASC]) { nodes {"
        " id: rowId number status plant: plantByOrganizationIdAndPlantId { code name }"
        " project: projectByOrganizationIdAndProjectId { number name }"
        " operations: workOrderOperationsByOrganizationIdAndPlantIdAndWorkOrderId(first: 4, orderBy: [SEQUENCE_ASC])"
        " { nodes { id: rowId sequence name status quantityGood } } } } }",
        YOGA: "query($after: String) { workOrders(first: 50, after: $after) { nodes { id number status plant { code name }"
        " project { number name } operations(first: 4) { id sequence name status quantityGood } } } }",
    }),
    Query("Q3", "500 rows x 8 scalars", {
        OURS: _wide(
            "$second: String, $third: String", lambda n, a: f"workOrders(first: {n}{_after(a)}, orderBy: [{{field: NUMBER}}])", "id"
        ),
        POSTGRAPHILE: _wide(
            "$second: Cursor, $third: Cursor", lambda n, a: f"allWorkOrders(first: {n}{_after(a)}, orderBy: [NUMBER_ASC])", "id: rowId"
        ),
        YOGA: _wide("$second: String, $third: String", lambda n, a: f"workOrders(first: {n}{_after(a)})", "id"),
    }),
    Query("Q4", "dashboard: 6 counted lists", {
        OURS: _ours_dashboard(),
        POSTGRAPHILE: _peers_dashboard(
            lambda s: f'allWorkOrders(condition: {{status: "{s}"}}, first: 10, orderBy: [NUMBER_DESC])', "id: rowId"
        ),
        YOGA: _peers_dashboard(lambda s: f'workOrders(status: "{s}", first: 10, descending: true)', "id"),
    }),
    Query("Q5", "report of pieces", {
        OURS: "mutation($operation: ID!, $key: String!) { recordLog: productionLogRecord(input: {operationId: $operation,"
        ' kind: REPORT, good: "1", idempotencyKey: $key}) { operation { id quantityGood { value } } errors { code } } }',
        POSTGRAPHILE: "mutation($operation: BigInt!, $key: String!)"
        " { recordLog: benchRecordLog(input: {pOperation: $operation, pGood: \"1\", pKey: $key})"
        " { operation: result { id: rowId quantityGood } } }",
        YOGA: "mutation($operation: ID!, $key: String!)"
        ' { recordLog(operation: $operation, good: "1", key: $key) { operation { id quantityGood } } }',
    }, writes=True),
    Query("F1", "orders by status, counted: a function", {
        OURS: "{ counts: workOrderStatusCounts { status count } }",
        POSTGRAPHILE: "{ counts: benchStatusCounts { nodes { status count } } }",
        YOGA: "{ counts: statusCounts { status count } }",
    }),
    Query("F2", "what a person has not read: a function", {
        OURS: "{ count: notificationUnreadCount }",
        POSTGRAPHILE: "{ count: benchUnreadCount }",
        YOGA: "{ count: unreadCount }",
    }),
)  # fmt: skip


@dataclass(frozen=True)
class Floor:
    """What requests are made of, of one organization: its ids, and on each server the caller and the places of pages."""

    tenant: Tenant
    orders: list[int]
    operations: list[int]
    callers: Mapping[str, Mapping[str, str]]
    places: Mapping[str, Mapping[int, str]]
    """Per server: the cursor of the n-th order by number."""


async def floors(house: House, servers: list[Server]) -> list[Floor]:
    found = []
    for tenant in house.tenants:
        org = tenant.organization_id
        orders = await house.fetch(
            "select id from app.work_orders where organization_id = $1 order by hashint8(id) limit 2000", org
        )
        steps = await house.fetch(
            "select o.id from app.work_order_operations o join app.work_orders w"
            " on (w.organization_id, w.id) = (o.organization_id, o.work_order_id)"
            " where o.organization_id = $1 and o.sequence = 10 and w.status = 'in_progress'"
            " order by hashint8(o.id) limit 2000",
            org,
        )
        header = {"x-tenant": f"{org}:{tenant.users['admin']}"}
        callers = {
            s.name: {"authorization": f"Bearer {await house.token(tenant)}"} if s.name == OURS else header
            for s in servers
        }
        places = {server.name: await _places(server, callers[server.name]) for server in servers}
        found.append(Floor(tenant, [r["id"] for r in orders], [r["id"] for r in steps], callers, places))
    return found


async def _places(server: Server, caller: Mapping[str, str]) -> dict[int, str]:
    """Where the second and third page begin, and those of Q2: 50 rows each."""
    if server.name == YOGA:
        return {n: f"WO-{n:09}" for n in range(50, 401, 50)}
    words = "workOrders(first: 50, after: $after, orderBy: [{field: NUMBER}])", "String"
    if server.name == POSTGRAPHILE:
        words = "allWorkOrders(first: 50, after: $after, orderBy: [NUMBER_ASC])", "Cursor"
    document = f"query($after: {words[1]}) {{ page: {words[0]} {{ pageInfo {{ endCursor }} }} }}"
    made: dict[int, str] = {}
    after = None
    for n in range(50, 401, 50):
        data = await ask(server, caller, document, {"after": after})
        after = data["page"]["pageInfo"]["endCursor"]
        made[n] = after
    return made


def variables(query: Query, server: str, floor: Floor, turn: int) -> dict[str, Any]:
    """Those of a request; the same turn asks the same of every server."""
    places = floor.places[server]
    if query.name == "Q1":
        id = floor.orders[turn % len(floor.orders)]
        if server == OURS:
            return {"id": encode("WorkOrder", id)}
        return {"id": str(id)} | ({"org": floor.tenant.organization_id} if server == POSTGRAPHILE else {})
    if query.name == "Q2":
        return {"after": places.get(50 * (turn % 9))}
    if query.name == "Q3":
        return {"second": places[200], "third": places[400]}
    if query.name == "Q5":
        operation = floor.operations[turn % len(floor.operations)]
        id = encode("WorkOrderOperation", operation) if server == OURS else str(operation)
        return {"operation": id, "key": uuid.uuid4().hex}
    return {}


def requests(query: Query, server: Server, all_floors: list[Floor], seed: int) -> Iterator[bytes]:
    """Requests without end, as bytes for a connection. Reads go round a fixed set; writes are made as they are needed."""
    rng = random.Random(seed)
    turns = ((rng.choice(all_floors), rng.randrange(1_000_000)) for _ in itertools.count())
    made = (_request(query, server, floor, turn) for floor, turn in turns)
    return made if query.writes else itertools.cycle(list(itertools.islice(made, 400)))


def _request(query: Query, server: Server, floor: Floor, turn: int) -> bytes:
    asked = {"query": query.documents[server.name], "variables": variables(query, server.name, floor, turn)}
    body = json.dumps(asked, separators=(",", ":")).encode()
    headers = {
        "host": f"127.0.0.1:{server.port}", "content-type": "application/json",
        "accept": "application/graphql-response+json, application/json", "content-length": str(len(body)),
        **floor.callers[server.name],
    }  # fmt: skip
    head = "POST /graphql HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    return head.encode() + body


async def ask(server: Server, caller: Mapping[str, str], document: str, given: Mapping[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(
            f"http://127.0.0.1:{server.port}/graphql",
            json={"query": document, "variables": given},
            headers=dict(caller),
        )
    told = answer.json()
    if "errors" in told or told.get("data") is None:
        raise AssertionError(f"{server.name}: {answer.text[:2000]}")
    data: dict[str, Any] = told["data"]
    return data


def plain(value: Any, name: str = "") -> Any:
    """An answer without what is only a way of saying it: wrapped lists and numbers, encoded ids, cases, time zones."""
    if isinstance(value, dict):
        if len(value) == 1 and (inner := next(iter(value))) in ("nodes", "value"):
            return plain(value[inner], name)
        return {key: plain(inner, key) for key, inner in value.items() if not (key == "errors" and inner == [])}
    if isinstance(value, list):
        return [plain(inner, name) for inner in value]
    if value is None:
        return None
    if name == "id":
        return int(value) if value.isdigit() else int(base64.b64decode(value).rpartition(b":")[2])
    if name == "count":
        return int(value)
    if name.startswith("quantity"):
        return Decimal(value).normalize()
    if name.endswith("At"):
        return datetime.fromisoformat(value)
    return value.lower() if name in ("status", "priority") else value
