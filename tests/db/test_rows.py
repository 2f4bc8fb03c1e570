"""Rows in hand: one object per row, changes sent before anything is asked, what PostgreSQL made of them brought back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import TextClause, delete, select, text, update
from sqlalchemy.sql.selectable import TextualSelect

from db.actor import Scope
from db.base import Table
from db.refusal import AlreadyExists
from db.rows import Vanished, columns_of
from db.session import Database, WriteTx
from modules.identity.tables import Department, PlantAccess
from tests.support import Tenant


def of(tenant: Tenant) -> Any:
    return select(Department).where(Department.organization_id == tenant.organization_id).order_by(Department.id)


@asynccontextmanager
async def sent(tx: WriteTx) -> AsyncIterator[list[str]]:
    """What a transaction writes."""
    seen: list[str] = []

    def note(record: Any) -> None:
        if record.query.startswith(("insert", "update", "delete", "with w0")):
            seen.append(record.query)

    tx._held.add_query_logger(note)
    yield seen
    await asyncio.sleep(0)  # the driver tells of a statement a moment later
    tx._held.remove_query_logger(note)


async def test_a_row_is_one_object_however_it_is_read(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        one = await tx.found(Department, tenant.departments[0])
        assert await tx.locked(Department, one.id) is one
        assert (await tx.scalars(of(tenant)))[0] is one


async def test_a_change_is_sent_before_anything_is_asked(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        row.name = "changed"
        assert await tx.scalar(text("select name from app.departments where id = :id"), {"id": row.id}) == "changed"
    async with database.read(tenant.actor()) as tx:
        assert (await tx.found(Department, tenant.departments[0])).name == "changed"


async def test_what_postgresql_made_of_it_is_there(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        version, at = row.version, row.updated_at
        row.name = "again"
        await tx.flush()
        assert (row.version, row.updated_at > at) == (version + 1, True)
        made = tx.add(Department(plant_id=tenant.plants[0], code="NEW", name="New"))
        await tx.flush()
        assert (made.version, made.archived_at) == (1, None)
        assert await tx.get(Department, made.id) is made


async def test_what_postgresql_sets_with_each_write_is_brought_back(admin: asyncpg.Connection) -> None:
    """Generated columns, and those a trigger sets before the row is written."""
    found = await admin.fetch(
        "select c.oid::regclass::text as source, a.attname as name from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " where a.attgenerated <> '' and c.relnamespace = 'app'::regnamespace union"
        " select t.tgrelid::regclass::text, s.name[1] from pg_trigger t join pg_proc p on p.oid = t.tgfoid,"
        " regexp_matches(p.prosrc, 'new\\.(\\w+) :=', 'g') as s(name) where t.tgtype & 19 = 19 and not t.tgisinternal"
    )
    models = {columns_of(mapper.class_).source: columns_of(mapper.class_) for mapper in Table.registry.mappers}
    missing = [
        f"{row['source']}.{row['name']}"
        for row in found
        if (columns := models.get(row["source"])) is not None
        and row["name"] in columns.names.values()
        and row["name"] not in {columns.names[attribute] for attribute in columns.by_server}
    ]
    assert len(found) > 10
    assert missing == []


async def test_what_is_changed_after_the_rows_were_let_go_is_not_sent(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        await tx.let_go()
        row.name = "too late"
        assert await tx.scalar(text("select name from app.departments where id = :id"), {"id": row.id}) != "too late"


async def test_a_row_has_the_columns_of_its_table_and_no_others() -> None:
    row = Department(code="A")
    assert (row.code, row.name) == ("A", None)
    with pytest.raises(TypeError, match="nmae"):
        Department(nmae="A")


async def test_a_value_set_to_what_it_was_is_no_change(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        async with sent(tx) as statements:
            row.name = "".join(row.name)
            await tx.flush()
            row.name, before = "x", row.name
            row.name = before
            await tx.flush()
        assert statements == []


async def test_only_what_differs_is_written(database: Database, tenant: Tenant, admin: asyncpg.Connection) -> None:
    async with database.write(tenant.actor()) as tx:
        first, second = await tx.scalars(of(tenant))
        await admin.execute("update app.departments set name = 'theirs' where id = $1", second.id)
        first.name, second.head_id = "ours", tenant.users["admin"]
        async with sent(tx) as statements:
            await tx.flush()
        assert len(statements) == 1
    async with database.read(tenant.actor()) as tx:
        assert [(row.name, row.head_id) for row in await tx.scalars(of(tenant))] == [
            ("ours", None),
            ("theirs", tenant.users["admin"]),
        ]


async def test_a_row_that_may_not_be_written_is_no_silence(database: Database, tenant: Tenant) -> None:
    with pytest.raises(Vanished):
        async with database.write(tenant.actor(), "no.such.permission") as tx:
            row = await tx.found(Department, tenant.departments[0])
            row.name = "x"


async def test_a_taken_name_is_refused_where_it_was_given(database: Database, tenant: Tenant) -> None:
    with pytest.raises(AlreadyExists) as refused:
        async with database.write(tenant.actor()) as tx:
            tx.add(Department(plant_id=tenant.plants[0], code="D1", name="Again"))
            await tx.flush({"departments_organization_id_plant_id_code_key": ("code",)})
    assert refused.value.path == ("code",)


async def test_rows_of_a_list_of_keys_are_found_whatever_its_length(database: Database, tenant: Tenant) -> None:
    async with database.read(tenant.actor()) as tx:
        for ids in ([], tenant.departments[:1], tenant.departments, [*tenant.departments, 0]):
            found = await tx.rows(of(tenant).with_only_columns(Department.id).where(Department.id.in_(ids)))
            assert [row.id for row in found] == tenant.departments[: len(ids)]


async def test_a_change_is_sent_under_the_plants_it_was_made_in(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        row.name = "changed"
        await tx.use_scope(Scope.of_plants([tenant.plants[1]]))
        assert await tx.get(Department, tenant.departments[0]) is None
    async with database.read(tenant.actor()) as tx:
        assert (await tx.found(Department, tenant.departments[0])).name == "changed"


PAST = "update app.departments set name = 'past' where organization_id = :org and id = :id returning id"


@pytest.mark.parametrize(
    ("statement", "stale"),
    [
        (lambda d: update(Department).where(Department.id == d).values(name="past").returning(Department.id), True),
        (lambda d: text(PAST), True),
        (lambda d: text(PAST).columns(Department.id), True),
        (lambda d: select(Department.id), False),
    ],
    ids=["update", "text", "text with columns", "select"],
)
async def test_it_is_known_that_a_statement_may_have_written_past_the_rows_in_hand(
    database: Database, tenant: Tenant, statement: Callable[[int], Any], stale: bool
) -> None:
    async with database.write(tenant.actor()) as tx:
        id = tenant.departments[0]
        given = {"org": tenant.organization_id, "id": id}
        await tx.scalar(statement(id), given if isinstance(statement(id), TextClause | TextualSelect) else None)
        assert tx.stale is stale


async def test_a_row_that_may_not_be_deleted_is_no_silence(database: Database, tenant: Tenant) -> None:
    with pytest.raises(Vanished):
        async with database.write(tenant.actor()) as tx:
            row = tx.add(
                PlantAccess(
                    user_id=tenant.users["viewer"],
                    plant_id=tenant.plants[0],
                    can_read=True,
                    can_write=False,
                    can_delete=False,
                )
            )
            await tx.flush()
            await tx.execute(delete(PlantAccess).where(PlantAccess.id == row.id))
            await tx.delete(row)


async def test_a_deleted_row_is_followed_no_more(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = tx.add(PlantAccess(user_id=tenant.users["viewer"], plant_id=tenant.plants[0], can_read=True))
        await tx.flush()
        await tx.delete(row)
        row.can_write = True
        assert row.can_write


async def test_of_a_row_others_may_have_changed_all_comes_back(database: Database, tenant: Tenant) -> None:
    """A version without the change that made it would let its reader overwrite that change."""
    async with database.write(tenant.actor()) as tx:
        row = await tx.found(Department, tenant.departments[0])
        async with database.write(tenant.actor()) as other:
            (await other.locked(Department, tenant.departments[0])).name = "theirs"
        row.code = "MINE"
        await tx.flush()
        assert (row.name, row.code) == ("theirs", "MINE")


async def test_a_write_that_failed_is_not_passed_over(database: Database, tenant: Tenant) -> None:
    """A value the driver refuses never reaches PostgreSQL, which would go on as if nothing had happened."""

    async def passing_over() -> None:
        async with database.write(tenant.actor()) as tx:
            row = await tx.locked(Department, tenant.departments[0])
            row.name, row.head_id = "lost", 2**70
            with pytest.raises(asyncpg.DataError):
                await tx.flush()
            row.head_id = None

    with pytest.raises(RuntimeError, match="passed over"):
        await passing_over()


async def test_a_name_no_column_has_is_no_change(database: Database, tenant: Tenant) -> None:
    async with database.write(tenant.actor()) as tx:
        row = await tx.locked(Department, tenant.departments[0])
        with pytest.raises(AttributeError, match="nmae"):
            row.nmae = "typo"
