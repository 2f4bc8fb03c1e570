"""Clocks and seconds of an operation, derived from the log anew whenever one of its time events comes or goes."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import select

from db.session import ReadTx, WriteTx
from modules.production.logs.rules import CLOCK
from modules.production.tables import OperationLabor, ProductionLog, WorkOrderOperation

from . import rules
from .rules import Clock, Punch, Worked


async def derive(tx: WriteTx, row: WorkOrderOperation, *, path: tuple[str, ...] = ("kind",)) -> None:
    """Follow every clock of the operation through the log. The order's row is held; the event at hand is flushed."""
    worked = {operator: rules.work(punches, path=path) for operator, punches in (await punches_of(tx, row.id)).items()}
    await _keep_clocks(tx, row, worked)
    row.people_running = sum(one.state is Clock.RUNNING for one in worked.values())
    row.labor_seconds = sum(one.seconds for one in worked.values())
    row.machine_seconds = rules.machine_seconds(list(worked.values()))


async def punches_of(tx: ReadTx, operation_id: int) -> dict[int, list[Punch]]:
    """The time events of an operation that stand, per person."""
    found = await tx.rows(
        select(
            ProductionLog.id,
            ProductionLog.kind,
            ProductionLog.operator_id,
            ProductionLog.machine_id,
            ProductionLog.logged_at,
        ).where(
            ProductionLog.organization_id == tx.org,
            ProductionLog.operation_id == operation_id,
            ProductionLog.kind.in_(list(CLOCK)),
            ProductionLog.reversed_by_id.is_(None),
        )
    )
    punches: dict[int, list[Punch]] = defaultdict(list)
    for row in found:
        punches[row.operator_id].append(Punch(CLOCK[row.kind], row.logged_at, row.id, row.machine_id))
    return punches


async def _keep_clocks(tx: WriteTx, row: WorkOrderOperation, worked: dict[int, Worked]) -> None:
    found: list[OperationLabor] = await tx.scalars(
        select(OperationLabor).where(OperationLabor.organization_id == tx.org, OperationLabor.operation_id == row.id)
    )
    clocks = {clock.operator_id: clock for clock in found}
    for operator in worked.keys() - clocks.keys():
        clocks[operator] = tx.add(
            OperationLabor(
                plant_id=row.plant_id,
                department_id=row.department_id,
                work_order_id=row.work_order_id,
                operation_id=row.id,
                operator_id=operator,
            )
        )
    for operator, clock in clocks.items():
        now = worked.get(operator, Worked(Clock.OFF, ()))  # every event of the person was taken back
        clock.state, clock.running_since, clock.seconds = now.state, now.running_since, now.seconds
