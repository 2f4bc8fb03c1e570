"""A shop floor per test."""

from __future__ import annotations

import pytest

from db.session import Database
from tests.modules.production.shop import Shop
from tests.support import Tenant


@pytest.fixture
def shop(database: Database, house: object, tenant: Tenant) -> Shop:  # `house` registers the modules
    return Shop(database, tenant)
