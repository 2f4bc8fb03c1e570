"""Trusted documents that are read before anybody asks, and whose stay where there are too many."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from api import trusted as trusting
from api.ahead import read_ahead
from api.documents import Documents
from api.limits import Limits
from api.trusted import Trusted
from db.actor import Actor
from db.session import Database
from schema.build import build
from tests.api.conftest import serving
from tests.api.test_trusted import DOCUMENT, counting, error, hash_of, register
from tests.conftest import Urls
from tests.support import House, Statements, Tenant


async def test_documents_are_read_when_a_process_starts(
    urls: Urls, database: Database, house: House, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection
) -> None:
    """Of the server and of every organization, with one among them that does not fit the schema; then none is looked up."""
    mine, theirs = (
        "query M($no: Boolean!) { me @skip(if: $no) { account { id } } }",
        "query T { workOrders { nodes { id } } }",
    )
    await register(house, tenant, mine, DOCUMENT)
    await register(house, stranger, theirs, DOCUMENT)
    everybodys = '{ echo(value: "for all") }'
    await admin.execute(
        "insert into meta.trusted_documents (hash, name, text) values ($1, 'All', $2) on conflict do nothing",
        hash_of(everybodys), everybodys,
    )  # fmt: skip
    old = "{ aFieldOfLongAgo }"
    await admin.execute(
        "insert into app.trusted_documents (organization_id, hash, name, text) values ($1, $2, 'Old', $3)",
        tenant.organization_id, hash_of(old), old,
    )  # fmt: skip
    async with serving(urls, database) as live:
        await live.app.state.reading
        own, foreign = await live.token(tenant), await live.token(stranger)

        async def ask(text: str, token: str | None, **body: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return await live.client.post(
                "/graphql", json={"documentId": f"sha256:{hash_of(text)}", **body}, headers=headers
            )

        with Statements(live.app.state.beside) as seen, counting() as work:
            answers = [
                await ask(mine, own, variables={"no": False}),
                await ask(mine, own, variables={"no": True}),
                await ask(theirs, foreign),
                await ask(DOCUMENT, own),
                await ask(DOCUMENT, foreign),
                await ask(everybodys, own),
                await ask(everybodys, None),
            ]
        assert all("data" in answer.json() for answer in answers)
        assert [one for one in seen.seen if "trusted_document" in one] == []
        assert work == {}
        assert error(await ask(mine, foreign))["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        assert error(await ask(theirs, None))["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        assert error(await ask(old, own))["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_of_the_documents_of_all_everybody_has_a_share(
    urls: Urls, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection
) -> None:
    insert = (
        "insert into app.trusted_documents (organization_id, hash, name, text, created_at)"
        " select $1, md5($2 || n) || md5(n || $2), 'Q', '{ __typename }', now() - $3 * interval '1 day' + n * interval '1 second'"
        " from generate_series(1, $4) n"
    )
    await admin.execute(insert, tenant.organization_id, "many", 1, 400)
    await admin.execute(insert, stranger.organization_id, "few", 100, 2)
    connection = await asyncpg.connect(urls.events)
    try:
        found = await connection.fetch("select * from ev.trusted_documents(300)")
        assert len(found) <= 300
        of = {
            org: [row["created_at"] for row in found if row["organization_id"] == org]
            for org in (tenant.organization_id, stranger.organization_id)
        }
        assert len(of[stranger.organization_id]) == 2
        assert 100 < len(of[tenant.organization_id]) < 300
        newest = await admin.fetch(
            "select created_at from app.trusted_documents where organization_id = $1 order by created_at desc limit $2",
            tenant.organization_id, len(of[tenant.organization_id]),
        )  # fmt: skip
        assert of[tenant.organization_id] == [row["created_at"] for row in newest]
        first = [row["organization_id"] for row in await connection.fetch("select * from ev.trusted_documents(1)")]
        assert len(first) == 1
    finally:
        await connection.close()
        await admin.execute("delete from app.trusted_documents where text = '{ __typename }' and name = 'Q'")


async def test_what_is_too_long_for_the_room_left_keeps_nothing_else_out(
    urls: Urls, database: Database, house: House, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = f"query Short{tenant.code} {{ me {{ account {{ id }} }} }}"
    long = f"query Long {{ me {{ account {{ id }} }} }} # {tenant.code}" + "x" * 50_000
    await register(house, tenant, short)
    await register(house, tenant, long)
    monkeypatch.setattr(trusting, "MOST_CHARACTERS", 40_000)
    trusted = Trusted(Documents(build(), Limits(tokens=10_000), suggestions=True), database)
    await read_ahead(urls.events, trusted)
    assert trusted.known(hash_of(long), Actor(tenant.organization_id)) is None
    assert trusted.known(hash_of(short), Actor(tenant.organization_id)) is not None


def test_who_registers_many_documents_displaces_their_own(database: Database) -> None:
    trusted = Trusted(Documents(build(), Limits(), suggestions=True), database, size=4)
    texts = [f"query Q{n} {{ me {{ account {{ id }} }} }}" for n in range(8)]
    trusted.read(hash_of(texts[0]), texts[0], Actor(1))
    for one in texts:
        trusted.read(hash_of(one), one, Actor(2))
    assert trusted.known(hash_of(texts[0]), Actor(1)) is not None
    assert [trusted.known(hash_of(one), Actor(2)) is not None for one in texts] == [False] * 5 + [True] * 3
    assert trusted.ahead(3, hash_of(texts[1]), texts[1]), "somebody has more than they would"
    assert not trusted.ahead(2, hash_of(texts[0]), texts[0])


async def test_only_the_hubs_role_reads_the_documents_of_all(
    urls: Urls, database: Database, house: House, tenant: Tenant, stranger: Tenant
) -> None:
    await register(house, tenant, DOCUMENT)
    for call in ("ev.trusted_documents(10)", f"ev.trusted_document({tenant.organization_id}, '{hash_of(DOCUMENT)}')"):
        with pytest.raises(asyncpg.PostgresError, match="permission denied"):
            async with database.read(stranger.actor()) as tx:
                await tx.scalar(text(f"select {call}"))
        connection = await asyncpg.connect(urls.events)
        try:
            assert await connection.fetchval(f"select count(*) from {call}") >= 1
            assert await connection.fetchval("select current_setting('app.org_id', true)") in ("", None)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("select * from app.trusted_documents")
        finally:
            await connection.close()
    async with database.read(stranger.actor()) as tx:
        assert await tx.scalar(text("select app.trusted_document(:hash)"), {"hash": hash_of(DOCUMENT)}) is None
        assert await tx.scalar(text("select count(*) from app.trusted_documents")) == 0


def test_what_is_read_ahead_has_its_bounds_and_goes_first(database: Database) -> None:
    trusted = Trusted(Documents(build(), Limits(), suggestions=True), database, size=3)
    texts = [f"query Q{n} {{ me {{ account {{ id }} }} }}" for n in range(5)]
    assert [trusted.ahead(1, hash_of(text), text) for text in texts] == [True] * 3 + [False] * 2
    trusted.read(hash_of(texts[4]), texts[4], Actor(1))
    known = [trusted.known(hash_of(text), Actor(1)) is not None for text in texts]
    assert known == [True, True, False, False, True], "the oldest of those read ahead made room"
    assert trusted.known(hash_of(texts[0]), Actor(2)) is None
