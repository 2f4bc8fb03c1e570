"""Fields production adds to the types of the modules below it."""

from schema.node import Connection, extension, to_many

from . import lists, tables
from .types import ProductionLog, Routing, WorkOrder, WorkOrderOperation


@extension
class PlantProduction:
    """Added to `Plant`."""

    work_orders: Connection[WorkOrder] = to_many(
        tables.WorkOrder.plant_id, lists.WORK_ORDERS, description="Work orders of the plant, newest first"
    )
    routings: Connection[Routing] = to_many(
        tables.Routing.plant_id, lists.ROUTINGS, description="Routings of the plant"
    )


@extension
class DepartmentProduction:
    """Added to `Department`."""

    work_orders: Connection[WorkOrder] = to_many(
        tables.WorkOrder.department_id, lists.WORK_ORDERS, description="Work orders of the department, newest first"
    )


@extension
class MachineProduction:
    """Added to `Machine`."""

    production_logs: Connection[ProductionLog] = to_many(
        tables.ProductionLog.machine_id,
        lists.PRODUCTION_LOGS,
        description="What was reported on the machine, newest first",
    )
    work_order_operations: Connection[WorkOrderOperation] = to_many(
        tables.WorkOrderOperation.machine_id, lists.OPERATIONS, description="Operations meant for the machine"
    )


@extension
class ProjectProduction:
    """Added to `Project`."""

    work_orders: Connection[WorkOrder] = to_many(
        tables.WorkOrder.project_id, lists.WORK_ORDERS, description="Work orders made for the project, newest first"
    )
