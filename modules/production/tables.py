"""The rows this module owns. The migration holds the constraints."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import FetchedValue, Integer, Numeric, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from db.base import LedgerTable, TenantTable, enum, ref

from .labor.rules import Clock
from .logs.rules import LogKind
from .operations.rules import OperationStatus
from .orders.rules import WorkOrderPriority, WorkOrderStatus
from .routings.rules import RoutingStatus
from .scrap.rules import ScrapCategory


class ScrapReason(TenantTable):
    """Why pieces are scrapped."""

    __tablename__ = "scrap_reasons"

    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    category: Mapped[ScrapCategory] = enum(ScrapCategory)
    archived_at: Mapped[datetime | None]


class Routing(TenantTable):
    """A revision of how a product is made."""

    __tablename__ = "routings"

    plant_id: Mapped[int] = ref("Plant")
    code: Mapped[str]
    revision: Mapped[int] = mapped_column(Integer)
    name: Mapped[str]
    description: Mapped[str | None]
    product_code: Mapped[str | None]
    status: Mapped[RoutingStatus] = enum(RoutingStatus)
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class RoutingOperation(TenantTable):
    """A step of a routing."""

    __tablename__ = "routing_operations"

    plant_id: Mapped[int] = ref("Plant")
    routing_id: Mapped[int] = ref("Routing")
    sequence: Mapped[int] = mapped_column(Integer)
    name: Mapped[str]
    description: Mapped[str | None]
    machine_type: Mapped[str | None]
    machine_id: Mapped[int | None] = ref("Machine")
    setup_seconds: Mapped[int] = mapped_column(Integer)
    run_seconds_per_unit: Mapped[Decimal]


class WorkOrder(TenantTable):
    """An order to make a quantity; its sums are those of the log."""

    __tablename__ = "work_orders"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    number: Mapped[str]
    project_id: Mapped[int | None] = ref("Project")
    routing_id: Mapped[int | None] = ref("Routing")
    product_code: Mapped[str | None]
    product_name: Mapped[str | None]
    operation_type: Mapped[str | None]
    description: Mapped[str | None]
    quantity_ordered: Mapped[Decimal]
    unit: Mapped[str]
    over_completion_tolerance: Mapped[Decimal] = mapped_column(Numeric(7, 6))
    quantity_good: Mapped[Decimal]
    quantity_scrapped: Mapped[Decimal]
    priority: Mapped[WorkOrderPriority] = enum(WorkOrderPriority)
    priority_rank: Mapped[int] = mapped_column(SmallInteger, FetchedValue(), server_onupdate=FetchedValue())
    status: Mapped[WorkOrderStatus] = enum(WorkOrderStatus)
    status_reason: Mapped[str | None]
    short_closed: Mapped[bool]
    planned_start_at: Mapped[datetime | None]
    planned_end_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    actual_start_at: Mapped[datetime | None]
    actual_end_at: Mapped[datetime | None]
    assignee_id: Mapped[int | None] = ref("User")
    created_by_id: Mapped[int | None] = ref("User")
    external_system: Mapped[str | None]
    external_key: Mapped[str | None]


class WorkOrderOperation(TenantTable):
    """A step of an order; its sums and seconds are those of the log."""

    __tablename__ = "work_order_operations"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    work_order_id: Mapped[int] = ref("WorkOrder")
    sequence: Mapped[int] = mapped_column(Integer)
    name: Mapped[str]
    description: Mapped[str | None]
    machine_type: Mapped[str | None]
    machine_id: Mapped[int | None] = ref("Machine")
    setup_seconds: Mapped[int] = mapped_column(Integer)
    run_seconds_per_unit: Mapped[Decimal]
    quantity_planned: Mapped[Decimal]
    unit: Mapped[str]
    status: Mapped[OperationStatus] = enum(OperationStatus)
    quantity_available: Mapped[Decimal]
    quantity_good: Mapped[Decimal]
    quantity_scrapped: Mapped[Decimal]
    quantity_rework: Mapped[Decimal]
    quantity_rework_in: Mapped[Decimal]
    quantity_reworked: Mapped[Decimal]
    quantity_reworked_good: Mapped[Decimal]
    rework_loops: Mapped[int] = mapped_column(Integer)
    people_running: Mapped[int] = mapped_column(Integer)
    labor_seconds: Mapped[int]
    machine_seconds: Mapped[int]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class OperationLabor(TenantTable):
    """The clock of one person at one operation."""

    __tablename__ = "operation_labor"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    work_order_id: Mapped[int] = ref("WorkOrder")
    operation_id: Mapped[int] = ref("WorkOrderOperation")
    operator_id: Mapped[int] = ref("User")
    state: Mapped[Clock] = enum(Clock)
    running_since: Mapped[datetime | None]
    seconds: Mapped[int]


class ProductionLogReversal(LedgerTable):
    """Which log row was reversed by which."""

    __tablename__ = "production_log_reversals"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    log_id: Mapped[int] = ref("ProductionLog")
    reversal_id: Mapped[int] = ref("ProductionLog")


class ProductionLog(LedgerTable):
    """What was reported; `logged_at` is the device's time, `created_at` the server's."""

    __tablename__ = "production_logs"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    work_order_id: Mapped[int] = ref("WorkOrder")
    operation_id: Mapped[int] = ref("WorkOrderOperation")
    machine_id: Mapped[int | None] = ref("Machine")
    operator_id: Mapped[int | None] = ref("User")
    recorded_by_id: Mapped[int | None] = ref("User")
    kind: Mapped[LogKind] = enum(LogKind)
    quantity_good: Mapped[Decimal]
    quantity_scrapped: Mapped[Decimal]
    quantity_rework: Mapped[Decimal]
    unit: Mapped[str]
    reworked: Mapped[bool]
    scrap_reason_id: Mapped[int | None] = ref("ScrapReason")
    rework_operation_id: Mapped[int | None] = ref("WorkOrderOperation")
    reverses_id: Mapped[int | None] = ref("ProductionLog")
    reverses_logged_at: Mapped[datetime | None]
    notes: Mapped[str | None]
    logged_at: Mapped[datetime]
    reversed_by_id: Mapped[int | None] = ref("ProductionLog", server_default=FetchedValue())
