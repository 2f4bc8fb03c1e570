"""The public types: each field says where its value is."""

from datetime import date, datetime

from modules.identity.public import Plant, User
from schema.node import Connection, Node, column, extension, node, to_many, to_one

from . import lists, tables
from .rules import Priority, ProjectStatus


@node(tables.Project, permission="projects.read", description="What a customer ordered, that work orders are made for")
class Project(Node):
    number: str = column(description="Number of the project, unique in the organization")
    name: str = column(description="Name of the project")
    description: str | None = column(description="What it is about")
    customer_name: str | None = column(description="Name of the customer")
    customer_code: str | None = column(description="Code of the customer in the ERP")
    sap_sales_order: str | None = column(description="Number of the sales order in SAP")
    status: ProjectStatus = column(description="Where it stands")
    priority: Priority = column(description="How urgent it is")
    primary_plant: Plant | None = to_one(
        tables.Project.plant_id, description="Plant that leads it; null concerns every plant of the organization"
    )
    manager: User | None = to_one(tables.Project.manager_id, description="Who leads it")
    start_date: date | None = column(description="Day it starts")
    planned_end_date: date | None = column(description="Day it is due")
    actual_end_date: date | None = column(description="Day it was completed")
    archived_at: datetime | None = column(description="When it was archived; null while it is in use")
    version: int = column(description="Version, for `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it was last changed")


@extension
class PlantProjects:
    """Added to `Plant`."""

    projects: Connection[Project] = to_many(
        tables.Project.plant_id, lists.PROJECTS, description="Projects the plant leads"
    )


@extension
class UserProjects:
    """Added to `User`."""

    managed_projects: Connection[Project] = to_many(
        tables.Project.manager_id, lists.PROJECTS, description="Projects the user leads"
    )
