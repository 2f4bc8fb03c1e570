"""A small shop floor for tests: arranges through the services, in one transaction per step, as the application does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
from sqlalchemy import func, select

from db.actor import Actor
from db.session import Database, WriteTx
from modules.production.labor import rules as labor_rules
from modules.production.labor.service import punches_of
from modules.production.logs import service as logs
from modules.production.logs.rules import LogKind
from modules.production.logs.service import Entry, Recorded
from modules.production.operations import rules as flow
from modules.production.operations import service as operations
from modules.production.operations.rules import Amounts, Totals
from modules.production.orders import rules as order_rules
from modules.production.orders import service as orders
from modules.production.orders.rules import WorkOrderStatus
from modules.production.routings.rules import Step
from modules.production.scrap import service as scrap
from modules.production.scrap.rules import ScrapCategory
from modules.production.tables import OperationLabor, ProductionLog, ScrapReason, WorkOrder, WorkOrderOperation
from tests.support import Tenant


def D(value: int | str) -> Decimal:
    return Decimal(value)


@dataclass
class Shop:
    """An organization's plant 0, asked as one of its users."""

    database: Database
    tenant: Tenant
    role: str = "admin"

    @property
    def actor(self) -> Actor:
        return self.tenant.actor(self.role)

    @property
    def plant(self) -> int:
        return self.tenant.plants[0]

    def as_(self, role: str) -> Shop:
        return Shop(self.database, self.tenant, role)

    @asynccontextmanager
    async def tx(self, permission: str) -> AsyncIterator[WriteTx]:
        async with self.database.write(self.actor, permission) as tx:
            yield tx

    async def order(
        self,
        steps: int = 1,
        *,
        ordered: int | str = 100,
        tolerance: str = "0",
        released: bool = True,
        machine: int | None = None,
        **values: Any,
    ) -> int:
        plan = [Step(10 * (n + 1), f"Step {n + 1}", machine_id=machine) for n in range(steps)]
        given = {"plant_id": self.plant, **values}
        async with self.tx("production.plan") as tx:
            order = await orders.create(
                tx,
                now=now(),
                steps=plan,
                quantity_ordered=D(ordered),
                unit="pcs",
                over_completion_tolerance=D(tolerance),
                priority=order_rules.WorkOrderPriority.MEDIUM,
                **given,
            )
        if released:
            await self.do(order.id, "release")
        return order.id

    async def do(self, order_id: int, step: str, **extra: Any) -> WorkOrder:
        """One decision on an order, by its current version."""
        permission = {
            "release": "production.release", "hold": "production.release", "resume": "production.release",
            "cancel": "production.plan", "update": "production.plan", "reopen": "production.reopen",
        }.get(step, "production.close")  # fmt: skip
        async with self.tx(permission) as tx:
            version = extra.pop("version", None) or (await tx.found(WorkOrder, order_id)).version
            if step not in ("hold", "resume", "close"):
                extra["now"] = now()
            if step in ("hold", "cancel", "short_close", "reopen"):
                extra.setdefault("reason", "Because")
            result: WorkOrder = await getattr(orders, step)(tx, order_id, version=version, **extra)
            return result

    async def operations(self, order_id: int) -> list[WorkOrderOperation]:
        async with self.database.read(self.actor) as tx:
            return await tx.scalars(
                select(WorkOrderOperation)
                .where(WorkOrderOperation.organization_id == tx.org, WorkOrderOperation.work_order_id == order_id)
                .order_by(WorkOrderOperation.sequence)
            )

    async def get(self, order_id: int) -> WorkOrder:
        async with self.database.read(self.actor) as tx:
            return await tx.found(WorkOrder, order_id)

    async def report(
        self,
        operation: WorkOrderOperation | int,
        kind: LogKind = LogKind.REPORT,
        *,
        good: int | str = 0,
        scrap: int | str = 0,
        rework: int | str = 0,
        reworked: bool = False,
        back_to: WorkOrderOperation | None = None,
        at: datetime | None = None,
        **extra: Any,
    ) -> Recorded:
        moment = now()
        if D(scrap) and "scrap_reason_id" not in extra:
            extra["scrap_reason_id"] = await self.scrap_reason()
        entry = Entry(
            operation_id=operation if isinstance(operation, int) else operation.id,
            kind=kind,
            occurred_at=at or moment,
            amounts=Amounts(D(good), D(scrap), D(rework), reworked),
            rework_operation_id=None if back_to is None else back_to.id,
            **extra,
        )
        async with self.tx("production.report") as tx:
            return await logs.record(tx, entry, moment)

    async def reverse(self, log_id: int) -> Recorded:
        async with self.tx("production.reverse") as tx:
            return await logs.reverse(tx, log_id, reason="Miscounted", now=now())

    async def scrap_reason(self, code: str = "SCR") -> int:
        async with Shop(self.database, self.tenant).tx("production.scrap_reason.manage") as tx:
            found = await tx.scalar(
                select(ScrapReason.id).where(ScrapReason.organization_id == tx.org, ScrapReason.code == code)
            )
            if found is not None:
                return int(found)
            return (await scrap.create(tx, code=code, name="Scratch", category=ScrapCategory.HANDLING)).id

    async def check(self, order_id: int) -> None:
        """Everything that is kept beside the log is what the log says."""
        order, rows = await self.get(order_id), await self.operations(order_id)
        async with self.database.read(self.actor) as tx:
            entries: Sequence[ProductionLog] = await tx.scalars(
                select(ProductionLog).where(
                    ProductionLog.organization_id == tx.org, ProductionLog.work_order_id == order_id
                )
            )
            sums = replayed(rows, entries)
            assert [operations.totals(row) for row in rows] == sums
            most = operations.maximum(order)
            assert [row.quantity_available for row in rows] == [flow.available(sums, n, most) for n in range(len(rows))]
            assert all(flow.waiting(sums, n) >= 0 for n in range(1, len(rows)))
            assert order.quantity_good == sums[-1].good <= most
            assert order.quantity_scrapped == sum(s.scrap for s in sums)
            for row in rows:
                assert row.status is flow.status(
                    order.status,
                    started=row.started_at is not None,
                    good=row.quantity_good,
                    ordered=order.quantity_ordered,
                )
                worked = {k: labor_rules.work(p) for k, p in (await punches_of(tx, row.id)).items()}
                assert row.labor_seconds == sum(w.seconds for w in worked.values())
                assert row.machine_seconds == labor_rules.machine_seconds(list(worked.values()))
                assert row.people_running == sum(w.state is labor_rules.Clock.RUNNING for w in worked.values())
                clocks = await tx.scalars(
                    select(OperationLabor).where(
                        OperationLabor.organization_id == tx.org, OperationLabor.operation_id == row.id
                    )
                )
                assert {c.operator_id: (c.state, c.seconds) for c in clocks if c.operator_id in worked} == {
                    k: (w.state, w.seconds) for k, w in worked.items()
                }
        if order.status is WorkOrderStatus.COMPLETED:
            assert order.short_closed or order.quantity_good >= order.quantity_ordered
        if any(entries):
            assert order.status not in (WorkOrderStatus.PLANNED, WorkOrderStatus.RELEASED)

    async def log_count(self, order_id: int) -> int:
        async with self.database.read(self.actor) as tx:
            return int(
                await tx.scalar(
                    select(func.count(ProductionLog.id)).where(
                        ProductionLog.organization_id == tx.org, ProductionLog.work_order_id == order_id
                    )
                )
            )


def replayed(rows: Sequence[WorkOrderOperation], entries: Sequence[ProductionLog]) -> list[Totals]:
    """The sums of a log, row by row: the long way."""
    at = {row.id: n for n, row in enumerate(rows)}
    sums = [Totals()] * len(rows)
    for e in entries:
        sign = -1 if e.kind is LogKind.REVERSAL else 1
        amounts = Amounts(sign * e.quantity_good, sign * e.quantity_scrapped, sign * e.quantity_rework, e.reworked)
        target = None if e.rework_operation_id is None else at[e.rework_operation_id]
        sums = flow.apply(sums, at[e.operation_id], amounts, target, sign)
    return sums


async def machine(admin: asyncpg.Connection[Any], tenant: Tenant, code: str = "M1", plant: int = 0) -> int:
    return int(
        await admin.fetchval(
            "insert into app.machines (organization_id, plant_id, code, name, status_since)"
            " values ($1, $2, $3, $3, now()) returning id",
            tenant.organization_id,
            tenant.plants[plant],
            code,
        )
    )


def now() -> datetime:
    return datetime.now(UTC)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)
