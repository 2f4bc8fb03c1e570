"""Root fields of work orders."""

from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from db.session import WriteTx
from modules.production import lists, tables
from modules.production.types import OperationLabor, WorkOrder, WorkOrderOperation, WorkOrderStatusCount
from schema.context import Info
from schema.cost import Cost
from schema.fields import events, listing, lookup, mutation, query
from schema.ids import key, key_or_none

from . import service
from .inputs import (
    WorkOrderCreateInput,
    WorkOrderPayload,
    WorkOrderReasonInput,
    WorkOrderUpdateInput,
    WorkOrderVersionInput,
)
from .rules import WorkOrderStatus

READ, PLAN, RELEASE = "production.read", "production.plan", "production.release"
TOPIC = "WorkOrder"
CLOSE, REOPEN = "production.close", "production.reopen"

work_order = lookup(
    WorkOrder,
    number=tables.WorkOrder.number,
    external_ref={"system": tables.WorkOrder.external_system, "key": tables.WorkOrder.external_key},
    description="One work order by its id, its number or its key in another system; null when unknown",
)
work_orders = listing(WorkOrder, lists.WORK_ORDERS, description="Work orders the caller may see")
work_order_events = events(WorkOrder, lists.WORK_ORDERS, description="Work orders as they change")
work_order_operation = lookup(WorkOrderOperation, description="One operation of a work order by its id")
work_order_operations = listing(
    WorkOrderOperation, lists.OPERATIONS, description="Operations of the work orders the caller may see"
)
work_order_operation_events = events(
    WorkOrderOperation, lists.OPERATIONS, description="Operations of work orders as they change"
)
operation_labor = listing(OperationLabor, lists.LABOR, description="Who works, paused or worked at which operation")
operation_labor_events = events(OperationLabor, lists.LABOR, description="People as they clock on and off")


COUNTS_TTL = timedelta(minutes=3)


@query(READ, description="How many work orders the caller sees in each state", priced=[Cost(weight=50)])
async def work_order_status_counts(
    info: Info,
    plant_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only orders of this plant; every plant unless stated")
    ] = None,
) -> list[WorkOrderStatusCount]:
    plant = key_or_none("Plant", plant_id, "plantId")
    found = await info.context.cached(
        READ, "work_order_status_counts", [plant], lambda tx: service.counts(tx, plant), ttl=COUNTS_TTL, topics=[TOPIC]
    )
    return [WorkOrderStatusCount(status=status, count=found.get(status, 0)) for status in WorkOrderStatus]


@mutation(PLAN, WorkOrderPayload, description="Plan a work order; its number is the organization's next")
async def work_order_create(tx: WriteTx, input: WorkOrderCreateInput, now: datetime) -> tables.WorkOrder:
    return await service.create(tx, now=now, **input.values())


@mutation(PLAN, WorkOrderPayload, description="Change what the order's state leaves open")
async def work_order_update(tx: WriteTx, input: WorkOrderUpdateInput, now: datetime) -> tables.WorkOrder:
    return await service.update(
        tx,
        key("WorkOrder", input.id),
        version=input.expected_version,
        changes=input.changes(),
        steps=input.steps(),
        now=now,
    )


@mutation(RELEASE, WorkOrderPayload, description="Hand a planned order to the shop floor; freezes its operations")
async def work_order_release(tx: WriteTx, input: WorkOrderVersionInput, now: datetime) -> tables.WorkOrder:
    return await service.release(tx, input.key, version=input.expected_version, now=now)


@mutation(RELEASE, WorkOrderPayload, description="Stop an order that is released or in progress")
async def work_order_hold(tx: WriteTx, input: WorkOrderReasonInput) -> tables.WorkOrder:
    return await service.hold(tx, input.key, version=input.expected_version, reason=input.why)


@mutation(RELEASE, WorkOrderPayload, description="End a hold: work goes on, or waits again if it had not begun")
async def work_order_resume(tx: WriteTx, input: WorkOrderVersionInput) -> tables.WorkOrder:
    return await service.resume(tx, input.key, version=input.expected_version)


@mutation(CLOSE, WorkOrderPayload, description="Complete an order whose quantity is made, after it was reopened")
async def work_order_complete(tx: WriteTx, input: WorkOrderVersionInput, now: datetime) -> tables.WorkOrder:
    return await service.complete(tx, input.key, version=input.expected_version, now=now)


@mutation(CLOSE, WorkOrderPayload, description="Complete an order in progress below its quantity")
async def work_order_short_close(tx: WriteTx, input: WorkOrderReasonInput, now: datetime) -> tables.WorkOrder:
    return await service.short_close(tx, input.key, version=input.expected_version, reason=input.why, now=now)


@mutation(CLOSE, WorkOrderPayload, description="Make the figures of a completed order final")
async def work_order_close(tx: WriteTx, input: WorkOrderVersionInput) -> tables.WorkOrder:
    return await service.close(tx, input.key, version=input.expected_version)


@mutation(PLAN, WorkOrderPayload, description="Give up an order on which nothing was made")
async def work_order_cancel(tx: WriteTx, input: WorkOrderReasonInput, now: datetime) -> tables.WorkOrder:
    return await service.cancel(tx, input.key, version=input.expected_version, reason=input.why, now=now)


@mutation(REOPEN, WorkOrderPayload, description="Take a completed order up again")
async def work_order_reopen(tx: WriteTx, input: WorkOrderReasonInput, now: datetime) -> tables.WorkOrder:
    return await service.reopen(tx, input.key, version=input.expected_version, reason=input.why, now=now)
