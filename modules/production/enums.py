"""The enums of this module as the schema shows them; published before any list or type is made of them."""

from schema.enums import public_enum

from .labor.rules import Clock
from .logs.rules import LogKind
from .operations.rules import OperationStatus
from .orders.rules import WorkOrderPriority, WorkOrderStatus
from .routings.rules import RoutingStatus
from .scrap.rules import ScrapCategory

public_enum(
    WorkOrderStatus,
    name="WorkOrderStatus",
    description="State of a work order",
    values={
        "PLANNED": "Drafted: everything may still be edited",
        "RELEASED": "Handed to the shop floor; its operations are frozen",
        "IN_PROGRESS": "Work has begun",
        "ON_HOLD": "Stopped for a reason: nothing is reported until it is resumed",
        "COMPLETED": "The ordered quantity is made, or the order was short-closed",
        "CLOSED": "Figures are final",
        "CANCELLED": "Given up before anything was made",
    },
)
public_enum(
    WorkOrderPriority,
    name="WorkOrderPriority",
    description="How urgent a work order is",
    values={"LOW": "May wait", "MEDIUM": "As planned", "HIGH": "Before others", "URGENT": "Before everything"},
)
public_enum(
    OperationStatus,
    name="WorkOrderOperationStatus",
    description="State of an operation; it follows from the order's state and the log",
    values={
        "PENDING": "Nothing was reported yet",
        "IN_PROGRESS": "Work has begun, the ordered quantity is not through yet",
        "COMPLETED": "The ordered quantity is through, or the order ended after work on the operation had begun",
        "CANCELLED": "The order ended before work on the operation began",
    },
)
public_enum(
    RoutingStatus,
    name="RoutingStatus",
    description="State of a revision of a routing",
    values={
        "DRAFT": "Being written: may be edited, not used",
        "ACTIVE": "Orders are made by it; only one revision of a code is",
        "RETIRED": "Not used for new orders any more",
    },
)
public_enum(
    LogKind,
    name="ProductionLogKind",
    description="What a row of the production log says",
    values={
        "START": "A person begins work at the operation",
        "PAUSE": "The person pauses; may carry quantities",
        "RESUME": "The person goes on",
        "COMPLETE": "The person ends work at the operation; may carry quantities",
        "ISSUE": "A problem, told in the notes; moves no pieces and no clock",
        "REPORT": "Pieces that were made, scrapped or sent to rework",
        "REVERSAL": "Takes another row back: its quantities are negative",
    },
)
public_enum(
    Clock,
    name="LaborClockState",
    description="State of a person's clock at an operation",
    values={"OFF": "Not at work here", "RUNNING": "At work", "PAUSED": "Interrupted"},
)
public_enum(
    ScrapCategory,
    name="ScrapCategory",
    description="Kind of cause of scrap",
    values={
        "MATERIAL": "Faulty material",
        "MACHINE": "Fault of a machine or tool",
        "METHOD": "Wrong setting or process",
        "HANDLING": "Damaged while handled or moved",
        "MEASUREMENT": "Destroyed by testing, or measured wrongly",
        "DESIGN": "Fault of the design or drawing",
        "OTHER": "Anything else",
    },
)
