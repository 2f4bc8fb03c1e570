"""A house with a module that numbers documents and offers settings of every type."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from modules.platform.public import DocumentType, SettingKey, SettingType
from schema.registry import Module, register, registered

SAMPLE = Module(
    name="sample",
    settings=[
        DocumentType("sample", "SMP", "Samples", padding=4),
        SettingKey(key="sample.limit", type=SettingType.INTEGER, default=5, description="From 1 to 9", least=1, most=9),
        SettingKey(key="sample.rate", type=SettingType.DECIMAL, default=Decimal("0.5"), description="A rate"),
        SettingKey(key="sample.on", type=SettingType.BOOLEAN, default=False, description="Whether"),
        SettingKey(key="sample.password", type=SettingType.TEXT, default=None, description="A secret", sensitive=True),
    ],
)


@pytest.fixture(autouse=True)
def sample() -> Iterator[None]:
    before = list(registered())
    register([*before, SAMPLE])
    yield
    register(before)
