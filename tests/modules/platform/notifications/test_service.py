"""Who is told, where, and what becomes of it; as PostgreSQL decides it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select, text

from db.actor import Actor
from db.session import Database
from modules.identity.public import holders_of
from modules.platform.notifications import service
from modules.platform.notifications.rules import Channel
from modules.platform.notifications.tables import Notification
from modules.platform.public import Holders, notify, use_mail
from tests.post import Post
from tests.support import Tenant

FACTS = {"what": "broken", "more": "Hall A"}
NOW = datetime.now(UTC)


async def tell(
    database: Database, tenant: Tenant, *, by: str = "admin", kind: str = "sample.told", **given: Any
) -> int:
    async with database.write(tenant.actor(by)) as tx:
        return await notify(tx, kind, FACTS, **{"to": [tenant.users["viewer"]], **given})


async def seen(database: Database, actor: Actor) -> list[Notification]:
    async with database.read(actor) as tx:
        return await tx.scalars(select(Notification).order_by(Notification.id))


async def told(admin: asyncpg.Connection, tenant: Tenant) -> list[str]:
    """Roles of those who were told, as nobody but a superuser sees it."""
    rows = await admin.fetch(
        "select u.username from app.notifications n join app.users u on u.id = n.user_id where n.organization_id = $1"
        " order by n.id",
        tenant.organization_id,
    )
    return [row["username"] for row in rows]


async def jobs(admin: asyncpg.Connection, tenant: Tenant) -> list[dict[str, Any]]:
    rows = await admin.fetch(
        "select message -> 'payload' as payload from pgmq.q_email_notifications where headers ->> 'org' = $1",
        str(tenant.organization_id),
    )
    return [row["payload"] for row in rows]


async def grant(admin: asyncpg.Connection, tenant: Tenant, user: str, *, plants: list[int] | None = None,
                only_plant: int | None = None, only_department: int | None = None) -> None:  # fmt: skip
    """Narrow a user: the plants to enter, and where the role is held."""
    async with admin.transaction():
        await admin.execute(f"set local app.org_id = '{tenant.organization_id}'")
        if plants is not None:
            await admin.execute("update app.users set all_plants = false where id = $1", tenant.users[user])
            for plant in plants:
                await admin.execute(
                    "insert into app.user_plant_access (organization_id, user_id, plant_id) values ($1, $2, $3)",
                    tenant.organization_id, tenant.users[user], plant,
                )  # fmt: skip
        await admin.execute(
            "update app.role_grants set plant_id = $2, department_id = $3 where user_id = $1",
            tenant.users[user], only_plant, only_department,
        )  # fmt: skip


async def test_it_is_written_with_the_transaction_or_not_at_all(database: Database, tenant: Tenant, post: Post, admin):
    assert await tell(database, tenant, kind="sample.mailed", about=("Machine", 5), plant_id=tenant.plants[0]) == 1
    (row,) = await seen(database, tenant.actor("viewer"))
    assert (row.kind, row.title, row.body, row.severity) == ("sample.mailed", "broken", "Hall A", "critical")
    assert (row.entity_type, row.entity_id, row.plant_id, row.read_at) == ("Machine", 5, tenant.plants[0], None)
    assert row.by_email
    (payload,) = await jobs(admin, tenant)
    assert payload == f'{{"notification": {row.id}}}', "ids, no words"
    with pytest.raises(RuntimeError, match="undone"):
        async with database.write(tenant.actor()) as tx:
            await notify(tx, "sample.mailed", FACTS, to=[tenant.users["viewer"]])
            raise RuntimeError("undone")
    assert len(await seen(database, tenant.actor("viewer"))) == 1
    assert len(await jobs(admin, tenant)) == 1


async def test_who_does_it_is_not_told(database: Database, tenant: Tenant, admin):
    assert await tell(database, tenant, by="viewer", to=[tenant.users["viewer"], tenant.users["planner"]]) == 1
    assert await told(admin, tenant) == ["planner"]


async def test_holders_are_those_of_the_place(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    here, there = tenant.plants
    to = Holders("equipment.status.correct")
    await grant(admin, tenant, "maintenance_technician", only_plant=there)
    await grant(admin, tenant, "supervisor", plants=[there])  # holds it everywhere, may not enter this plant
    await tell(database, tenant, to=to, plant_id=here)
    assert await told(admin, tenant) == ["plant_manager"]
    await tell(database, tenant, to=to, plant_id=there)
    assert sorted((await told(admin, tenant))[1:]) == ["maintenance_technician", "plant_manager", "supervisor"]


async def test_who_may_not_enter_the_plant_holds_nothing_there(database: Database, tenant: Tenant, admin):
    here, there = tenant.plants
    await grant(admin, tenant, "supervisor", plants=[there])
    supervisor, right = tenant.users["supervisor"], "equipment.status.correct"
    async with database.read(tenant.actor("viewer")) as tx:
        assert supervisor not in await holders_of(tx, right, here)
        assert supervisor in await holders_of(tx, right, there)
        assert supervisor in await holders_of(tx, right, None)
    async with database.read(tenant.actor("operator", plants=[there])) as tx:  # whoever asks, in whichever plants
        assert tenant.users["plant_manager"] in await holders_of(tx, right, here)


async def test_a_department_is_a_place(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    here, own = tenant.plants[0], tenant.departments[0]
    await grant(admin, tenant, "maintenance_technician", only_plant=here, only_department=own)
    to = "equipment.status.correct"
    await tell(database, tenant, to=Holders(to, own), plant_id=here)
    assert "maintenance_technician" in await told(admin, tenant)
    before = len(await told(admin, tenant))
    await tell(database, tenant, to=Holders(to), plant_id=here)  # about the plant as a whole
    assert "maintenance_technician" not in (await told(admin, tenant))[before:]


async def test_roles_of_the_organizations_own_and_archived_people(database: Database, tenant: Tenant, admin):
    async with admin.transaction():
        await admin.execute(f"set local app.org_id = '{tenant.organization_id}'")
        role = await admin.fetchval(
            "insert into app.roles (organization_id, code, name, permissions) values ($1, 'own', 'Own', $2) returning id",
            tenant.organization_id, ["jobs.manage", "no.such.permission"],
        )  # fmt: skip
        for user in ("viewer", "planner"):
            await admin.execute(
                "insert into app.role_grants (organization_id, user_id, role_id) values ($1, $2, $3)",
                tenant.organization_id, tenant.users[user], role,
            )  # fmt: skip
        await admin.execute("update app.users set archived_at = now() where id = $1", tenant.users["planner"])
    await tell(database, tenant, by="operator", to=Holders("jobs.manage"))
    assert sorted(await told(admin, tenant)) == ["admin", "viewer"]
    await tell(database, tenant, by="operator", to=[tenant.users["planner"]])
    assert len(await told(admin, tenant)) == 2


async def test_users_of_another_organization_are_never_told(
    database: Database, tenant: Tenant, stranger: Tenant, admin
):
    assert await tell(database, tenant, to=[stranger.users["viewer"]]) == 0
    assert await told(admin, tenant) == await told(admin, stranger) == []


async def test_only_the_recipient_sees_it(database: Database, tenant: Tenant, stranger: Tenant, admin):
    await tell(database, tenant, plant_id=tenant.plants[0])
    viewer = tenant.actor("viewer")
    assert len(await seen(database, viewer)) == 1
    assert len(await seen(database, tenant.actor("viewer", plants=tenant.plants[:1]))) == 1
    others = [
        tenant.actor("admin"),
        stranger.actor("viewer"),
        replace(
            stranger.actor("viewer"), user_id=tenant.users["viewer"]
        ),  # the id of one in the organization of another
        replace(viewer, user_id=None, app_id=1),
        tenant.actor("viewer", plants=tenant.plants[1:]),  # may not enter the plant any more
    ]
    for actor in others:
        assert await seen(database, actor) == []
    audit = (
        "select count(*) from app.audit_logs where entity_type = 'Notification' or after ? 'title' and after ? 'in_app'"
    )
    assert await admin.fetchval(audit) == 0, "the trail would show everybody's"


async def test_the_application_writes_nothing_but_the_time_of_reading(database: Database, tenant: Tenant):
    await tell(database, tenant)
    for statement in (
        "insert into app.notifications (organization_id, user_id, kind, severity, title, body, in_app, by_email)"
        " values (app.org_id(), app.user_id(), 'x', 'info', 'x', 'x', true, false)",
        "update app.notifications set title = 'x'",
        "delete from app.notifications",
        "select * from app.notification_to_mail(1)",
    ):
        with pytest.raises(asyncpg.PostgresError, match=r"permission denied|only a job"):
            async with database.write(tenant.actor("viewer")) as tx:
                await tx.execute(text(statement))


async def test_nobody_reads_or_makes_preferences_of_another(database: Database, tenant: Tenant):
    async with database.write(tenant.actor("viewer")) as tx:
        await service.prefer(tx, "sample.told", Channel.EMAIL, enabled=True)
    async with database.read(tenant.actor()) as tx:
        assert await tx.rows(text("select * from app.notification_preferences")) == []
    theirs = {"user": tenant.users["viewer"], "kind": "sample.told", "channel": "email", "enabled": False}
    with pytest.raises(asyncpg.PostgresError, match="row-level security"):
        async with database.write(tenant.actor()) as tx:
            await tx.execute(service._PREFER, {"org": tx.org, **theirs})


@pytest.mark.parametrize("in_app", [None, True, False])
@pytest.mark.parametrize("email", [None, True, False])
@pytest.mark.parametrize("kind", ["sample.told", "sample.mailed"])
async def test_preferences_decide(database: Database, tenant: Tenant, post: Post, admin, in_app, email, kind):
    viewer = tenant.actor("viewer")
    async with database.write(viewer) as tx:
        for channel, enabled in ((Channel.IN_APP, in_app), (Channel.EMAIL, email)):
            if enabled is not None:
                await service.prefer(tx, kind, channel, enabled=not enabled)
                preference = await service.prefer(tx, kind, channel, enabled=enabled)
                assert {Channel.IN_APP: preference.in_app, Channel.EMAIL: preference.email}[channel] is enabled
    shown = in_app is not False
    mailed = kind == "sample.mailed" if email is None else email
    assert await tell(database, tenant, kind=kind) == int(shown or mailed)
    assert len(await seen(database, viewer)) == int(shown)
    assert len(await jobs(admin, tenant)) == int(mailed)
    async with database.read(viewer) as tx:
        assert await service.unread(tx, viewer.user_id) == int(shown)


async def test_without_a_mail_server_nothing_is_queued(database: Database, tenant: Tenant, admin):
    use_mail(None)
    assert await tell(database, tenant, kind="sample.mailed") == 1
    (row,) = await seen(database, tenant.actor("viewer"))
    assert not row.by_email
    assert await jobs(admin, tenant) == []


async def test_once_until_it_is_read(database: Database, tenant: Tenant):
    both = [tenant.users["viewer"], tenant.users["planner"]]
    assert await tell(database, tenant, to=both, once=True) == 2
    assert await tell(database, tenant, to=both, once=True) == 0
    async with database.write(tenant.actor("viewer")) as tx:
        assert await service.mark_all_read(tx, until=None, now=NOW) == 1
    assert await tell(database, tenant, to=both, once=True) == 1
    assert await tell(database, tenant, to=both) == 2


async def test_old_ones_are_forgotten(database: Database, tenant: Tenant, stranger: Tenant, admin):
    for one in (tenant, stranger):
        await tell(database, one)
        await tell(database, one)
        await admin.execute(
            "update app.notifications set created_at = now() - interval '91 days' where id ="
            " (select min(id) from app.notifications where organization_id = $1)",
            one.organization_id,
        )
    async with database.write(replace(tenant.actor(), user_id=None)) as tx:
        before = datetime.now(UTC) - timedelta(days=90)
        assert await tx.scalar(text("select app.forget_notifications(:before)"), {"before": before}) == 1
    assert len(await seen(database, tenant.actor("viewer"))) == 1
    assert len(await seen(database, stranger.actor("viewer"))) == 2
