"""The operations of an order: copied from its routing, locked together, their sums derived from the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete

from db.rows import change
from db.session import WriteTx
from modules.production import references
from modules.production.orders import rules as orders
from modules.production.routings.rules import Step, check_steps
from modules.production.tables import WorkOrder, WorkOrderOperation

from . import rules
from .rules import ZERO, OperationStatus, Totals


async def locked(tx: WriteTx, order: WorkOrder) -> list[WorkOrderOperation]:
    """The operations of an order whose row is held, in the order they are worked. They are held by ascending id."""
    rows = await tx.locked_of(WorkOrderOperation, WorkOrderOperation.work_order_id, order.id)
    return sorted(rows, key=lambda row: row.sequence)


async def replace(tx: WriteTx, order: WorkOrder, steps: Sequence[Step]) -> list[WorkOrderOperation]:
    """Give a planned order another list of operations."""
    check_steps(steps)
    await references.check_machines(tx, steps, order.plant_id)
    await tx.execute(
        delete(WorkOrderOperation).where(
            WorkOrderOperation.organization_id == tx.org, WorkOrderOperation.work_order_id == order.id
        )
    )
    rows = [tx.add(_copy(order, step)) for step in sorted(steps, key=lambda step: step.sequence)]
    refresh(order, rows, at=None)
    return rows


def totals(row: WorkOrderOperation) -> Totals:
    return Totals(
        good=row.quantity_good,
        scrap=row.quantity_scrapped,
        rework=row.quantity_rework,
        rework_in=row.quantity_rework_in,
        reworked=row.quantity_reworked,
        reworked_good=row.quantity_reworked_good,
        rework_loops=row.rework_loops,
    )


def keep(row: WorkOrderOperation, sums: Totals) -> None:
    change(
        row,
        quantity_good=sums.good,
        quantity_scrapped=sums.scrap,
        quantity_rework=sums.rework,
        quantity_rework_in=sums.rework_in,
        quantity_reworked=sums.reworked,
        quantity_reworked_good=sums.reworked_good,
        rework_loops=sums.rework_loops,
    )


def refresh(order: WorkOrder, rows: Sequence[WorkOrderOperation], *, at: datetime | None) -> None:
    """Derive everything that follows from the sums: those of the order, what is available, every state."""
    sums = [totals(row) for row in rows]
    good = sums[-1].good if sums else ZERO
    change(order, quantity_good=good, quantity_scrapped=sum((s.scrap for s in sums), ZERO))
    most = maximum(order)
    for n, row in enumerate(rows):
        status = rules.status(
            order.status, started=row.started_at is not None, good=row.quantity_good, ordered=order.quantity_ordered
        )
        change(
            row,
            department_id=order.department_id,
            unit=order.unit,
            quantity_planned=order.quantity_ordered,
            quantity_available=rules.available(sums, n, most),
            status=status,
            completed_at=(row.completed_at or at) if status is OperationStatus.COMPLETED else None,
        )


def maximum(order: WorkOrder) -> Decimal:
    return orders.maximum(order.quantity_ordered, order.over_completion_tolerance)


def _copy(order: WorkOrder, step: Step) -> WorkOrderOperation:
    return WorkOrderOperation(
        plant_id=order.plant_id,
        work_order_id=order.id,
        sequence=step.sequence,
        name=step.name,
        description=step.description,
        machine_type=step.machine_type,
        machine_id=step.machine_id,
        setup_seconds=step.setup_seconds,
        run_seconds_per_unit=step.run_seconds_per_unit,
        quantity_good=ZERO,
        quantity_scrapped=ZERO,
        quantity_rework=ZERO,
        quantity_rework_in=ZERO,
        quantity_reworked=ZERO,
        quantity_reworked_good=ZERO,
        rework_loops=0,
        people_running=0,
        labor_seconds=0,
        machine_seconds=0,
    )
