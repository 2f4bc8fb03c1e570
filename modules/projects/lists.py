"""What can be listed: filters and orders, each led by an index of the migration."""

from schema.enums import public_enum
from schema.listing import Listing

from .rules import Priority, ProjectStatus
from .tables import Project

public_enum(
    ProjectStatus,
    name="ProjectStatus",
    description="Where a project stands",
    values={
        "DRAFT": "Being prepared",
        "ACTIVE": "Being worked on",
        "ON_HOLD": "Waiting for something; no new work",
        "COMPLETED": "Delivered",
        "CANCELLED": "Given up",
    },
)
public_enum(
    Priority,
    name="ProjectPriority",
    description="How urgent a project is",
    values={"LOW": "Can wait", "MEDIUM": "As planned", "HIGH": "Before others", "URGENT": "Before everything"},
)

PROJECTS = Listing(
    Project,
    name="Project",
    where={
        "id": Project.id,
        "number": Project.number,
        "name": Project.name,
        "customerName": Project.customer_name,
        "customerCode": Project.customer_code,
        "sapSalesOrder": Project.sap_sales_order,
        "status": Project.status,
        "priority": Project.priority,
        "manager": Project.manager_id,
        "primaryPlant": Project.plant_id,
        "startDate": Project.start_date,
        "plannedEndDate": Project.planned_end_date,
        "archivedAt": Project.archived_at,
    },
    order_by={
        "NUMBER": Project.number,
        "NAME": Project.name,
        "CUSTOMER_NAME": Project.customer_name,
        "START_DATE": Project.start_date,
        "PLANNED_END_DATE": Project.planned_end_date,
        "CREATED_AT": Project.created_at,
    },
    default=("NUMBER",),
)
