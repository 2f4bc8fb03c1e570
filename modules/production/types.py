"""The public types: each field says where its value is."""

from datetime import datetime
from decimal import Decimal

import strawberry

from modules.equipment.public import Machine
from modules.identity.public import Department, Plant, User
from modules.projects.public import Project
from schema.node import Connection, Node, column, computed, node, to_many, to_one
from schema.scalars import BigInt, Quantity, quantity

from . import enums as _published  # noqa: F401
from . import lists, tables
from .labor.rules import Clock
from .logs.rules import LogKind, skew_seconds
from .operations.rules import OperationStatus, first_pass_yield
from .orders import rules as orders
from .routings.rules import RoutingStatus, planned_seconds
from .scrap.rules import ScrapCategory

_order, _step, _log = tables.WorkOrder, tables.WorkOrderOperation, tables.ProductionLog


@strawberry.type(description="Key of an object in another system")
class ExternalReference:
    system: str = strawberry.field(description="The other system, for example SAP")
    key: str = strawberry.field(description="Its key there")


def external_reference(system: str | None, key: str | None) -> ExternalReference | None:
    return None if system is None or key is None else ExternalReference(system=system, key=key)


def remaining(ordered: Decimal, good: Decimal, unit: str) -> Quantity | None:
    return quantity(orders.remaining(ordered, good), unit)


def max_remaining(ordered: Decimal, tolerance: Decimal, good: Decimal, unit: str) -> Quantity | None:
    return quantity(orders.max_remaining(ordered, tolerance, good), unit)


@node(tables.ScrapReason, permission="production.read", description="Why pieces are scrapped")
class ScrapReason(Node):
    code: str = column(description="Code of the reason, unique in the organization")
    name: str = column(description="Name of the reason, as operators know it")
    description: str | None = column(description="When to use it")
    category: ScrapCategory = column(description="Kind of cause")
    archived_at: datetime | None = column(description="When it was taken out of use; null while it is in use")
    version: int = column(description="Version, for `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it was last changed")


@node(tables.Routing, permission="production.read", description="A revision of how a product is made in a plant")
class Routing(Node):
    code: str = column(description="Code of the routing; with the plant and the revision it is unique")
    revision: int = column(description="Number of the revision, from 1")
    name: str = column(description="Name of the routing")
    description: str | None = column(description="What it is for")
    product_code: str | None = column(description="Code of the product it makes")
    plant: Plant | None = to_one(tables.Routing.plant_id, description="Plant it is made for")
    status: RoutingStatus = column(description="State of the revision")
    activated_at: datetime | None = column(description="When it became active")
    retired_at: datetime | None = column(description="When it was retired")
    operations: Connection["RoutingOperation"] = to_many(
        tables.RoutingOperation.routing_id, lists.ROUTING_OPERATIONS, description="Its steps in order"
    )
    work_orders: Connection["WorkOrder"] = to_many(
        _order.routing_id, lists.WORK_ORDERS, description="Orders made by it, newest first"
    )
    version: int = column(description="Version, for `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it was last changed")


@node(tables.RoutingOperation, permission="production.read", description="A step of a routing")
class RoutingOperation(Node):
    routing: Routing | None = to_one(tables.RoutingOperation.routing_id, description="Routing it is a step of")
    sequence: int = column(description="Place in the routing; steps are worked in ascending order")
    name: str = column(description="Name of the step")
    description: str | None = column(description="How it is done")
    machine_type: str | None = column(description="Kind of machine it needs")
    machine: Machine | None = to_one(tables.RoutingOperation.machine_id, description="Machine it is meant for")
    setup_seconds: int = column(description="Time to set up, in seconds, once per order")
    run_seconds_per_unit: Decimal = column(description="Ideal time for one piece, in seconds")


@node(_order, permission="production.read", description="An order to make a quantity in a plant")
class WorkOrder(Node):
    number: str = column(description="Number of the order, unique in the organization")
    external_ref: ExternalReference | None = computed(
        external_reference, _order.external_system, _order.external_key, description="Its key in the ERP system"
    )
    status: orders.WorkOrderStatus = column(description="State of the order")
    status_reason: str | None = column(description="Why it is in this state, where the step to it asked for a reason")
    short_closed: bool = column(description="Completed below the ordered quantity, by decision")
    priority: orders.WorkOrderPriority = column(description="How urgent it is")
    plant: Plant | None = to_one(_order.plant_id, description="Plant the work is done in")
    department: Department | None = to_one(
        _order.department_id, description="Department that does it; null belongs to the plant as a whole"
    )
    project: Project | None = to_one(_order.project_id, description="Project it is made for; null is made to stock")
    routing: Routing | None = to_one(_order.routing_id, description="Routing its operations were copied from")
    product_code: str | None = column(description="Code of what is made")
    product_name: str | None = column(description="Name of what is made")
    operation_type: str | None = column(
        description="Kind of work, for example fabrication, machining, assembly, testing"
    )
    description: str | None = column(description="What is to be done")
    quantity_ordered: Quantity = computed(
        quantity, _order.quantity_ordered, _order.unit, description="How much is to be made"
    )
    over_completion_tolerance: Decimal = column(
        description="Fraction of the ordered quantity that may be made beyond it: 0.1 allows 110 of 100"
    )
    quantity_good: Quantity = computed(
        quantity, _order.quantity_good, _order.unit, description="Good pieces of the last operation: sum of its log"
    )
    quantity_scrapped: Quantity = computed(
        quantity, _order.quantity_scrapped, _order.unit, description="Scrap of all operations: sum of their log"
    )
    remaining: Quantity = computed(
        remaining,
        _order.quantity_ordered,
        _order.quantity_good,
        _order.unit,
        description="Good quantity still to be made; scrap does not count",
    )
    max_remaining: Quantity = computed(
        max_remaining,
        _order.quantity_ordered,
        _order.over_completion_tolerance,
        _order.quantity_good,
        _order.unit,
        description="Good quantity the tolerance still allows",
    )
    progress: Decimal = computed(
        orders.progress,
        _order.quantity_ordered,
        _order.quantity_good,
        description="Good quantity as a fraction of the ordered one; above 1 within the tolerance",
    )
    final_yield: Decimal | None = computed(
        orders.final_yield,
        _order.quantity_good,
        _order.quantity_scrapped,
        description="Good quantity as a fraction of good and scrapped; null while there is neither",
    )
    planned_start_at: datetime | None = column(description="When work should begin")
    planned_end_at: datetime | None = column(description="When it should be done")
    released_at: datetime | None = column(description="When it was released")
    actual_start_at: datetime | None = column(description="When work began, by the devices' clocks")
    actual_end_at: datetime | None = column(description="When it was completed, by the devices' clocks")
    assignee: User | None = to_one(_order.assignee_id, description="Who is responsible")
    created_by: User | None = to_one(_order.created_by_id, description="Who created it; null for an app")
    operations: Connection["WorkOrderOperation"] = to_many(
        _step.work_order_id,
        lists.OPERATIONS,
        description="Its steps in order: a copy of the routing, frozen at release",
    )
    production_logs: Connection["ProductionLog"] = to_many(
        _log.work_order_id, lists.PRODUCTION_LOGS, description="What was reported on it, newest first"
    )
    labor: Connection["OperationLabor"] = to_many(
        tables.OperationLabor.work_order_id, lists.LABOR, description="People who worked on it"
    )
    version: int = column(
        description="Version, for `expectedVersion`; a change of state counts, a report of pieces does not"
    )
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it was last changed")


@node(_step, permission="production.read", description="A step of a work order, with the pieces that flow through it")
class WorkOrderOperation(Node):
    work_order: WorkOrder | None = to_one(_step.work_order_id, description="Order it is a step of")
    plant: Plant | None = to_one(_step.plant_id, description="Plant of the order")
    sequence: int = column(description="Place in the order; steps are worked in ascending order")
    name: str = column(description="Name of the step")
    description: str | None = column(description="How it is done")
    machine_type: str | None = column(description="Kind of machine it needs")
    machine: Machine | None = to_one(_step.machine_id, description="Machine it is meant for")
    status: OperationStatus = column(description="State of the step")
    setup_seconds: int = column(description="Time to set up, in seconds, once per order")
    run_seconds_per_unit: Decimal = column(description="Ideal time for one piece, in seconds")
    planned_seconds: Decimal = computed(
        planned_seconds,
        _step.setup_seconds,
        _step.run_seconds_per_unit,
        _step.quantity_planned,
        description="Planned time for the ordered quantity, in seconds",
    )
    quantity_planned: Quantity = computed(
        quantity, _step.quantity_planned, _step.unit, description="The order's quantity"
    )
    available: Quantity = computed(
        quantity,
        _step.quantity_available,
        _step.unit,
        description="Pieces that wait here, or for the first step what may still be begun: the most a report can say",
    )
    quantity_good: Quantity = computed(
        quantity, _step.quantity_good, _step.unit, description="Passed on: sum of the log"
    )
    quantity_scrapped: Quantity = computed(
        quantity, _step.quantity_scrapped, _step.unit, description="Scrapped here: sum of the log"
    )
    quantity_rework: Quantity = computed(
        quantity, _step.quantity_rework, _step.unit, description="Sent to rework from here: sum of the log"
    )
    quantity_rework_in: Quantity = computed(
        quantity, _step.quantity_rework_in, _step.unit, description="Sent here for rework: sum of the log"
    )
    rework_loops: int = column(description="How often pieces were sent to rework from here")
    first_pass_yield: Decimal | None = computed(
        first_pass_yield,
        _step.quantity_good,
        _step.quantity_scrapped,
        _step.quantity_rework,
        _step.quantity_reworked,
        _step.quantity_reworked_good,
        description="Good without rework or scrap, as a fraction of all that entered; null while nothing did",
    )
    people_running: int = column(description="How many people are clocked on")
    labor_seconds: BigInt = column(description="Finished time at work, in seconds, added up over people")
    machine_seconds: BigInt = column(
        description="Finished time of machines, in seconds: per machine the union of the times anybody worked on it"
    )
    started_at: datetime | None = column(description="When work began, by the devices' clocks")
    completed_at: datetime | None = column(description="When the ordered quantity was through")
    labor: Connection["OperationLabor"] = to_many(
        tables.OperationLabor.operation_id, lists.LABOR, description="People who worked on it"
    )
    production_logs: Connection["ProductionLog"] = to_many(
        _log.operation_id, lists.PRODUCTION_LOGS, description="What was reported on it, newest first"
    )
    version: int = column(description="Version; every report counts")


@node(tables.OperationLabor, permission="production.read", description="The clock of one person at one operation")
class OperationLabor(Node):
    operation: WorkOrderOperation | None = to_one(
        tables.OperationLabor.operation_id, description="Operation the person works at"
    )
    work_order: WorkOrder | None = to_one(tables.OperationLabor.work_order_id, description="Order of the operation")
    operator: User | None = to_one(tables.OperationLabor.operator_id, description="The person")
    state: Clock = column(description="State of the clock, by the events in the order of their time")
    running_since: datetime | None = column(description="Since when the clock runs; null while it does not")
    seconds: BigInt = column(description="Finished time at work, in seconds")


@node(_log, permission="production.read", description="What was reported; a row never changes, a mistake is reversed")
class ProductionLog(Node):
    kind: LogKind = column(description="What the row says")
    work_order: WorkOrder | None = to_one(_log.work_order_id, description="Order it was reported on")
    operation: WorkOrderOperation | None = to_one(_log.operation_id, description="Operation it was reported on")
    plant: Plant | None = to_one(_log.plant_id, description="Plant of the order")
    machine: Machine | None = to_one(_log.machine_id, description="Machine the work was done on")
    operator: User | None = to_one(_log.operator_id, description="Who did the work; null where a machine reported")
    recorded_by: User | None = to_one(_log.recorded_by_id, description="Who reported it; null for an app")
    good: Quantity = computed(
        quantity, _log.quantity_good, _log.unit, description="Good pieces; negative in a reversal"
    )
    scrap: Quantity = computed(
        quantity, _log.quantity_scrapped, _log.unit, description="Scrapped pieces; negative in a reversal"
    )
    rework: Quantity = computed(
        quantity, _log.quantity_rework, _log.unit, description="Pieces sent to rework; negative in a reversal"
    )
    reworked: bool = column(description="The pieces had been sent back before: they are no first pass")
    scrap_reason: ScrapReason | None = to_one(_log.scrap_reason_id, description="Why pieces were scrapped")
    rework_operation: WorkOrderOperation | None = to_one(
        _log.rework_operation_id, description="Operation the pieces were sent to for rework"
    )
    reverses: "ProductionLog | None" = to_one(_log.reverses_id, description="Row this one takes back")
    reversed_by: "ProductionLog | None" = to_one(_log.reversed_by_id, description="Row that takes this one back")
    notes: str | None = column(description="Notes of who reported it")
    occurred_at: datetime = column(_log.logged_at, description="When it happened, by the device's clock")
    received_at: datetime = column(_log.created_at, description="When the server learned of it")
    skew_seconds: Decimal = computed(
        skew_seconds,
        _log.logged_at,
        _log.created_at,
        description="How long after its own time it arrived, in seconds; negative where the device's clock runs ahead",
    )


@strawberry.type(description="How many orders are in a state")
class WorkOrderStatusCount:
    status: orders.WorkOrderStatus = strawberry.field(description="The state")
    count: int = strawberry.field(description="How many orders are in it")
