"""Sign-in, refresh, lockout and passwords, each as the application role and against parallel callers."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text

from db.actor import ANONYMOUS
from db.session import Database
from modules.identity import rules
from modules.identity.public import TokenSigner, issue_token_for, load_user_actor, take_mails
from modules.identity.sessions import resets, service
from modules.identity.sessions.service import Opened
from modules.identity.tables import User
from tests.modules.identity.conftest import PASSWORD
from tests.support import House, Tenant

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


async def sign_in(database: Database, organization: str, email: str, password: str = PASSWORD, now: datetime = NOW):
    async with database.anonymous() as tx:
        return await service.sign_in(
            tx, organization=organization, email=email, password=password, device="test", now=now
        )


async def refresh(database: Database, token: str, now: datetime = NOW):
    async with database.anonymous() as tx:
        return await service.refresh(tx, refresh_token=token, now=now)


async def test_the_right_password_opens_a_session(database: Database, people: Tenant):
    opened = await sign_in(database, people.code.upper(), f"ADMIN@{people.code}.Example")
    assert (opened.organization_id, opened.user_id) == (people.organization_id, people.users["admin"])
    actor = await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW)
    assert actor is not None
    assert actor.may("identity.manage")
    assert actor.readable is None


async def test_every_failure_looks_the_same(database: Database, people: Tenant, admin: asyncpg.Connection):
    await admin.execute(
        "update app.users set archived_at = now() where organization_id = $1 and email like 'viewer@%'",
        people.organization_id,
    )
    tries = [
        (people.code, f"admin@{people.code}.example", "wrong password"),
        (people.code, f"viewer@{people.code}.example", PASSWORD),
        (people.code, "nobody@nowhere.example", PASSWORD),
        ("no-such-organization", f"admin@{people.code}.example", PASSWORD),
    ]
    refused = [await sign_in(database, *t) for t in tries]
    assert {(type(r), r.message, r.path) for r in refused} == {(rules.NotSignedIn, service.NOT_SIGNED_IN, ())}


@pytest.mark.parametrize("known", [True, False])
async def test_five_failures_close_an_account_whether_or_not_it_exists(database: Database, people: Tenant, known: bool):
    email = f"{'planner' if known else 'nobody'}@{people.code}.example"
    for _ in range(5):
        assert isinstance(await sign_in(database, people.code, email, "wrong password"), rules.NotSignedIn)
    locked = await sign_in(database, people.code, email)
    assert isinstance(locked, rules.SignInLocked)
    assert locked.retry_after_seconds == 31
    by_subdomain = await sign_in(database, people.code.upper(), email.upper())
    assert isinstance(by_subdomain, rules.SignInLocked)
    later = NOW + timedelta(seconds=31)
    if known:
        assert isinstance(await sign_in(database, people.code, email, now=later), Opened)
        assert isinstance(await sign_in(database, people.code, email, "wrong password", now=later), rules.NotSignedIn)
        assert isinstance(await sign_in(database, people.code, email, now=later), Opened), "success clears the count"
    else:
        assert isinstance(await sign_in(database, people.code, email, now=later), rules.NotSignedIn)
        again = await sign_in(database, people.code, email, now=later)
        assert again.retry_after_seconds == 61, "each lock is twice as long"


async def test_parallel_guesses_do_not_slip_past_the_lock(database: Database, people: Tenant):
    email = f"operator@{people.code}.example"
    answers = await asyncio.gather(*(sign_in(database, people.code, email, f"guess {n} of many") for n in range(12)))
    assert sum(isinstance(a, rules.NotSignedIn) for a in answers) == 5
    assert sum(isinstance(a, rules.SignInLocked) for a in answers) == 7


async def test_a_refresh_token_works_once_and_its_second_use_ends_the_session(database: Database, people: Tenant):
    opened = await sign_in(database, people.code, f"admin@{people.code}.example")
    second = await refresh(database, opened.refresh_token)
    assert isinstance(second, Opened)
    assert second.session_id == opened.session_id
    third = await refresh(database, second.refresh_token)
    assert isinstance(third, Opened)
    assert isinstance(await refresh(database, second.refresh_token), rules.NotSignedIn)
    assert isinstance(await refresh(database, third.refresh_token), rules.NotSignedIn), (
        "the thief's copy ended it for both"
    )
    assert await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW) is None


async def test_of_parallel_refreshes_exactly_one_wins(database: Database, people: Tenant):
    opened = await sign_in(database, people.code, f"admin@{people.code}.example")
    answers = await asyncio.gather(*(refresh(database, opened.refresh_token) for _ in range(8)))
    assert sum(isinstance(a, Opened) for a in answers) == 1


async def test_refresh_tokens_end_in_time(database: Database, people: Tenant):
    opened = await sign_in(database, people.code, f"admin@{people.code}.example")
    late = await refresh(database, opened.refresh_token, NOW + rules.REFRESH_TOKEN_LIFE + timedelta(seconds=1))
    assert isinstance(late, rules.NotSignedIn)
    assert isinstance(await refresh(database, "unison_rt_made_up"), rules.NotSignedIn)


async def test_an_archived_user_is_out_at_once(database: Database, people: Tenant, admin: asyncpg.Connection):
    opened = await sign_in(database, people.code, f"viewer@{people.code}.example")
    await admin.execute(
        "update app.users set archived_at = now() where organization_id = $1 and id = $2",
        opened.organization_id,
        opened.user_id,
    )
    assert await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW) is None
    assert isinstance(await refresh(database, opened.refresh_token), rules.NotSignedIn)


async def test_ending_a_session_leaves_the_others(database: Database, people: Tenant):
    one, two = [await sign_in(database, people.code, f"admin@{people.code}.example") for _ in range(2)]
    actor = await load_user_actor(database, one.organization_id, one.user_id, one.session_id, now=NOW)
    async with database.write(actor) as tx:
        await service.end(tx, now=NOW)
    assert await load_user_actor(database, one.organization_id, one.user_id, one.session_id, now=NOW) is None
    assert await load_user_actor(database, two.organization_id, two.user_id, two.session_id, now=NOW) is not None


async def test_a_changed_password_ends_the_other_sessions(database: Database, people: Tenant):
    email = f"admin@{people.code}.example"
    here, there = [await sign_in(database, people.code, email) for _ in range(2)]
    actor = await load_user_actor(database, here.organization_id, here.user_id, here.session_id, now=NOW)
    async with database.write(actor) as tx:
        assert isinstance(
            await resets.change(tx, current="not this one", new="a better password", now=NOW), rules.WrongPassword
        )
        assert await resets.change(tx, current=PASSWORD, new="a better password", now=NOW) is None
    assert await load_user_actor(database, here.organization_id, here.user_id, here.session_id, now=NOW) is not None
    assert await load_user_actor(database, there.organization_id, there.user_id, there.session_id, now=NOW) is None
    assert isinstance(await sign_in(database, people.code, email), rules.NotSignedIn)
    assert isinstance(await sign_in(database, people.code, email, "a better password"), Opened)


async def test_a_mailed_token_sets_a_password_once(database: Database, people: Tenant):
    email = f"planner@{people.code}.example"
    opened = await sign_in(database, people.code, email)
    async with database.anonymous() as tx:
        for address in (email.upper(), email, "nobody@nowhere.example"):
            await resets.request(tx, organization=people.code, email=address, now=NOW)
    async with database.anonymous() as tx:
        mails = [m for m in await take_mails(tx, now=NOW) if m.organization_id == people.organization_id]
    assert [(m.email, m.organization_name) for m in mails] == [(email, f"Org {people.code}")], (
        "one mail a minute, none to nobody"
    )
    async with database.anonymous() as tx:
        assert not [m for m in await take_mails(tx, now=NOW) if m.organization_id == people.organization_id]
        assert await resets.use(tx, token=mails[0].token, new="from the mail", now=NOW) is None
        assert isinstance(
            await resets.use(tx, token=mails[0].token, new="and again!!", now=NOW), rules.ResetTokenInvalid
        )
    assert await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW) is None
    assert isinstance(await sign_in(database, people.code, email, "from the mail"), Opened)


async def test_of_parallel_uses_of_a_token_one_wins_and_the_lock_is_lifted(database: Database, people: Tenant):
    email = f"planner@{people.code}.example"
    for _ in range(5):
        await sign_in(database, people.code, email, "wrong password")
    async with database.write(people.actor("admin")) as tx:
        token, _ = await resets.create(tx, await tx.found(User, people.users["planner"]), now=NOW)

    async def use(n: int):
        async with database.anonymous() as tx:
            return await resets.use(tx, token=token, new=f"password number {n}", now=NOW)

    answers = await asyncio.gather(*(use(n) for n in range(5)))
    (winner,) = [n for n, a in enumerate(answers) if a is None]
    assert isinstance(await sign_in(database, people.code, email, f"password number {winner}"), Opened)


async def test_a_token_expires(database: Database, people: Tenant):
    async with database.write(people.actor("admin")) as tx:
        token, expires = await resets.create(tx, await tx.found(User, people.users["planner"]), now=NOW)
    async with database.anonymous() as tx:
        refused = await resets.use(tx, token=token, new="too late now", now=expires + timedelta(seconds=1))
    assert isinstance(refused, rules.ResetTokenInvalid)


async def test_a_password_somebody_else_chose_must_be_changed_first(database: Database, people: Tenant):
    async with database.write(people.actor("admin")) as tx:
        await resets.put(tx, people.users["viewer"], "chosen for you", must_change=True, now=NOW)
    opened = await sign_in(database, people.code, f"viewer@{people.code}.example", "chosen for you")
    assert opened.must_change_password
    actor = await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW)
    assert actor.permissions == {}
    async with database.write(actor) as tx:
        await resets.change(tx, current="chosen for you", new="chosen by myself", now=NOW)
    actor = await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW)
    assert actor.may("identity.read")


async def test_sessions_of_others_are_for_who_manages_people(database: Database, people: Tenant, stranger: Tenant):
    opened = await sign_in(database, people.code, f"viewer@{people.code}.example")
    own = replace(people.actor("viewer"), session_id=opened.session_id)
    async with database.read(own) as tx:
        (mine,) = await service.live_sessions(tx, own.user_id, now=NOW)
        assert (str(mine.id), mine.device) == (opened.session_id, "test")
        with pytest.raises(service.NotPermitted):
            await service.live_sessions(tx, people.users["admin"], now=NOW)
    for nosy in (people.actor("planner"), stranger.actor("admin")):
        async with database.write(nosy) as tx:
            with pytest.raises(service.NotFound):
                await service.revoke(tx, mine.id, now=NOW)
    async with database.read(stranger.actor("admin")) as tx:
        assert await service.live_sessions(tx, own.user_id, now=NOW) == []
    async with database.write(people.actor("admin")) as tx:
        await service.revoke(tx, mine.id, now=NOW)
    assert await load_user_actor(database, opened.organization_id, opened.user_id, opened.session_id, now=NOW) is None


async def test_the_operators_tool_needs_no_password(database: Database, signer: TokenSigner, tenant: Tenant):
    token = await issue_token_for(database, signer, None, f"ADMIN@{tenant.code}.example")
    claims = signer.verify(token)
    actor = await load_user_actor(database, claims.organization_id, claims.user_id, claims.session_id)
    assert actor is not None
    assert actor.user_id == tenant.users["admin"]
    with pytest.raises(LookupError, match="no active user"):
        await issue_token_for(database, signer, tenant.code, "nobody@nowhere.example")


async def test_an_address_known_twice_needs_its_organization(
    database: Database, signer: TokenSigner, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection
):
    email = f"both@{tenant.code}.example"
    for t in (tenant, stranger):
        await admin.execute(
            "insert into app.users (organization_id, email, username, full_name) values ($1, $2, 'both', 'Both')",
            t.organization_id, email,
        )  # fmt: skip
    with pytest.raises(LookupError, match="2 organizations"):
        await issue_token_for(database, signer, None, email)
    assert (
        signer.verify(await issue_token_for(database, signer, stranger.code, email)).organization_id
        == stranger.organization_id
    )


async def test_the_application_role_reads_no_table_of_auth(database: Database):
    for table in ("credentials", "sessions", "refresh_tokens", "api_keys", "password_resets", "sign_in_attempts"):
        with pytest.raises(Exception, match="permission denied"):
            async with database.anonymous() as tx:
                await tx.rows(text(f"select * from auth.{table}"))


async def test_the_application_role_makes_no_organizations(database: Database):
    with pytest.raises(Exception, match="permission denied"):
        async with database.anonymous() as tx:
            await tx.rows(text("select auth.organization_create('x', 'x', 'x', 'x@y.z', 'x', null, now())"))


async def test_what_ended_is_purged_and_what_lives_stays(database: Database, people: Tenant, admin: asyncpg.Connection):
    for when in (NOW - timedelta(days=400), NOW):
        await sign_in(database, people.code, f"admin@{people.code}.example", now=when)
        await sign_in(database, people.code, f"nobody{when.year}@nowhere.example", now=when)
    assert await admin.fetchval("select auth.purge($1)", NOW - timedelta(days=30)) >= 2
    left = "select array_agg(created_at) from auth.sessions where organization_id = $1"
    assert await admin.fetchval(left, people.organization_id) == [NOW]


async def test_hostile_input_is_refused_not_crashed(desk: House, people: Tenant):
    document = "mutation($i: SessionCreateInput!) { sessionCreate(input: $i) { errors { code path } } }"
    for field, value in (("organization", "a\x00b"), ("email", "\ud800@x"), ("email", "x" * 300), ("organization", "")):
        given = {"organization": people.code, "email": "a@b.c", "password": "\x00\ud800" * 9, field: value}
        answer = await desk.data(ANONYMOUS, document, {"i": given})
        assert answer["sessionCreate"]["errors"] == [{"code": "VALIDATION_FAILED", "path": [field]}]
    given = {"organization": people.code, "email": "a@b.c", "password": "\x00\ud800" * 2000}
    assert (await desk.data(ANONYMOUS, document, {"i": given}))["sessionCreate"]["errors"][0]["code"] == "NOT_SIGNED_IN"
