"""What can be done with routings. Orders copy a revision, so nothing here reaches an order that exists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select

from db.refusal import AlreadyExists, NotPermitted
from db.session import ReadTx, WriteTx
from modules.production import references
from modules.production.tables import Routing, RoutingOperation

from . import rules
from .rules import RoutingStatus, Step

UNIQUE: Final = {"routings_organization_id_plant_id_code_revision_key": ("code",)}


async def create(tx: WriteTx, *, plant_id: int, code: str, steps: Sequence[Step], **values: Any) -> Routing:
    """Draft the first revision of a routing."""
    await references.check_place(tx, plant_id)
    await tx.key_lock("routing", plant_id, code)
    if await _newest(tx, plant_id, code):
        raise AlreadyExists("There is a routing of this code: revise it", path=("code",))
    return await _draft(tx, Routing(plant_id=plant_id, code=code, revision=1, **values), steps)


async def update(
    tx: WriteTx, routing_id: int, *, version: int, changes: dict[str, Any], steps: Sequence[Step] | None
) -> Routing:
    """Edit a draft; a list of operations replaces the whole list."""
    routing = await _held(tx, routing_id, version=version)
    rules.check_draft(routing.status)
    for name, value in changes.items():
        setattr(routing, name, value)
    if steps is not None:
        await tx.execute(
            delete(RoutingOperation).where(
                RoutingOperation.organization_id == tx.org, RoutingOperation.routing_id == routing.id
            )
        )
        await _write(tx, routing, steps)
    await tx.flush()
    return routing


async def revise(tx: WriteTx, routing_id: int) -> Routing:
    """Draft the next revision as a copy of this one."""
    found = await tx.found(Routing, routing_id)
    await tx.key_lock("routing", found.plant_id, found.code)
    routing = await _held(tx, routing_id)
    newest = await _newest(tx, routing.plant_id, routing.code)
    draft = Routing(
        plant_id=routing.plant_id,
        code=routing.code,
        revision=newest + 1,
        name=routing.name,
        description=routing.description,
        product_code=routing.product_code,
    )
    return await _draft(tx, draft, await steps_of(tx, routing.id))


async def activate(tx: WriteTx, routing_id: int, *, version: int, now: datetime) -> Routing:
    """Put a revision to use; the one used until now is retired in the same transaction."""
    found = await tx.found(Routing, routing_id)
    await tx.key_lock("routing", found.plant_id, found.code)
    routing = await _held(tx, routing_id, version=version)
    status = rules.move(routing.status, RoutingStatus.ACTIVE)
    rules.check_complete(len(await steps_of(tx, routing.id)))
    used = await tx.scalars(
        select(Routing)
        .where(
            Routing.organization_id == tx.org,
            Routing.plant_id == routing.plant_id,
            Routing.code == routing.code,
            Routing.status == RoutingStatus.ACTIVE,
        )
        .with_for_update()
    )
    for other in used:
        other.status, other.retired_at = rules.move(other.status, RoutingStatus.RETIRED), now
    await tx.flush()  # the old revision gives its place up before the new one takes it
    routing.status, routing.activated_at = status, now
    await tx.flush()
    return routing


async def retire(tx: WriteTx, routing_id: int, *, version: int, now: datetime) -> Routing:
    """Take a revision out of use; orders made by it go on."""
    routing = await _held(tx, routing_id, version=version)
    routing.status = rules.move(routing.status, RoutingStatus.RETIRED)
    routing.retired_at = now
    return routing


async def steps_of(tx: ReadTx, routing_id: int) -> list[Step]:
    """The operations of a routing, in order, as plain values to copy."""
    rows: list[RoutingOperation] = await tx.scalars(
        select(RoutingOperation)
        .where(RoutingOperation.organization_id == tx.org, RoutingOperation.routing_id == routing_id)
        .order_by(RoutingOperation.sequence)
    )
    return [
        Step(
            sequence=row.sequence,
            name=row.name,
            description=row.description,
            machine_type=row.machine_type,
            machine_id=row.machine_id,
            setup_seconds=row.setup_seconds,
            run_seconds_per_unit=row.run_seconds_per_unit,
        )
        for row in rows
    ]


async def _held(tx: WriteTx, routing_id: int, *, version: int | None = None) -> Routing:
    """The routing, held. It belongs to the plant as a whole: planning for one department is not enough."""
    routing = await tx.locked(Routing, routing_id, version=version)
    if not tx.actor.write_scope(references.PLAN).covers_row(routing.plant_id, None):
        raise NotPermitted("This takes the right in the whole plant", path=("id",))
    return routing


async def _draft(tx: WriteTx, routing: Routing, steps: Sequence[Step]) -> Routing:
    routing.status = RoutingStatus.DRAFT
    tx.add(routing)
    await tx.flush(UNIQUE)
    await _write(tx, routing, steps)
    await tx.flush()
    return routing


async def _write(tx: WriteTx, routing: Routing, steps: Sequence[Step]) -> None:
    rules.check_steps(steps)
    await references.check_machines(tx, steps, routing.plant_id)
    for step in steps:
        tx.add(
            RoutingOperation(
                plant_id=routing.plant_id,
                routing_id=routing.id,
                sequence=step.sequence,
                name=step.name,
                description=step.description,
                machine_type=step.machine_type,
                machine_id=step.machine_id,
                setup_seconds=step.setup_seconds,
                run_seconds_per_unit=step.run_seconds_per_unit,
            )
        )


async def _newest(tx: ReadTx, plant_id: int, code: str) -> int:
    """The highest revision of a code in a plant; 0 where there is none."""
    found = await tx.scalar(
        select(func.max(Routing.revision)).where(
            Routing.organization_id == tx.org, Routing.plant_id == plant_id, Routing.code == code
        )
    )
    return int(found or 0)
