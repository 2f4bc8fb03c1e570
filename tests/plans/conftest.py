"""The demo factory, asked through the edge with and without plans."""

from __future__ import annotations

import pytest

from db.actor import Actor
from tests.isolation.conftest import Factory, factory

__all__ = ["factory"]


@pytest.fixture
async def acme(factory: Factory) -> Actor:
    return await factory.actor("acme")
