"""What can be reported. The order's row is held first, then its operations, so every report decides on true sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from db.refusal import NotFound, NotPermitted, ValidationFailed
from db.session import WriteTx
from modules.production import references, settings
from modules.production.labor import service as labor
from modules.production.operations import rules as flow
from modules.production.operations import service as operations
from modules.production.operations.rules import Amounts
from modules.production.orders import completion
from modules.production.orders import rules as orders
from modules.production.orders.rules import Step, WorkOrderStatus
from modules.production.scrap.service import check_usable
from modules.production.tables import ProductionLog, ProductionLogReversal, WorkOrder, WorkOrderOperation

from . import rules
from .rules import CLOCK, LogKind

NOTHING: Final = Amounts()
FOR_OTHERS: Final = "production.report_for_others"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person or a machine has to say."""

    operation_id: int
    kind: LogKind
    occurred_at: datetime
    amounts: Amounts = NOTHING
    scrap_reason_id: int | None = None
    rework_operation_id: int | None = None
    machine_id: int | None = None
    operator_id: int | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of the log, and what it was reported on as it stands now."""

    log: ProductionLog
    operation: WorkOrderOperation
    order: WorkOrder


async def record(tx: WriteTx, entry: Entry, now: datetime) -> Recorded:
    """Report work or pieces. What follows from it (start, completion, times) happens in the same transaction."""
    order, rows, at = await _held(tx, entry.operation_id)
    row, amounts = rows[at], entry.amounts
    operator = await _operator(tx, order, entry)
    rules.check_kind(entry.kind, amounts, operator=operator is not None, notes=bool(entry.notes))
    rules.check_state(order.status, entry.kind, amounts)
    if entry.occurred_at != now:
        ahead, late = await settings.time_window(tx)
        rules.check_time(entry.occurred_at, now, ahead=ahead, late=late)
    target = _target(rows, entry.rework_operation_id)
    flow.check_amounts(amounts, at, target, reason=entry.scrap_reason_id is not None)
    if entry.scrap_reason_id is not None:
        await check_usable(tx, entry.scrap_reason_id)
    if entry.machine_id is not None:
        await references.check_machine(tx, entry.machine_id, order.plant_id, path=("machineId",))
    sums = [operations.totals(step) for step in rows]
    if amounts.processed:
        flow.check_report(sums, at, amounts, operations.maximum(order))
        sums = flow.apply(sums, at, amounts, target)
    log = tx.add(
        ProductionLog(
            plant_id=order.plant_id,
            department_id=order.department_id,
            work_order_id=order.id,
            operation_id=row.id,
            machine_id=row.machine_id if entry.machine_id is None else entry.machine_id,
            operator_id=operator,
            recorded_by_id=tx.actor.user_id,
            kind=entry.kind,
            quantity_good=amounts.good,
            quantity_scrapped=amounts.scrap,
            quantity_rework=amounts.rework,
            unit=order.unit,
            reworked=amounts.reworked,
            scrap_reason_id=entry.scrap_reason_id,
            rework_operation_id=entry.rework_operation_id,
            notes=entry.notes,
            logged_at=entry.occurred_at,
            created_at=now,
        )
    )
    if entry.kind is not LogKind.ISSUE:
        _begin(order, row, entry.occurred_at)
    _keep(order, rows, sums, now)
    if amounts.good and order.status is WorkOrderStatus.IN_PROGRESS and _made(order):
        completion.complete(order, rows, at=max(entry.occurred_at, order.actual_start_at or entry.occurred_at))
    await tx.flush()
    if entry.kind in CLOCK:
        await labor.derive(tx, row)
        await tx.flush()
    return Recorded(log, row, order)


async def reverse(tx: WriteTx, log_id: int, *, reason: str, now: datetime) -> Recorded:
    """Take a row of the log back, once and in full, by a linked row of opposite sign. An order that was completed by
    what is taken back is in progress again; the reason stands on it."""
    entry = await tx.found(ProductionLog, log_id)
    order, rows, at = await _held(tx, entry.operation_id, path="id")
    rules.check_reversible(order.status)
    reversals = select(ProductionLogReversal.id).where(
        ProductionLogReversal.organization_id == tx.org, ProductionLogReversal.log_id == log_id
    )
    if entry.kind is LogKind.REVERSAL or await tx.first(reversals) is not None:
        raise rules.AlreadyReversed("It was reversed already", path=("id",))
    amounts = Amounts(entry.quantity_good, entry.quantity_scrapped, entry.quantity_rework, entry.reworked)
    sums = flow.apply(
        [operations.totals(row) for row in rows], at, amounts, _target(rows, entry.rework_operation_id), sign=-1
    )
    flow.check_reversal(sums, [row.sequence for row in rows])
    log = tx.add(
        ProductionLog(
            plant_id=entry.plant_id,
            department_id=entry.department_id,
            work_order_id=entry.work_order_id,
            operation_id=entry.operation_id,
            machine_id=entry.machine_id,
            operator_id=entry.operator_id,
            recorded_by_id=tx.actor.user_id,
            kind=LogKind.REVERSAL,
            quantity_good=-amounts.good,
            quantity_scrapped=-amounts.scrap,
            quantity_rework=-amounts.rework,
            unit=entry.unit,
            reworked=entry.reworked,
            scrap_reason_id=entry.scrap_reason_id,
            rework_operation_id=entry.rework_operation_id,
            reverses_id=entry.id,
            reverses_logged_at=entry.logged_at,
            notes=reason,
            logged_at=now,
            created_at=now,
        )
    )
    _keep(order, rows, sums, now)
    if order.status is WorkOrderStatus.COMPLETED and not order.short_closed and not _made(order):
        completion.reopen(order, rows, at=now, reason=reason)
    await tx.flush()
    tx.add(
        ProductionLogReversal(
            plant_id=entry.plant_id, department_id=entry.department_id, log_id=entry.id, reversal_id=log.id
        )
    )
    await tx.flush()
    if entry.kind in CLOCK:
        await labor.derive(tx, rows[at], path=("id",))
        await tx.flush()
    return Recorded(log, rows[at], order)


async def _held(
    tx: WriteTx, operation_id: int, *, path: str = "operationId"
) -> tuple[WorkOrder, list[WorkOrderOperation], int]:
    """The order and its operations, held, and the place of the operation among them."""
    order = await tx.locked_by(WorkOrder, WorkOrderOperation.work_order_id, operation_id, path=(path,))
    rows = await operations.locked(tx, order)
    at = next((n for n, row in enumerate(rows) if row.id == operation_id), None)
    if at is None:  # the plan was changed between the look and the lock
        raise NotFound("There is no such object", path=(path,))
    return order, rows, at


async def _operator(tx: WriteTx, order: WorkOrder, entry: Entry) -> int | None:
    """Who did the work: the caller, unless somebody else is named by who may do so."""
    if entry.operator_id is None or entry.operator_id == tx.actor.user_id:
        return tx.actor.user_id
    await references.check_person(tx, entry.operator_id, path=("operatorId",))
    if not tx.actor.write_scope(FOR_OTHERS).covers_row(order.plant_id, order.department_id):
        raise NotPermitted("You may report only your own work", path=("operatorId",))
    return entry.operator_id


def _target(rows: Sequence[WorkOrderOperation], operation_id: int | None) -> int | None:
    if operation_id is None:
        return None
    at = next((n for n, row in enumerate(rows) if row.id == operation_id), None)
    if at is None:
        raise ValidationFailed(
            "Rework is done at an operation of the same order",
            path=("reworkOperationId",),
            constraint="an operation of the order",
        )
    return at


def _begin(order: WorkOrder, row: WorkOrderOperation, moment: datetime) -> None:
    """Work has begun, perhaps earlier than was known."""
    if order.status is WorkOrderStatus.RELEASED:
        order.status = orders.take(Step.START, order.status)
    order.actual_start_at = min(order.actual_start_at or moment, moment)
    row.started_at = min(row.started_at or moment, moment)


def _keep(order: WorkOrder, rows: Sequence[WorkOrderOperation], sums: Sequence[flow.Totals], now: datetime) -> None:
    for row, total in zip(rows, sums, strict=True):
        operations.keep(row, total)
    operations.refresh(order, rows, at=now)


def _made(order: WorkOrder) -> bool:
    return orders.is_complete(order.quantity_ordered, order.quantity_good)
