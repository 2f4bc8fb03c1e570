"""What other modules may use."""

from . import tables
from .labor.rules import Clock
from .lists import OPERATIONS, PRODUCTION_LOGS, ROUTINGS, SCRAP_REASONS, WORK_ORDERS
from .logs.rules import LogKind
from .logs.service import Entry, Recorded, record, reverse
from .operations.rules import Amounts, OperationStatus
from .orders.rules import WorkOrderPriority, WorkOrderStatus
from .routings.rules import RoutingStatus
from .types import OperationLabor, ProductionLog, Routing, RoutingOperation, ScrapReason, WorkOrder, WorkOrderOperation

__all__ = [
    "OPERATIONS",
    "PRODUCTION_LOGS",
    "ROUTINGS",
    "SCRAP_REASONS",
    "WORK_ORDERS",
    "Amounts",
    "Clock",
    "Entry",
    "LogKind",
    "OperationLabor",
    "OperationStatus",
    "ProductionLog",
    "Recorded",
    "Routing",
    "RoutingOperation",
    "RoutingStatus",
    "ScrapReason",
    "WorkOrder",
    "WorkOrderOperation",
    "WorkOrderPriority",
    "WorkOrderStatus",
    "record",
    "reverse",
    "tables",
]
