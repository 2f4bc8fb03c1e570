"""People, plants and apps: as the application role and against parallel callers."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from db.actor import EVERYWHERE, Actor, Scope
from db.refusal import AlreadyExists, Archived, NotFound, NotPermitted, ValidationFailed, VersionConflict
from db.session import Database
from modules.identity import rules
from modules.identity.access import service as access
from modules.identity.apps import service as apps
from modules.identity.people import service as people
from modules.identity.public import load_app_actor, load_user_actor
from modules.identity.sites import service as sites
from modules.identity.tables import RoleGrant, User
from tests.modules.identity.helpers import NOW, give, loaded, new_user, patch, role_id
from tests.support import Tenant

# --- people -----------------------------------------------------------------------------------------------------------


async def test_addresses_and_names_are_unique_whatever_the_case(database, tenant, stranger):
    await new_user(database, tenant, "ada", employee_code="E1")
    for more, path in (
        ({"email": "ADA@Acme.Example"}, "email"),
        ({"username": "Ada"}, "username"),
        ({"employee_code": "E1"}, "employeeCode"),
    ):
        given = {"email": "new@acme.example", "username": "new", **more}
        with pytest.raises(AlreadyExists) as refused:
            async with database.write(tenant.actor()) as tx:
                await people.create(tx, full_name="Ada", now=NOW, **given)
        assert refused.value.path == (path,)
    assert (await new_user(database, stranger, "ada", employee_code="E1")).email == "ada@acme.example", (
        "tenants do not collide"
    )


async def test_user_names_are_made_from_addresses(database, tenant):
    async def create(domain: str) -> User:
        async with database.write(tenant.actor()) as tx:
            return await people.create(tx, email=f"Ada@{domain}.example", full_name="Ada", now=NOW)

    made = await asyncio.gather(*(create(d) for d in ("one", "two", "three")))
    assert sorted(u.username for u in made) == ["Ada", "Ada2", "Ada3"]


async def test_a_new_address_or_password_is_no_way_to_more_rights(database, tenant):
    clerk = replace(tenant.actor(only={"identity.read", "identity.manage"}), user_id=tenant.users["supervisor"])
    boss = tenant.users["admin"]
    for attempt in (
        lambda tx: people.update(tx, boss, version=1, input=patch(email="mine@evil.example")),
        lambda tx: people.reset_token(tx, boss, now=NOW),
        lambda tx: people.archive(tx, boss, version=1, now=NOW),
    ):
        with pytest.raises(rules.ExceedsOwnRights):
            async with database.write(clerk) as tx:
                await attempt(tx)
    async with database.write(clerk) as tx:
        assert (await people.update(tx, boss, version=1, input=patch(phone="+49 1"))).phone == "+49 1"


async def test_power_over_a_user_is_measured_also_where_one_does_not_look(database, tenant, admin):
    """Rights in a plant are hidden from who does not see the plant, but they count."""
    one, two = tenant.plants
    user = await new_user(database, tenant, "ada")
    given = await give(database, tenant.actor(), user.id, await role_id(admin, tenant, "admin"), two)
    clerk = replace(
        tenant.actor(only={"identity.read", "identity.manage"}),
        user_id=tenant.users["supervisor"],
        readable=frozenset({one}),
    )
    async with database.write(clerk) as tx:
        assert await tx.get(RoleGrant, given.id) is None
        with pytest.raises(rules.ExceedsOwnRights):
            await people.reset_token(tx, user.id, now=NOW)


async def test_versions(database, tenant):
    user = await new_user(database, tenant, "ada")
    async with database.write(tenant.actor()) as tx:
        await people.update(tx, user.id, version=1, input=patch(full_name="Ada L."))
    with pytest.raises(VersionConflict) as conflict:
        async with database.write(tenant.actor()) as tx:
            await people.update(tx, user.id, version=1, input=patch(full_name="Ada K."))
    assert conflict.value.current == 2


async def test_archived_users_hold_nothing_and_come_back_as_they_were(database, tenant, admin):
    user = await new_user(database, tenant, "ada")
    role = await role_id(admin, tenant, "viewer")
    await give(database, tenant.actor(), user.id, role)
    async with database.write(tenant.actor()) as tx:
        await people.archive(tx, user.id, version=1, now=NOW)
    assert await load_user_actor(database, tenant.organization_id, user.id, None) is None
    with pytest.raises(Archived):
        await give(database, tenant.actor(), user.id, role, tenant.plants[0])
    async with database.write(tenant.actor()) as tx:
        again = await people.archive(tx, user.id, version=2, now=NOW + timedelta(days=1))
        assert again.archived_at == NOW
    async with database.write(tenant.actor()) as tx:
        await people.unarchive(tx, user.id, version=2)
    assert (await loaded(database, tenant, user.id)).may("identity.read")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"email": "x"}, "email"),
        ({"locale": "German"}, "locale"),
        ({"full_name": None}, "fullName"),
        ({"username": " "}, "username"),
    ],
)
async def test_values_are_checked(database, tenant, given, path):
    with pytest.raises(ValidationFailed) as refused:
        async with database.write(tenant.actor()) as tx:
            await people.update(tx, tenant.users["viewer"], version=1, input=patch(**given))
    assert refused.value.path == (path,)


async def test_plant_access_nests_and_goes_no_further_than_ones_own(database, tenant):
    user, one = await new_user(database, tenant, "ada"), tenant.plants[0]

    async def put(actor: Actor, read: bool, write: bool, delete: bool):
        async with database.write(actor) as tx:
            return (
                await access.set_plant_access(tx, user_id=user.id, plant_id=one, read=read, write=write, delete_=delete)
            )[1]

    with pytest.raises(ValidationFailed):
        await put(tenant.actor(), True, False, True)
    boss = replace(tenant.actor(plants=[one]), writable=frozenset())
    with pytest.raises(rules.ExceedsOwnRights):
        await put(boss, True, True, False)
    assert await put(boss, True, False, False) is not None
    rows = await asyncio.gather(*(put(tenant.actor(), True, True, n % 2 == 0) for n in range(4)))
    assert len({r.id for r in rows}) == 1
    assert await put(tenant.actor(), False, False, False) is None
    assert (await loaded(database, tenant, user.id)).readable == frozenset()


# --- plants -----------------------------------------------------------------------------------------------------------


async def test_plants_are_opened_by_who_reaches_all(database, tenant):
    async def create(actor: Actor, **more: object):
        given = {
            "code": "P9",
            "name": "Nine",
            "plant_type": rules.PlantType.ASSEMBLY,
            "time_zone": "Asia/Kolkata",
            **more,
        }
        async with database.write(actor, "identity.manage") as tx:
            return await sites.create_plant(tx, address=None, manager_id=None, **given)

    with pytest.raises(NotPermitted):
        await create(tenant.actor(plants=tenant.plants))
    for more, path in (({"time_zone": "Europe/Atlantis"}, "timeZone"), ({"code": "P 9"}, "code")):
        with pytest.raises(ValidationFailed) as refused:
            await create(tenant.actor(), **more)
        assert refused.value.path == (path,)
    await create(tenant.actor())
    with pytest.raises(AlreadyExists):
        await create(tenant.actor())


async def test_a_plant_is_changed_by_who_writes_there(database, tenant):
    one, two = tenant.plants
    boss = tenant.actor(plants=[one])
    async with database.write(boss, "identity.manage") as tx:
        await sites.update_plant(tx, one, version=1, input=patch(name="First"), manager=tenant.users["supervisor"])
        with pytest.raises(NotFound):
            await sites.update_plant(tx, two, version=1, input=patch(name="x"), manager=...)
    reader = replace(tenant.actor(), writable=frozenset({one}))
    async with database.write(reader, "identity.manage") as tx:
        with pytest.raises(NotPermitted):
            await sites.update_plant(tx, two, version=1, input=patch(name="x"), manager=...)
        with pytest.raises(NotPermitted):
            await sites.create_department(tx, plant_id=two, code="X", name="x", head_id=None)


# --- apps -------------------------------------------------------------------------------------------------------------


async def make_key(
    database: Database, actor: Actor, app_id: int, scopes: list[str], plant: int | None = None, **more: object
):
    async with database.write(actor) as tx:
        return await apps.create_key(
            tx, app_id=app_id, name="test", scopes=scopes, plant_id=plant, now=NOW, **{"expires_at": None, **more}
        )


@pytest.fixture
async def app_id(database: Database, tenant: Tenant) -> int:
    async with database.write(tenant.actor()) as tx:
        return (await apps.create(tx, code="erp", name="ERP", description=None)).id


async def test_a_key_gives_its_scopes_in_its_plant_until_it_is_revoked(database, tenant, app_id, admin):
    one = tenant.plants[0]
    key, secret = await make_key(
        database, tenant.actor(), app_id, ["identity.read"], one, expires_at=NOW + timedelta(days=1)
    )
    actor = await load_app_actor(database, secret, now=NOW)
    assert (actor.organization_id, actor.app_id, actor.user_id) == (tenant.organization_id, app_id, None)
    assert actor.permissions == {"identity.read": Scope.of_plants([one])}
    assert actor.readable == {one}
    assert actor.expires_at == NOW + timedelta(days=1)
    assert secret.startswith(key.prefix)
    used = await admin.fetchval("select last_used_at from app.app_key_uses where id = $1", key.id)
    assert used == NOW
    stored = await admin.fetch("select key_hash from auth.api_keys where key_id = $1", key.id)
    assert secret.encode() not in bytes(stored[0]["key_hash"])
    assert await load_app_actor(database, secret, now=NOW + timedelta(days=2)) is None
    assert await load_app_actor(database, secret + "x", now=NOW) is None
    async with database.write(tenant.actor()) as tx:
        await apps.revoke_key(tx, key.id, now=NOW)
    assert await load_app_actor(database, secret, now=NOW) is None


async def test_keys_of_an_archived_app_do_not_work(database, tenant, app_id):
    _, secret = await make_key(database, tenant.actor(), app_id, ["identity.read"])
    async with database.write(tenant.actor()) as tx:
        await apps.archive(tx, app_id, version=1, now=NOW)
    assert await load_app_actor(database, secret, now=NOW) is None
    with pytest.raises(Archived):
        await make_key(database, tenant.actor(), app_id, ["identity.read"])


async def test_what_a_key_refuses(database, tenant, app_id, stranger):
    weak = tenant.actor(only={"identity.read", "identity.apps"})
    with pytest.raises(rules.ExceedsOwnRights):
        await make_key(database, weak, app_id, ["identity.manage"])
    with pytest.raises(rules.ExceedsOwnRights):
        await make_key(database, replace(weak, readable=frozenset(tenant.plants)), app_id, ["identity.read"])
    for scopes, more in (([], {}), (["no.such"], {}), (["identity.read"], {"expires_at": NOW})):
        with pytest.raises(ValidationFailed):
            await make_key(database, tenant.actor(), app_id, scopes, **more)
    with pytest.raises(NotFound):
        await make_key(database, stranger.actor(), app_id, ["identity.read"])


async def test_secrets_are_not_in_the_audit_trail(database, tenant, app_id, admin):
    _, secret = await make_key(database, tenant.actor(), app_id, ["identity.read"])
    await new_user(database, tenant, "ada", initial_password="a secret password")
    trail = await admin.fetch(
        "select before::text || after::text as t from app.audit_logs where organization_id = $1", tenant.organization_id
    )
    assert not [r for r in trail if r["t"] and (secret in r["t"] or "secret password" in r["t"] or "argon2" in r["t"])]


async def test_system_roles_are_fixed_in_the_database_too(admin, tenant):
    with pytest.raises(asyncpg.CheckViolationError):
        await admin.execute(
            "update app.roles set permissions = '{identity.manage}' where organization_id = $1 and code = 'viewer'",
            tenant.organization_id,
        )


async def test_an_organization_is_made_with_its_roles_and_first_administrator(admin, database):
    async with admin.transaction():
        await admin.execute("set local role unison_owner")
        made = await admin.fetchrow(
            "select * from auth.organization_create('New-Org', 'new-org', 'New', 'boss@new.example', 'Boss', null, now())"
        )
    actor = await load_user_actor(database, made["organization_id"], made["user_id"], None)
    assert actor.permissions["identity.manage"] == EVERYWHERE
    assert actor.readable is None
    count = await admin.fetchval(
        "select count(*) from app.roles where organization_id = $1 and is_system", made["organization_id"]
    )
    assert count == 10
