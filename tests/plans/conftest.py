"""The demo factory, asked through the edge with and without plans."""

from __future__ import annotations

import pytest

from db.actor import Actor
from db.session import Database
from schema.ids import encode
from tests.isolation.conftest import Factory, factory
from tests.modules.production.shop import Shop
from tests.support import House, Tenant

__all__ = ["factory"]


@pytest.fixture
async def acme(factory: Factory) -> Actor:
    return await factory.actor("acme")


@pytest.fixture
def shop(database: Database, house: House, tenant: Tenant) -> Shop:
    return Shop(database, tenant)


@pytest.fixture
async def operation(shop: Shop) -> str:
    """The first of two operations of an order that was released."""
    return encode("WorkOrderOperation", (await shop.operations(await shop.order(2)))[0].id)
