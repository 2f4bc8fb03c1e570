"""The rows this module owns. The migration holds the constraints."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import FetchedValue
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TenantTable, enum, ref

from .meters.rules import MeterKind, ReadingKind
from .reasons.rules import ReasonCategory
from .status.rules import MachineStatus


class ReasonCode(TenantTable):
    """Why a machine was not producing."""

    __tablename__ = "reason_codes"

    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    category: Mapped[ReasonCategory] = enum(ReasonCategory)
    applies_to: Mapped[list[str]]
    archived_at: Mapped[datetime | None]


class Machine(TenantTable):
    """A machine. `status`, `status_since` and `status_reason_id` mirror its open period."""

    __tablename__ = "machines"

    plant_id: Mapped[int] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")
    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    machine_type: Mapped[str | None]
    manufacturer: Mapped[str | None]
    model: Mapped[str | None]
    serial_number: Mapped[str | None]
    location: Mapped[str | None]
    rated_rate: Mapped[Decimal | None]
    rated_unit: Mapped[str | None]
    installation_date: Mapped[date | None]
    purchase_cost: Mapped[Decimal | None]
    purchase_currency: Mapped[str | None]
    status: Mapped[MachineStatus] = enum(MachineStatus)
    status_since: Mapped[datetime]
    status_reason_id: Mapped[int | None] = ref("ReasonCode")
    archived_at: Mapped[datetime | None]


class StatusPeriod(TenantTable):
    """One piece of a machine's time; `ended_at` null is the open one."""

    __tablename__ = "machine_status_history"

    plant_id: Mapped[int] = ref("Plant")
    machine_id: Mapped[int] = ref("Machine")
    status: Mapped[MachineStatus] = enum(MachineStatus)
    reason_code_id: Mapped[int | None] = ref("ReasonCode")
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    notes: Mapped[str | None]
    received_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = ref("User")
    corrected_at: Mapped[datetime | None]
    corrected_by_id: Mapped[int | None] = ref("User")
    correction_reason: Mapped[str | None]


class Meter(TenantTable):
    """Something a machine counts. The `latest_…` columns mirror its last reading that stands."""

    __tablename__ = "machine_meters"

    plant_id: Mapped[int] = ref("Plant")
    machine_id: Mapped[int] = ref("Machine")
    code: Mapped[str]
    name: Mapped[str]
    kind: Mapped[MeterKind] = enum(MeterKind)
    unit: Mapped[str]
    rollover_at: Mapped[Decimal | None]
    latest_value: Mapped[Decimal | None]
    latest_total: Mapped[Decimal | None]
    latest_read_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]


class MeterReading(TenantTable):
    """What a meter's dial showed; a mistaken one is voided, never changed or removed."""

    __tablename__ = "machine_meter_readings"

    plant_id: Mapped[int] = ref("Plant")
    machine_id: Mapped[int] = ref("Machine")
    meter_id: Mapped[int] = ref("Meter")
    kind: Mapped[ReadingKind] = enum(ReadingKind)
    value: Mapped[Decimal]
    offset_value: Mapped[Decimal]
    total: Mapped[Decimal] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())
    read_at: Mapped[datetime]
    received_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = ref("User")
    notes: Mapped[str | None]
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]
