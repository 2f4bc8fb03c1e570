"""Subscriptions of one organization, and the groups they stand in."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.api.conftest import Live
from tests.support import Tenant

PROJECTS = """subscription($where: ProjectWhere, $after: String, $snapshot: Boolean, $every: Int) {
  projectEvents(where: $where, after: $after, snapshot: $snapshot, minIntervalMs: $every) {
    cursor type object { id name primaryPlant { code } } } }"""


async def members(live: Live, tenant: Tenant, expected: list[int]) -> None:
    """Wait until the tenant's subscriptions stand in groups of these sizes."""
    async with asyncio.timeout(10):
        while sorted(live.app.state.streams.groups.sizes(tenant.organization_id)) != expected:
            await asyncio.sleep(0.01)


async def only_plant(admin: asyncpg.Connection, tenant: Tenant, role: str, plant: int | None) -> None:
    await admin.execute(
        "update app.role_grants set plant_id = $3 where organization_id = $1 and user_id = $2",
        tenant.organization_id, tenant.users[role], None if plant is None else tenant.plants[plant],
    )  # fmt: skip
