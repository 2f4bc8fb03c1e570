"""What actors hold, who may grant it, and roles: as the application role and against parallel callers."""

import asyncio
from dataclasses import replace

import pytest

from db.actor import EVERYWHERE, Scope
from db.refusal import AlreadyExists, NotFound, NotPermitted, ValidationFailed
from modules.identity import rules
from modules.identity.access import service as access
from modules.identity.people import service as people
from modules.identity.sites import service as sites
from modules.identity.tables import Plant, RoleGrant, User
from tests.modules.identity.helpers import NOW, give, grant_id, loaded, new_role, new_user, patch, role_id

# --- what a user may do -----------------------------------------------------------------------------------------------


async def test_an_actor_holds_what_was_granted_where_it_was_granted(database, tenant, admin):
    user = await new_user(database, tenant, "ada")
    operator, quality = await role_id(admin, tenant, "operator"), await role_id(admin, tenant, "quality_inspector")
    one, two = tenant.plants
    await give(database, tenant.actor(), user.id, operator, one)
    await give(database, tenant.actor(), user.id, quality, department=tenant.departments[1])
    async with database.write(tenant.actor()) as tx:
        await access.set_plant_access(tx, user_id=user.id, plant_id=one, read=True, write=True, delete_=False)
        await access.set_plant_access(tx, user_id=user.id, plant_id=two, read=True, write=False, delete_=False)
    actor = await loaded(database, tenant, user.id)
    held = actor.permissions["identity.read"]
    assert held.whole_plants == {one}
    assert held.departments == {tenant.departments[1]}
    assert (actor.readable, actor.writable, actor.deletable) == ({one, two}, {one}, frozenset())
    assert not actor.may("identity.manage")


async def test_the_role_is_nothing_without_plant_access(database, tenant, admin):
    user = await new_user(database, tenant, "ada")
    await give(database, tenant.actor(), user.id, await role_id(admin, tenant, "admin"))
    actor = await loaded(database, tenant, user.id)
    assert actor.permissions["identity.manage"] == EVERYWHERE
    assert actor.read_scope("identity.manage").plants == frozenset()


async def test_all_plants_means_the_next_plant_too(database, tenant):
    async with database.write(tenant.actor()) as tx:
        plant = await sites.create_plant(
            tx,
            code="P9",
            name="Nine",
            plant_type=rules.PlantType.ASSEMBLY,
            time_zone="Asia/Kolkata",
            address=None,
            manager_id=None,
        )
    actor = await loaded(database, tenant, tenant.users["viewer"])
    async with database.read(actor) as tx:
        assert (await tx.found(Plant, plant.id)).time_zone == "Asia/Kolkata"


# --- granting ---------------------------------------------------------------------------------------------------------


async def test_nobody_grants_what_they_do_not_hold(database, tenant, admin):
    """A plant's own administrator may pass on in the plant what they hold there, and nothing elsewhere."""
    one, two = tenant.plants
    boss = replace(
        tenant.actor(plants=[one], only={"identity.read", "identity.manage"}), user_id=tenant.users["supervisor"]
    )
    user = await new_user(database, tenant, "ada")
    viewer_like = await new_role(database, tenant, "reader", ["identity.read"])
    assert (await give(database, boss, user.id, viewer_like, one)).plant_id == one
    for plant in (two, None):
        with pytest.raises((NotPermitted, NotFound)):
            await give(database, boss, user.id, viewer_like, plant)
    with pytest.raises(rules.ExceedsOwnRights) as refused:
        await give(database, boss, user.id, await role_id(admin, tenant, "admin"), one)
    assert "identity.apps" in refused.value.permissions


async def test_the_same_grant_once_also_under_parallel_callers(database, tenant, admin):
    user, role = await new_user(database, tenant, "ada"), await role_id(admin, tenant, "viewer")
    answers = await asyncio.gather(
        *(give(database, tenant.actor(), user.id, role) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(a, RoleGrant) for a in answers) == 1
    assert sum(isinstance(a, AlreadyExists) for a in answers) == 5


async def test_a_department_brings_its_plant(database, tenant, admin):
    user, role = await new_user(database, tenant, "ada"), await role_id(admin, tenant, "operator")
    made = await give(database, tenant.actor(), user.id, role, department=tenant.departments[0])
    assert (made.plant_id, made.department_id) == (tenant.plants[0], tenant.departments[0])
    with pytest.raises(ValidationFailed, match="another plant"):
        await give(database, tenant.actor(), user.id, role, tenant.plants[1], tenant.departments[0])


async def test_ids_of_another_tenant_are_unknown(database, tenant, stranger, admin):
    mine, theirs = tenant.users["viewer"], stranger.users["viewer"]
    role, their_role = await role_id(admin, tenant, "operator"), await role_id(admin, stranger, "operator")
    for user, role_, plant in ((theirs, role, None), (mine, their_role, None), (mine, role, stranger.plants[0])):
        with pytest.raises(NotFound):
            await give(database, tenant.actor(), user, role_, plant)
    async with database.write(tenant.actor()) as tx:
        with pytest.raises(NotFound):
            await access.revoke(tx, await grant_id(admin, stranger, "viewer"))


async def test_two_administrators_who_revoke_each_other_leave_one(database, tenant, admin):
    second = await new_user(database, tenant, "ada", all_plants=True)
    other = await give(database, tenant.actor(), second.id, await role_id(admin, tenant, "admin"))
    first = await grant_id(admin, tenant, "admin")

    async def revoke(id: int):
        async with database.write(tenant.actor()) as tx:
            return await access.revoke(tx, id)

    answers = await asyncio.gather(revoke(first), revoke(other.id), return_exceptions=True)
    assert sorted(type(a).__name__ for a in answers) == ["LastAdministrator", "User"]


async def test_the_last_administrator_stays_whatever_way_it_is_tried(database, tenant, admin):
    boss = tenant.users["admin"]
    async with database.read(tenant.actor()) as tx:
        version = (await tx.found(User, boss)).version
    with pytest.raises(rules.LastAdministrator):
        async with database.write(tenant.actor()) as tx:
            await people.archive(tx, boss, version=version, now=NOW)
    with pytest.raises(rules.LastAdministrator):
        async with database.write(tenant.actor()) as tx:
            await people.update(tx, boss, version=version, input=patch(all_plants=False))
    with pytest.raises(rules.LastAdministrator):
        async with database.write(tenant.actor()) as tx:
            await access.revoke(tx, await grant_id(admin, tenant, "admin"))
    assert (await loaded(database, tenant, boss)).may("identity.manage")


# --- roles ------------------------------------------------------------------------------------------------------------


async def test_a_role_of_its_own(database, tenant):
    role = await new_role(database, tenant, "shift_lead", ["identity.read", "identity.read"])
    user = await new_user(database, tenant, "ada")
    await give(database, tenant.actor(), user.id, role)
    assert (await loaded(database, tenant, user.id)).permissions == {"identity.read": EVERYWHERE}
    async with database.write(tenant.actor()) as tx:
        access.set_permissions(tx, await access.own_role(tx, role, version=1), ["identity.apps"])
    assert (await loaded(database, tenant, user.id)).permissions == {"identity.apps": EVERYWHERE}
    async with database.write(tenant.actor()) as tx:
        (await access.own_role(tx, role, version=2)).archived_at = NOW
    assert (await loaded(database, tenant, user.id)).permissions == {}


async def test_what_a_role_refuses(database, tenant, admin):
    with pytest.raises(ValidationFailed) as unknown:
        await new_role(database, tenant, "x", ["identity.read", "no.such"])
    assert unknown.value.path == ("permissions", "1")
    with pytest.raises(AlreadyExists):
        await new_role(database, tenant, "admin", ["identity.read"])
    async with database.write(tenant.actor()) as tx:
        with pytest.raises(rules.SystemRole):
            await access.own_role(tx, await role_id(admin, tenant, "viewer"), version=1)
    weak = tenant.actor(only={"identity.read", "identity.manage"})
    async with database.write(weak) as tx:
        with pytest.raises(rules.ExceedsOwnRights):
            await access.create_role(tx, code="x", name="x", description=None, permissions=["identity.apps"])
    partly = replace(weak, permissions={p: Scope.of_plants(tenant.plants[:1]) for p in weak.permissions})
    async with database.write(partly) as tx:
        with pytest.raises(NotPermitted):
            await access.create_role(tx, code="x", name="x", description=None, permissions=["identity.read"])


async def test_a_permission_no_module_declares_any_more_is_held_by_nobody(database, tenant, admin):
    role = await new_role(database, tenant, "old", ["identity.read"])
    await admin.execute("update app.roles set permissions = '{identity.read,gone.long_ago}' where id = $1", role)
    user = await new_user(database, tenant, "ada")
    await give(database, tenant.actor(), user.id, role)
    assert set((await loaded(database, tenant, user.id)).permissions) == {"identity.read"}
