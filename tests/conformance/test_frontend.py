"""What the first frontend does, with its own documents: sign in, read, release, record, and watch it arrive."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

from graphql import parse, print_ast
from graphql.utilities import separate_operations
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.conformance.conftest import ROOT, House

FOLDER = ROOT / "client-examples" / "operations"
DOCUMENTS = {
    name: print_ast(document)
    for name, document in separate_operations(
        parse("\n".join(file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.graphql"))))
    ).items()
}


def test_every_query_is_answered(house: House, token: str) -> None:
    order = house.ask(DOCUMENTS["WorkOrders"], {"first": 1}, token=token)["workOrders"]["nodes"][0]
    machine = house.ask(DOCUMENTS["Machines"], {"first": 1}, token=token)["machines"]["nodes"][0]
    given: dict[str, dict[str, Any]] = {
        "SignInPage": {"subdomain": "acme"},
        "WorkOrderWithSteps": {"by": {"number": order["number"]}},
        "MachineHistory": {"id": machine["id"]},
    }
    for name in ("SignInPage", "Me", "WorkOrderBoard", "WorkOrderWithSteps", "MachineHistory", "ScrapReasons"):
        answer = house.ask(DOCUMENTS[name], given.get(name), token=token)
        assert all(answer.values()), (name, answer)


def test_a_session_goes_on_and_ends(house: House) -> None:
    given = {"organization": "acme", "email": "planner@acme.example", "password": "unison-demo"}
    first = house.ask(DOCUMENTS["SignIn"], {"input": given})["sessionCreate"]
    assert first["user"]["fullName"]
    second = house.ask(DOCUMENTS["KeepSignedIn"], {"refreshToken": first["refreshToken"]})["sessionRefresh"]
    assert second["errors"] == []
    assert house.ask(DOCUMENTS["SignOut"], token=second["accessToken"])["sessionEnd"]["errors"] == []
    third = house.ask(DOCUMENTS["KeepSignedIn"], {"refreshToken": second["refreshToken"]})["sessionRefresh"]
    assert third["accessToken"] is None
    assert third["errors"]


async def test_an_order_is_released_and_what_is_made_arrives(house: House, token: str) -> None:
    planned = house.ask(DOCUMENTS["WorkOrders"], {"where": {"status": {"eq": "PLANNED"}}, "first": 50}, token=token)[
        "workOrders"
    ]["nodes"]
    uri = house.endpoint.replace("http://", "ws://")
    async with connect(uri, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await _send(socket, type="connection_init", payload={"authorization": f"Bearer {token}"})
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        for name in ("WorkOrderChanges", "ProductionChanges"):
            await _send(socket, id=name, type="subscribe", payload={"query": DOCUMENTS[name]})
        await asyncio.sleep(0.5)

        order, step = _released(house, token, planned)
        key = uuid4().hex
        made = {
            "operationId": step["id"], "kind": "REPORT", "good": "1", "scrap": "0", "rework": "0", "reworked": False,
            "idempotencyKey": key,
        }  # fmt: skip
        recorded = house.ask(DOCUMENTS["ProductionRecord"], {"input": made}, token=token)["productionLogRecord"]
        assert recorded["errors"] == []
        again = house.ask(DOCUMENTS["ProductionRecord"], {"input": made}, token=token)["productionLogRecord"]
        assert again["productionLog"]["id"] == recorded["productionLog"]["id"], "sent twice, posted once"

        seen: dict[str, set[str]] = {"WorkOrderChanges": set(), "ProductionChanges": set()}
        async with asyncio.timeout(10):
            while (
                order["id"] not in seen["WorkOrderChanges"]
                or recorded["productionLog"]["id"] not in seen["ProductionChanges"]
            ):
                message = json.loads(await socket.recv())
                assert message["type"] == "next", message
                (event,) = message["payload"]["data"].values()
                seen[message["id"]].add(event["object"]["id"])


def _released(house: House, token: str, planned: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first planned order that can be released and reported on, and its first step."""
    refused = []
    for order in planned:
        given = {"id": order["id"], "expectedVersion": order["version"]}
        payload = house.ask(DOCUMENTS["WorkOrderRelease"], {"input": given}, token=token)["workOrderRelease"]
        if not payload["errors"]:
            found = house.ask(DOCUMENTS["WorkOrderWithSteps"], {"by": {"id": order["id"]}}, token=token)["workOrder"]
            return payload["workOrder"], found["operations"]["nodes"][0]
        refused.append(payload["errors"])
    raise AssertionError(f"no planned order could be released: {refused[:3]}")


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))
