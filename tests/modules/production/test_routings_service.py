"""Routings and scrap reasons against a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from db.refusal import AlreadyExists, NotFound, NotPermitted, ValidationFailed
from db.session import WriteTx
from modules.production.routings import service
from modules.production.routings.rules import RoutingNotDraft, Step
from modules.production.routings.rules import RoutingStatus as S
from modules.production.scrap import service as scrap
from modules.production.scrap.rules import ScrapCategory
from modules.production.tables import Routing
from tests.modules.production.shop import Shop, now
from tests.support import Tenant


async def routing(
    shop: Shop, steps: Sequence[Step], *, active: bool = False, code: str = "R-1", plant: int | None = None
) -> Routing:
    async with shop.tx("production.plan") as tx:
        made = await service.create(
            tx, plant_id=plant or shop.plant, code=code, name="Bracket", steps=steps, description=None, product_code="B"
        )
    if active:
        await activate(shop, made.id)
    return made


async def activate(shop: Shop, id: int) -> Routing:
    async with shop.tx("production.plan") as tx:
        version = (await tx.found(Routing, id)).version
        return await service.activate(tx, id, version=version, now=now())


async def status(shop: Shop, id: int) -> S:
    async with shop.database.read(shop.actor) as tx:
        return (await tx.found(Routing, id)).status


async def test_a_revision_in_use_is_replaced_by_the_next(shop: Shop) -> None:
    first = await routing(shop, [Step(10, "Saw")], active=True)
    async with shop.tx("production.plan") as tx:
        second = await service.revise(tx, first.id)
        assert (second.revision, second.status) == (2, S.DRAFT)
        assert [step.name for step in await service.steps_of(tx, second.id)] == ["Saw"]
    async with shop.tx("production.plan") as tx:
        await service.update(tx, second.id, version=1, changes={"name": "Better"}, steps=[Step(5, "Laser")])
    await activate(shop, second.id)
    assert (await status(shop, first.id), await status(shop, second.id)) == (S.RETIRED, S.ACTIVE)
    with pytest.raises(RoutingNotDraft):
        async with shop.tx("production.plan") as tx:
            await service.update(tx, second.id, version=3, changes={"name": "No"}, steps=None)


async def test_a_released_order_does_not_see_the_master_change(shop: Shop) -> None:
    first = await routing(shop, [Step(10, "Saw"), Step(20, "Mill")], active=True)
    order = await shop.order(2, routing_id=first.id)
    before = [(s.sequence, s.name) for s in await shop.operations(order)]
    async with shop.tx("production.plan") as tx:
        second = await service.revise(tx, first.id)
        await service.update(tx, second.id, version=second.version, changes={}, steps=[Step(10, "Laser")])
    await activate(shop, second.id)
    assert [(s.sequence, s.name) for s in await shop.operations(order)] == before


async def test_a_code_is_created_once_per_plant(shop: Shop, tenant: Tenant) -> None:
    await routing(shop, [Step(10, "Saw")])
    with pytest.raises(AlreadyExists):
        await routing(shop, [Step(10, "Saw")])
    await routing(shop, [Step(10, "Saw")], plant=tenant.plants[1])


async def test_an_empty_routing_is_not_activated(shop: Shop) -> None:
    made = await routing(shop, [])
    with pytest.raises(ValidationFailed):
        await activate(shop, made.id)


async def test_a_step_names_a_machine_that_exists(shop: Shop) -> None:
    with pytest.raises(NotFound) as refused:
        await routing(shop, [Step(10, "Saw"), Step(20, "Mill", machine_id=2**62)])
    assert refused.value.path == ("operations", "1", "machineId")


async def test_scrap_reasons_belong_to_the_whole_organization(shop: Shop, tenant: Tenant) -> None:
    values = {"code": "POR", "name": "Pores", "category": ScrapCategory.MATERIAL}
    manager = tenant.actor("plant_manager", plants=[tenant.plants[0]])
    with pytest.raises(NotPermitted):
        async with shop.database.write(manager, scrap.MANAGE) as tx:
            await scrap.create(tx, **values)
    async with shop.tx(scrap.MANAGE) as tx:
        reason = await scrap.create(tx, **values)
    with pytest.raises(AlreadyExists):
        async with shop.tx(scrap.MANAGE) as tx:
            await scrap.create(tx, **values)
    async with shop.tx(scrap.MANAGE) as tx:
        await scrap.update(tx, reason.id, version=1, changes={"name": "Porous"})
    async with shop.tx(scrap.MANAGE) as tx:
        await scrap.archive(tx, reason.id, version=2, now=now())
    async with shop.tx(scrap.MANAGE) as tx:
        assert (await scrap.unarchive(tx, reason.id, version=3)).archived_at is None


async def test_planning_for_one_department_leaves_the_plants_routings_alone(shop: Shop, tenant: Tenant) -> None:
    draft = await routing(shop, [Step(10, "Saw")])
    planner = tenant.in_department("planner")
    changes: list[Callable[[WriteTx], Awaitable[Any]]] = [
        lambda tx: service.update(tx, draft.id, version=1, changes={"name": "Mine"}, steps=None),
        lambda tx: service.revise(tx, draft.id),
        lambda tx: service.activate(tx, draft.id, version=1, now=now()),
        lambda tx: service.retire(tx, draft.id, version=1, now=now()),
    ]
    for change in changes:
        with pytest.raises(NotPermitted):
            async with shop.database.write(planner, "production.plan") as tx:
                await change(tx)
