"""What can be done with a work order. Every use case holds the order's row first, then its operations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from db.refusal import ValidationFailed
from db.session import ReadTx, WriteTx
from modules.platform.public import next_number
from modules.production import references, settings
from modules.production.operations import service as operations
from modules.production.operations.rules import ZERO
from modules.production.routings import rules as routings
from modules.production.routings import service as masters
from modules.production.routings.rules import Step as RoutingStep
from modules.production.tables import Routing, WorkOrder, WorkOrderOperation

from . import completion, notices, rules
from .rules import Step, WorkOrderStatus

UNIQUE: Final = {
    "work_orders_organization_id_external_system_external_key_key": ("externalRef",),
    "work_orders_organization_id_number_key": ("number",),
}
PATHS: Final = {
    "routing_id": "routingId",
    "project_id": "projectId",
    "department_id": "departmentId",
    "assignee_id": "assigneeId",
    "product_code": "productCode",
    "product_name": "productName",
    "operation_type": "operationType",
    "quantity_ordered": "quantityOrdered",
    "unit": "quantityOrdered",
    "over_completion_tolerance": "overCompletionTolerance",
    "planned_start_at": "plannedStartAt",
    "planned_end_at": "plannedEndAt",
    "external_system": "externalRef",
    "external_key": "externalRef",
}


async def create(
    tx: WriteTx,
    *,
    plant_id: int,
    department_id: int | None = None,
    routing_id: int | None = None,
    steps: Sequence[RoutingStep] | None = None,
    now: datetime,
    **values: Any,
) -> WorkOrder:
    """Plan an order. Its operations are its own from the start: copied from a routing, or given."""
    await references.check_place(tx, plant_id, department_id)
    await _check_references(tx, values)
    copied = await _steps(tx, plant_id, routing_id, steps)
    if values.get("over_completion_tolerance") is None:
        values["over_completion_tolerance"] = await settings.tolerance(tx)
    order = WorkOrder(
        plant_id=plant_id,
        department_id=department_id,
        routing_id=routing_id,
        status=WorkOrderStatus.PLANNED,
        short_closed=False,
        quantity_good=ZERO,
        quantity_scrapped=ZERO,
        created_by_id=tx.actor.user_id,
        **values,
    )
    _check_values(order)
    order.number = await next_number(tx, "work_order", now)
    tx.add(order)
    await tx.flush(UNIQUE)
    await operations.replace(tx, order, copied)
    await tx.flush()
    return order


async def update(
    tx: WriteTx,
    order_id: int,
    *,
    version: int,
    changes: dict[str, Any],
    steps: Sequence[RoutingStep] | None = None,
    now: datetime,
) -> WorkOrder:
    """Change what the order's state leaves open. A quantity lowered to what is made completes the order."""
    order, rows = await _held(tx, order_id, version)
    rules.check_editable(order.status, [*changes, *(["operations"] if steps is not None else [])], PATHS)
    if "department_id" in changes:
        await references.check_place(tx, order.plant_id, changes["department_id"])
    await _check_references(tx, changes)
    copied = None
    if steps is not None or changes.get("routing_id") is not None:
        copied = await _steps(tx, order.plant_id, changes.get("routing_id", order.routing_id), steps)
    for name, value in changes.items():
        setattr(order, name, value)
    _check_values(order)
    await tx.flush(UNIQUE)
    if copied is not None:
        rows = await operations.replace(tx, order, copied)
    operations.refresh(order, rows, at=now)
    if order.status is WorkOrderStatus.IN_PROGRESS and rules.is_complete(order.quantity_ordered, order.quantity_good):
        completion.complete(order, rows, at=now)
    await tx.flush()
    return order


async def release(tx: WriteTx, order_id: int, *, version: int, now: datetime) -> WorkOrder:
    """Hand the order to the shop floor; from here on its operations are frozen."""
    order, rows = await _held(tx, order_id, version)
    status = rules.take(Step.RELEASE, order.status)
    routings.check_complete(len(rows))
    order.status, order.released_at = status, now
    operations.refresh(order, rows, at=now)
    await notices.tell(tx, notices.RELEASED, order)
    return order


async def hold(tx: WriteTx, order_id: int, *, version: int, reason: str) -> WorkOrder:
    order, _ = await _held(tx, order_id, version)
    order.status = rules.take(Step.HOLD, order.status)
    order.status_reason = reason
    await notices.tell(tx, notices.HELD, order)
    return order


async def resume(tx: WriteTx, order_id: int, *, version: int) -> WorkOrder:
    order, _ = await _held(tx, order_id, version)
    order.status = rules.resume(order.status, order.actual_start_at)
    order.status_reason = None
    return order


async def complete(tx: WriteTx, order_id: int, *, version: int, now: datetime) -> WorkOrder:
    """Complete an order whose quantity is made; a report that makes it so does this by itself."""
    order, rows = await _held(tx, order_id, version)
    rules.take(Step.COMPLETE, order.status)
    if not rules.is_complete(order.quantity_ordered, order.quantity_good):
        left = rules.remaining(order.quantity_ordered, order.quantity_good)
        raise rules.Incomplete("The ordered quantity is not made: short-close the order", path=("id",), remaining=left)
    completion.complete(order, rows, at=now)
    return order


async def short_close(tx: WriteTx, order_id: int, *, version: int, reason: str, now: datetime) -> WorkOrder:
    """Complete an order below its quantity, by decision."""
    order, rows = await _held(tx, order_id, version)
    short = not rules.is_complete(order.quantity_ordered, order.quantity_good)
    completion.complete(order, rows, at=now, short_closed=short, reason=reason)
    return order


async def close(tx: WriteTx, order_id: int, *, version: int) -> WorkOrder:
    """Make the figures final; nobody may still be at work on the order."""
    order, rows = await _held(tx, order_id, version)
    status = rules.take(Step.CLOSE, order.status)
    if people := sum(row.people_running for row in rows):
        raise rules.WorkStillRunning(
            f"{people} still clocked on: complete their work first", path=("id",), people=people
        )
    order.status = status
    return order


async def cancel(tx: WriteTx, order_id: int, *, version: int, reason: str, now: datetime) -> WorkOrder:
    """Give up an order on which nothing was made."""
    order, rows = await _held(tx, order_id, version)
    reported = any(operations.totals(row).processed for row in rows)
    order.status = rules.cancel(order.status, reported=reported, good=order.quantity_good)
    order.status_reason = reason
    operations.refresh(order, rows, at=now)
    return order


async def reopen(tx: WriteTx, order_id: int, *, version: int, reason: str, now: datetime) -> WorkOrder:
    """Take a completed order up again, to report more within its tolerance or to end a short close."""
    order, rows = await _held(tx, order_id, version)
    completion.reopen(order, rows, at=now, reason=reason)
    return order


async def counts(tx: ReadTx, plant_id: int | None) -> dict[WorkOrderStatus, int]:
    """How many orders the caller sees in each state; every state is there."""
    statement = (
        select(WorkOrder.status, func.count().label("orders"))
        .where(WorkOrder.organization_id == tx.org, *([] if plant_id is None else [WorkOrder.plant_id == plant_id]))
        .group_by(WorkOrder.status)
    )
    found = {row.status: row.orders for row in await tx.rows(statement)}
    return {status: found.get(status, 0) for status in WorkOrderStatus}


async def _held(tx: WriteTx, order_id: int, version: int) -> tuple[WorkOrder, list[WorkOrderOperation]]:
    order = await tx.locked(WorkOrder, order_id, version=version)
    return order, await operations.locked(tx, order)


def _check_values(order: WorkOrder) -> None:
    """The order's values fit each other."""
    rules.check_ordered(order.quantity_ordered, order.over_completion_tolerance, order.quantity_good)
    rules.check_plan(order.planned_start_at, order.planned_end_at)


async def _check_references(tx: WriteTx, given: dict[str, Any]) -> None:
    """What is given to the order exists; asked before the order is touched, so that nothing half-checked is flushed."""
    if given.get("project_id") is not None:
        await references.check_project(tx, given["project_id"])
    if given.get("assignee_id") is not None:
        await references.check_person(tx, given["assignee_id"], path=("assigneeId",))


async def _steps(
    tx: WriteTx, plant_id: int, routing_id: int | None, steps: Sequence[RoutingStep] | None
) -> Sequence[RoutingStep]:
    """What the order's operations are copied from: those given, else the active routing's."""
    if routing_id is None:
        return steps or []
    routing = await tx.found(Routing, routing_id, path=("routingId",))
    if routing.plant_id != plant_id:
        raise ValidationFailed(
            "The routing is made for another plant", path=("routingId",), constraint="a routing of the plant"
        )
    if steps is not None:
        return steps
    routings.check_active(routing.status)
    return await masters.steps_of(tx, routing.id)
