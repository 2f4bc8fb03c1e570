"""Auditors and clients of the protocols, written by others, against the running house."""

from __future__ import annotations

import json

from tests.conformance.conftest import House, Node

SHORT_SECONDS = 4


def last_line(output: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(output.strip().splitlines()[-1])
    return found


def test_graphql_over_http_61_of_61(house: House, node: Node, token: str) -> None:
    output = node.run("audit.mjs", ENDPOINT=house.endpoint, TOKEN=token)
    assert last_line(output) == {"total": 61, "failed": 0}


def test_the_client_of_graphql_ws(house: House, node: Node, token: str) -> None:
    short = house.short(house.sign_in("viewer@acme.example"), SHORT_SECONDS)
    output = node.run("sockets.mjs", ENDPOINT=house.endpoint, TOKEN=token, SHORT_TOKEN=short)
    assert last_line(output)["passed"] == 8


def test_the_client_of_graphql_sse(house: House, node: Node, token: str) -> None:
    short = house.short(house.sign_in("viewer@acme.example"), SHORT_SECONDS)
    output = node.run("events.mjs", ENDPOINT=house.endpoint, TOKEN=token, SHORT_TOKEN=short)
    assert last_line(output)["passed"] == 6
