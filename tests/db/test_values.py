"""What PostgreSQL can hold: what is said of a value without asking it is what PostgreSQL says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import ARRAY, BigInteger, Boolean, Date, Integer, Numeric, SmallInteger, Text, select
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.actor import Actor
from db.paging import Key
from db.session import Database
from db.values import holds
from modules.production.tables import WorkOrder, WorkOrderOperation
from tests.support import Tenant

VALUES: list[tuple[str, Any, list[Any]]] = [
    ("smallint", SmallInteger(), [-(2**15), 2**15 - 1, 2**15]),
    ("integer", Integer(), [2**31 - 1, 2**31, -(2**31), -(2**31) - 1]),
    ("bigint", BigInteger(), [2**63 - 1, 2**63]),
    ("numeric(18, 6)", Numeric(18, 6), [Decimal("999999999999.999998"), Decimal("1e12"), Decimal("-9e98"), Decimal("1e-30")]),
    ("numeric", Numeric(), [Decimal("9e99")]),
    ("varchar", Text(), ["", "ü", "a\0", "\ud800"]),
    ("boolean", Boolean(), [True]),
    ("date", Date(), [date.min, date.max]),
    ("timestamptz", TIMESTAMP(timezone=True), [datetime(1900, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)]),
    ("varchar[]", ARRAY(Text()), [[], ["a", "b"], ["a", "\0"]]),
    ("integer[]", ARRAY(Integer()), [[1, 2**31]]),
]  # fmt: skip


@pytest.fixture
def actor(tenant: Tenant) -> Actor:
    return tenant.actor()


@pytest.mark.parametrize(("name", "kind", "value"), [(n, k, v) for n, k, values in VALUES for v in values])
async def test_it_is_as_postgresql_says(database: Database, actor: Actor, name: str, kind: Any, value: Any) -> None:
    async def taken() -> bool:
        try:
            async with database.read(actor) as tx:
                await tx.fetchrow(f"select $1::{name}", [value])
        except asyncpg.DataError:
            return False
        return True

    assert holds(kind, value) is await taken()
    assert holds(kind, None)


def test_of_what_is_not_known_nothing_is_sure() -> None:
    assert not holds(JSONB(), {})


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (WorkOrderOperation.sequence, {"10": True, "2147483648": False, "x": False}),
        (WorkOrder.id, {"2147483648": True, "9" * 19: False}),
        (WorkOrder.quantity_ordered, {"1.5": True, "9" * 13: False}),
        (WorkOrder.number, {"WO-1": True, "\0": False}),
        (WorkOrder.planned_start_at, {"2026-01-31 08:00:00+00": True, "2026-01-31 08:00:00+16:00": False,
                                      "2026-01-31 08:00:00+15:59": True, "2026-02-30 08:00:00+00": False}),
    ],
)  # fmt: skip
async def test_a_place_in_a_list_is_one(database: Database, actor: Actor, column: Any, texts: dict[str, bool]) -> None:
    for text, expected in texts.items():
        key = Key(column)
        assert key.fits(text) is expected, text
        if expected:
            async with database.read(actor) as tx:
                await tx.scalar(select(key.value(text)))
