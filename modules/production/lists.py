"""What can be listed: filters and orders, each led by an index of the migration."""

from schema.listing import Listing

from . import enums as _published  # noqa: F401  a filter on an enum takes its public name
from .tables import (
    OperationLabor,
    ProductionLog,
    Routing,
    RoutingOperation,
    ScrapReason,
    WorkOrder,
    WorkOrderOperation,
)

SCRAP_REASONS = Listing(
    ScrapReason,
    name="ScrapReason",
    where={
        "code": ScrapReason.code,
        "name": ScrapReason.name,
        "category": ScrapReason.category,
        "archivedAt": ScrapReason.archived_at,
    },
    order_by={"CODE": ScrapReason.code, "NAME": ScrapReason.name, "CREATED_AT": ScrapReason.created_at},
    default=("CODE",),
)
ROUTINGS = Listing(
    Routing,
    name="Routing",
    where={
        "id": Routing.id,
        "code": Routing.code,
        "name": Routing.name,
        "revision": Routing.revision,
        "plant": Routing.plant_id,
        "productCode": Routing.product_code,
        "status": Routing.status,
    },
    order_by={
        "CODE": Routing.code,
        "REVISION": Routing.revision,
        "NAME": Routing.name,
        "STATUS": Routing.status,
        "CREATED_AT": Routing.created_at,
    },
    default=("CODE", "-REVISION"),
)
ROUTING_OPERATIONS = Listing(
    RoutingOperation,
    name="RoutingOperation",
    where={
        "sequence": RoutingOperation.sequence,
        "machine": RoutingOperation.machine_id,
        "machineType": RoutingOperation.machine_type,
    },
    order_by={"SEQUENCE": RoutingOperation.sequence},
    default=("SEQUENCE",),
)
WORK_ORDERS = Listing(
    WorkOrder,
    name="WorkOrder",
    where={
        "id": WorkOrder.id,
        "number": WorkOrder.number,
        "plant": WorkOrder.plant_id,
        "department": WorkOrder.department_id,
        "project": WorkOrder.project_id,
        "routing": WorkOrder.routing_id,
        "productCode": WorkOrder.product_code,
        "operationType": WorkOrder.operation_type,
        "status": WorkOrder.status,
        "priority": WorkOrder.priority,
        "assignee": WorkOrder.assignee_id,
        "createdBy": WorkOrder.created_by_id,
        "externalSystem": WorkOrder.external_system,
        "externalKey": WorkOrder.external_key,
        "plannedStartAt": WorkOrder.planned_start_at,
        "plannedEndAt": WorkOrder.planned_end_at,
        "actualStartAt": WorkOrder.actual_start_at,
        "actualEndAt": WorkOrder.actual_end_at,
        "createdAt": WorkOrder.created_at,
    },
    order_by={
        "NUMBER": WorkOrder.number,
        "STATUS": WorkOrder.status,
        "PRIORITY": WorkOrder.priority_rank,
        "PLANNED_START_AT": WorkOrder.planned_start_at,
        "PLANNED_END_AT": WorkOrder.planned_end_at,
        "ACTUAL_START_AT": WorkOrder.actual_start_at,
        "ACTUAL_END_AT": WorkOrder.actual_end_at,
        "CREATED_AT": WorkOrder.created_at,
    },
    default=("-NUMBER",),
)
OPERATIONS = Listing(
    WorkOrderOperation,
    name="WorkOrderOperation",
    where={
        "id": WorkOrderOperation.id,
        "plant": WorkOrderOperation.plant_id,
        "department": WorkOrderOperation.department_id,
        "workOrder": WorkOrderOperation.work_order_id,
        "sequence": WorkOrderOperation.sequence,
        "status": WorkOrderOperation.status,
        "machine": WorkOrderOperation.machine_id,
        "machineType": WorkOrderOperation.machine_type,
        "startedAt": WorkOrderOperation.started_at,
    },
    order_by={
        "SEQUENCE": WorkOrderOperation.sequence,
        "STATUS": WorkOrderOperation.status,
        "STARTED_AT": WorkOrderOperation.started_at,
    },
    default=("SEQUENCE",),
)
LABOR = Listing(
    OperationLabor,
    name="OperationLabor",
    where={
        "plant": OperationLabor.plant_id,
        "workOrder": OperationLabor.work_order_id,
        "operation": OperationLabor.operation_id,
        "operator": OperationLabor.operator_id,
        "state": OperationLabor.state,
        "runningSince": OperationLabor.running_since,
    },
    order_by={"RUNNING_SINCE": OperationLabor.running_since, "CREATED_AT": OperationLabor.created_at},
    default=("CREATED_AT",),
)
PRODUCTION_LOGS = Listing(
    ProductionLog,
    name="ProductionLog",
    where={
        "plant": ProductionLog.plant_id,
        "workOrder": ProductionLog.work_order_id,
        "operation": ProductionLog.operation_id,
        "machine": ProductionLog.machine_id,
        "operator": ProductionLog.operator_id,
        "kind": ProductionLog.kind,
        "scrapReason": ProductionLog.scrap_reason_id,
        "occurredAt": ProductionLog.logged_at,
        "receivedAt": ProductionLog.created_at,
    },
    order_by={"OCCURRED_AT": ProductionLog.logged_at, "RECEIVED_AT": ProductionLog.created_at},
    default=("-OCCURRED_AT",),
)
