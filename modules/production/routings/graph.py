"""Root fields of routings."""

from datetime import datetime

from db.session import WriteTx
from modules.production import lists, tables
from modules.production.types import Routing
from schema.fields import events, listing, lookup, mutation
from schema.ids import key

from . import service
from .inputs import RoutingCreateInput, RoutingPayload, RoutingReviseInput, RoutingUpdateInput, RoutingVersionInput

PLAN = "production.plan"

routing = lookup(Routing, description="One revision of a routing by its id; null when unknown")
routings = listing(Routing, lists.ROUTINGS, description="Revisions of routings the caller may see")
routing_events = events(Routing, lists.ROUTINGS, description="Routings as they are drafted, activated and retired")


@mutation(PLAN, RoutingPayload, description="Draft the first revision of a routing")
async def routing_create(tx: WriteTx, input: RoutingCreateInput) -> tables.Routing:
    return await service.create(tx, **input.values())


@mutation(PLAN, RoutingPayload, description="Edit a draft")
async def routing_update(tx: WriteTx, input: RoutingUpdateInput) -> tables.Routing:
    return await service.update(
        tx,
        key("Routing", input.id),
        version=input.expected_version,
        changes=input.changes(),
        steps=input.steps(),
    )


@mutation(PLAN, RoutingPayload, description="Draft the next revision as a copy of one that exists")
async def routing_revise(tx: WriteTx, input: RoutingReviseInput) -> tables.Routing:
    return await service.revise(tx, key("Routing", input.id))


@mutation(PLAN, RoutingPayload, description="Put a revision to use; the one in use until now is retired")
async def routing_activate(tx: WriteTx, input: RoutingVersionInput, now: datetime) -> tables.Routing:
    return await service.activate(tx, input.key, version=input.expected_version, now=now)


@mutation(PLAN, RoutingPayload, description="Take a revision out of use; orders made by it go on")
async def routing_retire(tx: WriteTx, input: RoutingVersionInput, now: datetime) -> tables.Routing:
    return await service.retire(tx, input.key, version=input.expected_version, now=now)
