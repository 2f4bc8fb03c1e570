"""Trusted documents: named by their hash over every transport, registered once, and for some apps the only ones."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from api import trusted as trusting
from api.charging import Charging
from api.documents import Documents
from db.actor import Actor
from modules.identity.sessions.tokens import KEY_PREFIX, digest, new_secret
from schema.plans.execute import Prepared
from tests.api.conftest import Live
from tests.api.test_sockets import initialised, receive, send
from tests.support import House, Statements, Tenant

REGISTER = """mutation ($input: TrustedDocumentsRegisterInput!) {
  trustedDocumentsRegister(input: $input) { documents { documentId hash name text } errors { code message path } }
}"""
DOCUMENT = "query Mine { workOrders(first: 1) { nodes { id } } }"
GRAPHQL = {"accept": "application/graphql-response+json"}


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def register(house: House, tenant: Tenant, *texts: str, role: str = "admin") -> dict[str, Any]:
    given = {"documents": [{"text": text} for text in texts]}
    answer: dict[str, Any] = await house.data(tenant.actor(role), REGISTER, {"input": given})
    return answer["trustedDocumentsRegister"]


def error(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["errors"][0]
    return found


async def test_registered_documents_are_kept_as_they_are(house: House, tenant: Tenant, stranger: Tenant) -> None:
    spaced = f"  {DOCUMENT}\n# as it was written\n"
    made = await register(house, tenant, DOCUMENT, spaced, DOCUMENT)
    assert made["errors"] == []
    assert [d["hash"] for d in made["documents"]] == [hash_of(DOCUMENT), hash_of(spaced)]
    assert made["documents"][1]["text"] == spaced
    assert (await register(house, tenant, spaced, role="integration"))["documents"] == made["documents"][1:]
    listed = '{ trustedDocuments(where: {name: {eq: "Mine"}}) { nodes { documentId registeredByUser { id } } totalCount { value } } }'
    mine = (await house.data(tenant.actor(), listed))["trustedDocuments"]
    assert mine["totalCount"]["value"] == 2
    assert {node["documentId"] for node in mine["nodes"]} == {f"sha256:{d['hash']}" for d in made["documents"]}
    assert (await house.data(stranger.actor(), listed))["trustedDocuments"]["nodes"] == []
    assert await house.code(tenant.actor("viewer"), REGISTER, {"input": {"documents": []}}) == "FORBIDDEN"


@pytest.mark.parametrize(
    "text", ["{ nothing }", "{ workOrders", "fragment F on WorkOrder { id }", "", "{ me " + "{ account " * 400, "\0"]
)
async def test_what_cannot_run_is_not_registered(house: House, tenant: Tenant, text: str) -> None:
    refused = await register(house, tenant, DOCUMENT, text)
    assert refused["documents"] is None
    assert (refused["errors"][0]["code"], refused["errors"][0]["path"]) == (
        "VALIDATION_FAILED",
        ["documents", "1", "text"],
    )
    listed = await house.data(tenant.actor(), "{ trustedDocuments { nodes { id } } }")
    assert listed["trustedDocuments"]["nodes"] == []


async def test_a_document_is_sent_by_its_hash(live: Live, house: House, tenant: Tenant, stranger: Tenant) -> None:
    await register(house, tenant, DOCUMENT)
    token, hash = await live.token(tenant), hash_of(DOCUMENT)
    headers = {"authorization": f"Bearer {token}"}
    for body in (
        {"documentId": f"sha256:{hash}"},
        {"documentId": f"sha256:{hash.upper()}", "query": DOCUMENT},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}},
        {"documentId": f"sha256:{hash}", "query": None, "operationName": "Mine"},
    ):
        answer = await live.client.post("/graphql", json=body, headers=headers)
        assert answer.json()["data"] == {"workOrders": {"nodes": []}}
        assert answer.json()["extensions"]["cost"]["requested"] == 3
    for params in (
        {"documentId": f"sha256:{hash}"},
        {"extensions": json.dumps({"persistedQuery": {"version": 1, "sha256Hash": hash}})},
    ):
        assert "data" in (await live.client.get("/graphql", params=params, headers=headers)).json()
    async with initialised(live, token) as socket:
        await send(socket, id="1", type="subscribe", payload={"documentId": f"sha256:{hash}"})
        assert (await receive(socket))["payload"]["data"] == {"workOrders": {"nodes": []}}
    events = headers | {"accept": "text/event-stream"}
    streamed = await live.client.post("/graphql", json={"documentId": f"sha256:{hash}"}, headers=events)
    assert 'data: {"data":{"workOrders":{"nodes":[]}}' in streamed.text
    theirs = {"authorization": f"Bearer {await live.token(stranger)}"}
    foreign = await live.client.post("/graphql", json={"documentId": f"sha256:{hash}"}, headers=theirs)
    assert error(foreign)["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_known_document_needs_no_look_up(live: Live, house: House, tenant: Tenant) -> None:
    text = "query Me { me { account { email } } }"
    await register(house, tenant, text)
    body = {"documentId": f"sha256:{hash_of(text)}"}
    headers = {"authorization": f"Bearer {await live.token(tenant)}"}
    assert "data" in (await live.client.post("/graphql", json=body, headers=headers)).json()
    with Statements(live.app.state.beside) as seen:
        for _ in range(3):
            assert "data" in (await live.client.post("/graphql", json=body, headers=headers)).json()
        unknown = {"documentId": f"sha256:{hash_of('another')}"}
        assert "errors" in (await live.client.post("/graphql", json=unknown, headers=headers)).json()
    assert len([statement for statement in seen.seen if "trusted_document" in statement]) == 1


async def test_odd_ids_and_unknown_ones(live: Live, tenant: Tenant) -> None:
    headers = {"authorization": f"Bearer {await live.token(tenant)}"} | GRAPHQL
    for id in ("", "x", "sha256:", "md5:" + "0" * 64, "sha256:" + "g" * 64, 7, ["sha256:" + "0" * 64], {}):
        answer = await live.client.post("/graphql", json={"documentId": id}, headers=headers)
        assert (answer.status_code, error(answer)["extensions"]["code"]) == (400, "BAD_REQUEST"), id
    other = await live.client.post(
        "/graphql", json={"documentId": "sha256:" + "0" * 64, "query": "{ echo }"}, headers=headers
    )
    assert error(other)["extensions"]["code"] == "BAD_REQUEST"
    unknown = await live.client.post("/graphql", json={"documentId": "sha256:" + "0" * 64}, headers=headers)
    assert (unknown.status_code, error(unknown)["extensions"]["code"]) == (400, "PERSISTED_QUERY_NOT_FOUND")
    assert error(unknown)["message"] == "PersistedQueryNotFound"  # Apollo's clients compare it
    made_up = {"documentId": f"sha256:{hash_of('{ echo }')}", "query": "{ echo }"}
    assert (await live.client.post("/graphql", json=made_up, headers=headers)).json()["data"] == {"echo": ""}


async def test_a_trusted_document_may_be_long(live: Live, house: House, tenant: Tenant) -> None:
    long = " ".join(f"query Q{n} {{ me {{ account {{ email id __typename }} }} }}" for n in range(190))
    await register(house, tenant, long)
    token = await live.token(tenant)
    made_up = await live.post(long, token=token, operationName="Q7")
    assert error(made_up)["extensions"]["code"] == "OPERATION_TOO_COMPLEX"
    body = {"documentId": f"sha256:{hash_of(long)}", "operationName": "Q7"}
    answer = await live.client.post("/graphql", json=body, headers={"authorization": f"Bearer {token}"})
    assert "data" in answer.json()


async def test_documents_of_the_server_are_for_everybody(live: Live, tenant: Tenant, admin: asyncpg.Connection) -> None:
    text = '{ echo(value: "from the server") }'
    await admin.execute(
        "insert into meta.trusted_documents (hash, name, text) values ($1, 'Echo', $2) on conflict do nothing",
        hash_of(text),
        text,
    )
    for headers in ({}, {"authorization": f"Bearer {await live.token(tenant)}"}):
        answer = await live.client.post("/graphql", json={"documentId": f"sha256:{hash_of(text)}"}, headers=headers)
        assert answer.json()["data"] == {"echo": "from the server"}


async def test_an_app_may_be_held_to_trusted_documents(
    live: Live, house: House, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    secret, org = new_secret(KEY_PREFIX), tenant.organization_id
    app = 'mutation { appCreate(input: {code: "mes", name: "MES"}) { app { id version documentPolicy } } }'
    made = (await house.data(tenant.actor(), app))["appCreate"]["app"]
    assert made["documentPolicy"] == "OPTIONAL"
    update = (
        "mutation ($input: AppUpdateInput!) { appUpdate(input: $input) { app { documentPolicy } errors { code } } }"
    )
    changed = {"id": made["id"], "expectedVersion": made["version"], "documentPolicy": "REQUIRED"}
    answer = await house.data(tenant.actor(), update, {"input": changed})
    assert answer["appUpdate"] == {"app": {"documentPolicy": "REQUIRED"}, "errors": []}
    key = await admin.fetchval(
        "insert into app.app_keys (organization_id, app_id, name, prefix, scopes)"
        " select $1, id, 'k', 'p', '{production.read}' from app.apps where organization_id = $1 and code = 'mes' returning id",
        org,
    )
    await admin.execute(
        "insert into auth.api_keys (organization_id, key_id, key_hash) values ($1, $2, $3)", org, key, digest(secret)
    )
    await register(house, tenant, DOCUMENT)
    refused = await live.post(DOCUMENT, token=secret, headers=GRAPHQL)
    assert (refused.status_code, error(refused)["extensions"]["code"]) == (403, "FORBIDDEN")
    assert error(refused)["extensions"]["reason"] == "TRUSTED_DOCUMENT_REQUIRED"
    body = {"documentId": f"sha256:{hash_of('{ echo }')}", "query": "{ echo }"}
    headers = {"authorization": f"Bearer {secret}"}
    assert error(await live.client.post("/graphql", json=body, headers=headers))["extensions"]["code"] == "FORBIDDEN"
    body = {"documentId": f"sha256:{hash_of(DOCUMENT)}"}
    assert "data" in (await live.client.post("/graphql", json=body, headers=headers)).json()


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """How often a document is parsed and an operation planned."""
    done: Counter[str] = Counter()
    names = {(Documents._parsed.__code__): "parsed", Prepared._made.__code__: "planned"}

    def note(frame: Any, what: str, _: Any) -> None:
        if what == "call" and frame.f_code in names:
            done[names[frame.f_code]] += 1

    sys.setprofile(note)
    try:
        yield done
    finally:
        sys.setprofile(None)


async def test_an_unregistered_hash_beside_a_known_text_asks_and_costs_nothing(
    live: Live, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do Apollo's clients send each request, once they were told the hash is not known."""
    paid: list[int] = []
    reading = Charging.reading

    async def counted(self: Charging, actor: Actor, length: int) -> None:
        paid.append(length)
        await reading(self, actor, length)

    monkeypatch.setattr(Charging, "reading", counted)
    monkeypatch.setattr(trusting, "UNKNOWN_SECONDS", 0.0)
    text = f"query Apollo {{ me {{ account {{ id }} }} }} # {tenant.code}"
    body = {"query": text, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}}
    headers = {"authorization": f"Bearer {await live.token(tenant)}"}
    with Statements(live.app.state.beside) as seen:
        for _ in range(3):
            assert "data" in (await live.client.post("/graphql", json=body, headers=headers)).json()
    assert paid == [0, len(text)], "for the hash and for the text, the first time"
    assert len([one for one in seen.seen if "trusted_document" in one]) == 1
