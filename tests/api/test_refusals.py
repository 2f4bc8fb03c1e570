"""Every request that is not answered with data: its status and its code, over a real connection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from schema.ids import encode
from tests.api.conftest import Live
from tests.support import Tenant

JSON = {"content-type": "application/json"}
GRAPHQL = {"accept": "application/graphql-response+json"}


@dataclass
class Sent:
    """One request; `as_` is the role it is sent as, None for nobody."""

    name: str
    status: int
    code: str
    query: str | None = None
    body: bytes | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] | None = None
    variables: dict[str, Any] | None = None
    as_: str | None = "admin"


def nested(levels: int) -> str:
    """A selection so many fields deep, through introspection's own types it would not count."""
    return "{ " + "machines { nodes { plant { " * (levels // 3) + "id" + " } } }" * (levels // 3) + " }"


REFUSED = [
    # the transport
    Sent("no body", 400, "BAD_REQUEST", body=b"", headers=JSON),
    Sent("not JSON", 400, "BAD_REQUEST", body=b'{"query": ', headers=JSON),
    Sent("not UTF-8", 400, "BAD_REQUEST", body=b'{"query": "{ echo(value: \xff\xfe) }"}', headers=JSON),
    Sent("lone surrogate", 400, "BAD_REQUEST", body=b'{"query": "\\ud800"}', headers=JSON),
    Sent("NaN", 400, "BAD_REQUEST", body=b'{"query": "{ echo }", "variables": {"a": NaN}}', headers=JSON),
    Sent("null", 400, "BAD_REQUEST", body=b"null", headers=JSON),
    Sent("a string", 400, "BAD_REQUEST", body=b'"x"', headers=JSON),
    Sent("a number", 400, "BAD_REQUEST", body=b"1", headers=JSON),
    Sent("an array", 400, "BAD_REQUEST", body=b'[{"query": "{ echo }"}]', headers=JSON),
    Sent("no query", 400, "BAD_REQUEST", body=b"{}", headers=JSON),
    Sent("empty query", 400, "BAD_REQUEST", body=b'{"query": ""}', headers=JSON),
    Sent("variables as a list", 400, "BAD_REQUEST", body=b'{"query": "{ echo }", "variables": []}', headers=JSON),
    Sent("operationName as a number", 400, "BAD_REQUEST", body=b'{"query": "{ echo }", "operationName": 1}', headers=JSON),
    Sent("extensions as a string", 400, "BAD_REQUEST", body=b'{"query": "{ echo }", "extensions": "x"}', headers=JSON),
    Sent("no content type", 415, "BAD_REQUEST", body=b'{"query": "{ echo }"}'),
    Sent("a form", 415, "BAD_REQUEST", body=b"query={echo}", headers={"content-type": "application/x-www-form-urlencoded"}),
    Sent("json as a substring", 415, "BAD_REQUEST", body=b"{}", headers={"content-type": "text/application/json"}),
    Sent("another charset", 415, "BAD_REQUEST", body=b"{}", headers={"content-type": "application/json; charset=latin-1"}),
    Sent("unacceptable", 406, "BAD_REQUEST", query="{ echo }", headers={"accept": "image/png"}),
    Sent("too large", 413, "BAD_REQUEST", body=b" " * 1_100_000, headers=JSON),
    Sent("PUT", 405, "BAD_REQUEST", method="PUT", body=b"{}", headers=JSON),
    Sent("DELETE", 405, "BAD_REQUEST", method="DELETE"),
    Sent("GET without a query", 400, "BAD_REQUEST", method="GET", params={"operationName": "A"}),
    Sent("GET of a mutation", 405, "BAD_REQUEST", method="GET", params={"query": "mutation { quiet }"}),
    Sent("GET with bad variables", 400, "BAD_REQUEST", method="GET", params={"query": "{ echo }", "variables": "{"}),
    Sent("subscription by plain POST", 400, "BAD_REQUEST", query="subscription { ticks }"),
    Sent("key with two mutations", 400, "BAD_REQUEST", query="mutation { quiet touch }", headers={"idempotency-key": "k"}),
    Sent("key too long", 400, "BAD_REQUEST", query="mutation { quiet }", headers={"idempotency-key": "k" * 256}),
    # who asks
    Sent("nobody", 401, "UNAUTHENTICATED", query="{ whoami }", as_=None),
    Sent("nobody, beside a public field", 401, "UNAUTHENTICATED", query="{ echo whoami }", as_=None),
    Sent("nobody introspecting", 401, "UNAUTHENTICATED", query="{ __schema { queryType { name } } }", as_=None),
    Sent("nobody introspecting a type", 401, "UNAUTHENTICATED", query='{ __type(name: "Query") { name } }', as_=None),
    Sent("not a token", 401, "UNAUTHENTICATED", query="{ echo }", as_=None, headers={"authorization": "Bearer x.y.z"}),
    Sent("no scheme", 401, "UNAUTHENTICATED", query="{ echo }", as_=None, headers={"authorization": "abc"}),
    Sent("another scheme", 401, "UNAUTHENTICATED", query="{ echo }", as_=None, headers={"authorization": "Basic YTpi"}),
    Sent("unknown key", 401, "UNAUTHENTICATED", query="{ echo }", as_=None, headers={"authorization": "Bearer unison_ak_no"}),
    Sent("unknown X-Api-Key", 401, "UNAUTHENTICATED", query="{ echo }", as_=None, headers={"x-api-key": "unison_ak_no"}),
    Sent("without the permission", 403, "FORBIDDEN", query="{ secret }", as_="viewer", headers=GRAPHQL),
    Sent("without the permission, in a fragment", 403, "FORBIDDEN",
         query="{ ...F } fragment F on Query { secret }", as_="viewer", headers=GRAPHQL),
    Sent("without the permission, plain JSON", 200, "FORBIDDEN", query="{ secret }", as_="viewer"),
    # the document
    Sent("syntax", 400, "GRAPHQL_PARSE_FAILED", query="{", headers=GRAPHQL),
    Sent("syntax, plain JSON", 200, "GRAPHQL_PARSE_FAILED", query="{"),
    Sent("unknown field", 400, "GRAPHQL_VALIDATION_FAILED", query="{ nothing }", headers=GRAPHQL),
    Sent("unknown argument", 400, "GRAPHQL_VALIDATION_FAILED", query="{ echo(no: 1) }", headers=GRAPHQL),
    Sent("unknown operation", 400, "OPERATION_RESOLUTION_FAILURE", query="query A { echo } query B { echo }", headers=GRAPHQL),
    Sent("only a fragment", 400, "GRAPHQL_VALIDATION_FAILED", query="fragment F on Query { echo }", headers=GRAPHQL),
    Sent("tokens", 400, "OPERATION_TOO_COMPLEX", query="{ " + "echo " * 1_001 + "}", headers=GRAPHQL),
    Sent("depth", 400, "OPERATION_TOO_COMPLEX", query=nested(15), headers=GRAPHQL),
    Sent("nesting", 400, "OPERATION_TOO_COMPLEX", query="{a" * 450 + "}" * 450, headers=GRAPHQL),
    Sent("aliases", 400, "OPERATION_TOO_COMPLEX",
         query="{" + " ".join(f"a{n}: echo" for n in range(31)) + "}", headers=GRAPHQL),
    Sent("directives", 400, "OPERATION_TOO_COMPLEX", query="{ echo " + "@include(if: true) " * 9 + "}", headers=GRAPHQL),
    Sent("mutations", 400, "OPERATION_TOO_COMPLEX",
         query="mutation {" + " ".join(f"a{n}: quiet" for n in range(11)) + "}", headers=GRAPHQL),
    Sent("nested variables", 400, "OPERATION_TOO_COMPLEX",
         body=json.dumps({"query": "{ echo }", "variables": {"v": [[[]] * 1000] * 100}}).encode(), headers=JSON | GRAPHQL),
    Sent("list variable", 400, "OPERATION_TOO_COMPLEX",
         query="query A($ids: [ID!]!) { nodes(ids: $ids) { id } }", variables={"ids": ["x"] * 1_001}, headers=GRAPHQL),
    Sent("two roots of a subscription", 400, "GRAPHQL_VALIDATION_FAILED",
         query="subscription { ticks fails }", headers=GRAPHQL),
    # the values
    Sent("missing variable", 400, "BAD_USER_INPUT", query="query A($v: String!) { echo(value: $v) }", headers=GRAPHQL),
    Sent("wrong variable", 400, "BAD_USER_INPUT",
         query="query A($v: String!) { echo(value: $v) }", variables={"v": {}}, headers=GRAPHQL),
    Sent("wrong variable, plain JSON", 200, "BAD_USER_INPUT",
         query="query A($v: String!) { echo(value: $v) }", variables={"v": 1}),
    Sent("NUL in a variable", 400, "BAD_USER_INPUT",
         query="query A($v: String!) { echo(value: $v) }", variables={"v": "a\0b"}, headers=GRAPHQL),
    Sent("NUL in the document", 400, "BAD_USER_INPUT", query='{ echo(value: "\\u0000") }', headers=GRAPHQL),
    Sent("two keys of a lookup", 400, "BAD_USER_INPUT", query="query A($by: WorkOrderBy!) { workOrder(by: $by) { id } }",
         variables={"by": {"id": "x", "number": "y"}}, headers=GRAPHQL),
    Sent("a lookup by nothing", 400, "BAD_USER_INPUT", query="query A($by: WorkOrderBy!) { workOrder(by: $by) { id } }",
         variables={"by": {"id": None}}, headers=GRAPHQL),
    Sent("a lookup by nothing, inside", 200, "BAD_USER_INPUT",
         query="query A($id: ID) { workOrder(by: {id: $id}) { id } }", variables={"id": None}, headers=GRAPHQL),
    Sent("an unknown enum value", 400, "BAD_USER_INPUT", variables={"s": "FLYING"}, headers=GRAPHQL,
         query="query A($s: MachineStatus) { machines(where: {status: {eq: $s}}) { nodes { id } } }"),
    Sent("a date without an offset", 400, "BAD_USER_INPUT", variables={"d": "2026-01-01T00:00:00"}, headers=GRAPHQL,
         query="query A($d: DateTime) { machines(where: {statusSince: {gte: $d}}) { nodes { id } } }"),
    Sent("a cursor that is none", 200, "BAD_USER_INPUT", query='{ machines(after: "zzz") { nodes { id } } }'),
    Sent("a page too large", 200, "BAD_USER_INPUT", query="{ machines(first: 201) { nodes { id } } }"),
    Sent("an integer too large", 400, "BAD_USER_INPUT", variables={"n": 2**40}, headers=GRAPHQL,
         query="query A($n: Int) { machines(first: $n) { nodes { id } } }"),
    Sent("an id that is none", 200, "BAD_USER_INPUT", query='{ node(id: "%%%") { id } }', headers=GRAPHQL),
    # what happens inside
    Sent("a bug", 200, "INTERNAL_SERVER_ERROR", query="{ crash }", headers=GRAPHQL),
    Sent("a bug under non-null", 200, "INTERNAL_SERVER_ERROR", query="{ crashHard }", headers=GRAPHQL),
    Sent("a wrong answer", 200, "INTERNAL_SERVER_ERROR", query="{ wrong }", headers=GRAPHQL),
    Sent("a bad literal in a list", 400, "GRAPHQL_VALIDATION_FAILED", query="{ nodes(ids: [{}]) { id } }", headers=GRAPHQL),
    Sent("a bad statement", 200, "INTERNAL_SERVER_ERROR", query="{ badStatement }", headers=GRAPHQL),
    Sent("a value out of range", 200, "BAD_USER_INPUT", query="{ tooLarge }", headers=GRAPHQL),
    Sent("the database is gone", 503, "SERVICE_UNAVAILABLE", query="{ lost }"),
]  # fmt: skip


@pytest.mark.parametrize("sent", REFUSED, ids=lambda sent: sent.name)
async def test_refused(live: Live, tenant: Tenant, sent: Sent) -> None:
    headers = dict(sent.headers)
    if sent.as_ is not None and "authorization" not in headers:
        headers["authorization"] = f"Bearer {await live.token(tenant, sent.as_)}"
    body = sent.body
    if sent.query is not None:
        body = json.dumps({"query": sent.query, "variables": sent.variables}).encode()
        headers = JSON | headers
    answer = await live.client.request(sent.method, "/graphql", content=body, headers=headers, params=sent.params)
    assert (answer.status_code, codes(answer)[:1]) == (sent.status, [sent.code]), answer.text
    for error in answer.json()["errors"]:
        assert error["extensions"]["requestId"] == answer.headers["x-request-id"]
        assert isinstance(error["extensions"]["retryable"], bool)
    for leak in ("secret-detail", "secret_table", "Traceback", "asyncpg", "sqlalchemy", "10.1.2.3"):
        assert leak not in answer.text


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json().get("errors", [])]


async def test_401_challenges_and_405_tells_what_is_allowed(live: Live, tenant: Tenant) -> None:
    nobody = await live.post("{ whoami }")
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    wrong = await live.client.put("/graphql")
    assert wrong.headers["allow"] == "GET, POST"
    token = await live.token(tenant)
    mutation = await live.client.get(
        "/graphql", params={"query": "mutation { quiet }"}, headers={"authorization": f"Bearer {token}"}
    )
    assert mutation.headers["allow"] == "POST"


async def test_forbidden_names_the_permission(live: Live, tenant: Tenant) -> None:
    answer = await live.post("{ secret }", token=await live.token(tenant, "viewer"))
    assert answer.json()["errors"][0]["extensions"]["permission"] == "probe.secret"
    assert (await live.post("{ secret }", token=await live.token(tenant))).json()["data"] == {"secret": "told"}


async def test_what_a_rule_refuses_a_query_has_its_code(live: Live, tenant: Tenant) -> None:
    """A query has no payload to say it in."""
    of = encode("User", tenant.users["viewer"])
    asked = f'{{ sessions(userId: "{of}") {{ id }} unread: notificationUnreadCount }}'
    answer = (await live.post(asked, token=await live.token(tenant, "planner"))).json()
    assert answer["data"] == {"sessions": None, "unread": 0}
    (error,) = answer["errors"]
    told = {key: error["extensions"][key] for key in ("code", "argument", "retryable")}
    assert told == {"code": "FORBIDDEN", "argument": "userId", "retryable": False}


async def test_a_refused_document_has_no_data_entry_and_a_failed_field_keeps_its_neighbours(
    live: Live, tenant: Tenant
) -> None:
    assert "data" not in (await live.post("{ nothing }")).json()
    answer = await live.post('{ crash echo(value: "kept") }')
    assert answer.json()["data"] == {"crash": None, "echo": "kept"}
    assert answer.json()["errors"][0]["path"] == ["crash"]


async def test_a_hundred_malformed_bodies_are_never_an_error_of_ours(live: Live, tenant: Tenant) -> None:
    token = await live.token(tenant)
    good = b'{"query": "query A($v: String!) { echo(value: $v) }", "variables": {"v": "x"}, "operationName": "A"}'
    for number in range(100):
        place = number * 7 % len(good)
        bodies = [
            good[:place] + bytes([number * 37 % 256]) + good[place + 1 :],
            good[:place],
            good[:place] + b"\x00" + good[place:],
        ]
        answer = await live.client.post(
            "/graphql", content=bodies[number % 3], headers=JSON | {"authorization": f"Bearer {token}"}
        )
        assert answer.status_code in (200, 400), (bodies[number % 3], answer.text)
        assert "INTERNAL_SERVER_ERROR" not in answer.text, bodies[number % 3]


@pytest.mark.parametrize(
    "variables",
    [
        {"v": "x" * 500_000},
        {"v": [[[[]]]]},
        {"v": 1e308},
        {"v": 10**30},
        {"v": True},
        {"v": None},
        {"w": "\u202e"},
        {"v": {"v": {}}},
    ],
    ids=lambda value: str(value)[:20],
)
async def test_odd_variables_are_never_an_error_of_ours(live: Live, variables: dict[str, Any]) -> None:
    answer = await live.post("query A($v: String!) { echo(value: $v) }", variables=variables)
    assert answer.status_code == 200
    assert codes(answer) in ([], ["BAD_USER_INPUT"])


async def test_a_refused_variable_is_named_and_not_repeated_at_length(live: Live) -> None:
    answer = await live.post("query A($v: Int!) { echo @skip(if: false) a: echo }", variables={"v": "x" * 100_000})
    assert codes(answer) == ["GRAPHQL_VALIDATION_FAILED"]
    answer = await live.post("query A($v: String!) { echo(value: $v) }", variables={"v": {"x": "y" * 100_000}})
    (error,) = answer.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "v")
    assert len(answer.content) < 1_000


async def test_deeply_nested_variables_are_refused(live: Live) -> None:
    value: Any = "x"
    for _ in range(300):
        value = [value]
    answer = await live.post("query A($v: String!) { echo(value: $v) }", variables={"v": value})
    assert codes(answer) == ["OPERATION_TOO_COMPLEX"]
