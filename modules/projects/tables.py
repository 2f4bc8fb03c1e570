"""The rows this module owns. The migration holds the constraints."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.orm import Mapped

from db.base import TenantTable, enum, ref

from .rules import Priority, ProjectStatus


class Project(TenantTable):
    """A project; `plant_id` is its primary plant, and null concerns all plants."""

    __tablename__ = "projects"

    plant_id: Mapped[int | None] = ref("Plant")
    number: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    customer_name: Mapped[str | None]
    customer_code: Mapped[str | None]
    sap_sales_order: Mapped[str | None]
    manager_id: Mapped[int | None] = ref("User")
    status: Mapped[ProjectStatus] = enum(ProjectStatus)
    priority: Mapped[Priority] = enum(Priority)
    start_date: Mapped[date | None]
    planned_end_date: Mapped[date | None]
    actual_end_date: Mapped[date | None]
    archived_at: Mapped[datetime | None]
