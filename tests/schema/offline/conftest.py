"""A shop floor per test, in the place of the small module's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.production.shop import Shop
from tests.support import House, Tenant


@pytest.fixture
def shop(database: Any, house: House, tenant: Tenant) -> Shop:
    return Shop(database, tenant)
