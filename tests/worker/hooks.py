"""Endpoints for the tests of webhooks, made by the mutations people use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from schema.ids import encode
from tests.support import House, Tenant

KEY = (
    "insert into app.app_keys (organization_id, app_id, name, prefix, scopes, plant_id) values ($1, $2, 'k', 'unison_', $3, $4)"
    " returning id"
)
CREATE = """mutation($input: WebhookEndpointCreateInput!) { webhookEndpointCreate(input: $input) {
  secret webhookEndpoint { id version status topics { topic selection } } errors { code message path } } }"""
SHOWN = """query($id: ID!) { webhookEndpoint(by: {id: $id}) { id version status pausedReason url
  progress { cursor failingSince failuresInARow deadInARow }
  deliveries(first: 200, orderBy: [{field: CREATED_AT, direction: ASC}]) { nodes {
    id reference kind topic entityId status attemptCount responseStatus lastError
    attempts { nodes { number responseStatus responseBody error durationMs } } } } } }"""


@dataclass
class Endpoint:
    """An endpoint and the one who manages it."""

    house: House
    tenant: Tenant
    id: str
    key: int
    secret: str

    async def shown(self) -> dict[str, Any]:
        data = await self.house.data(self.tenant.actor(), SHOWN, {"id": self.id})
        found: dict[str, Any] = data["webhookEndpoint"]
        return found

    async def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.shown())["deliveries"]["nodes"]
        return found

    async def statuses(self) -> list[str]:
        return [one["status"] for one in await self.deliveries()]

    async def do(self, what: str, kind: str = "WebhookEndpoint", /, **given: Any) -> Any:
        """A mutation of the endpoint in its present version; answers its payload."""
        given["expectedVersion"] = (await self.shown())["version"]
        return await self.call(f"webhookEndpoint{what}", f"{kind}Input", "errors { code path }", id=self.id, **given)

    async def call(self, field: str, input_type: str, selection: str, **given: Any) -> Any:
        document = f"mutation($input: {input_type}!) {{ {field}(input: $input) {{ {selection} }} }}"
        return (await self.house.data(self.tenant.actor(), document, {"input": given}))[field]


async def key_of(
    admin: asyncpg.Connection, tenant: Tenant, scopes: list[str] | None = None, plant: int | None = None
) -> int:
    """A key of a new app; its secret is of no use here."""
    async with admin.transaction():
        await admin.execute(f"set local app.org_id = '{tenant.organization_id}'")
        app = await admin.fetchval(
            "insert into app.apps (organization_id, code, name) values ($1, 'a' || nextval('app.apps_id_seq'), 'A') returning id",
            tenant.organization_id,
        )
        key: int = await admin.fetchval(
            KEY, tenant.organization_id, app, scopes or ["equipment.read", "identity.read"], plant
        )
        return key


async def endpoint(
    house: House, admin: asyncpg.Connection, tenant: Tenant, url: str, *, topics: Any = None, **key: Any
) -> Endpoint:
    made = await key_of(admin, tenant, **key)
    topics = topics or [{"topic": "Machine", "selection": "{ id name plant { code } }"}]
    given = {"appKeyId": encode("AppKey", made), "url": url, "topics": topics}
    answer = (await house.data(tenant.actor(), CREATE, {"input": given}))["webhookEndpointCreate"]
    assert answer["errors"] == [], answer
    return Endpoint(house, tenant, answer["webhookEndpoint"]["id"], made, answer["secret"])


async def paused(hook: Endpoint) -> bool:
    return bool((await hook.shown())["status"] == "PAUSED")


async def queue_empty(admin: asyncpg.Connection) -> bool:
    return await admin.fetchval("select count(*) from pgmq.q_webhooks") == 0


async def statuses(hook: Endpoint, wanted: list[str]) -> bool:
    return await hook.statuses() == wanted
