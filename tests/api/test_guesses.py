"""Guessing is limited by address, and who has proven something is served beside those who guess."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from api import metrics
from api.errors import Rejected
from api.guesses import AT_ONCE, FAILED_SECONDS, Guesses
from api.recent import Recent
from db.session import Database
from modules.identity.sessions.tokens import KEY_PREFIX, digest, new_secret
from tests.api.conftest import Live, serving
from tests.api.test_sockets import closed, initialised, opened, send
from tests.conftest import Urls
from tests.support import Statements, Tenant

WHOAMI = "{ whoami }"
LIMIT = 4
HOME, OTHER = "2001:db8:1:2::1", "2001:db8:1:3::1"


def limited(urls: Urls, database: Database) -> Any:
    return serving(urls, database, bad_credentials_per_minute=LIMIT, trusted_proxies=["127.0.0.0/8"])


def an_actors_time_passes(live: Live) -> None:
    """What was loaded is not believed any more; who was proven is still known."""
    live.app.state.authenticator._actors = Recent(10)


async def api_key(admin: asyncpg.Connection, tenant: Tenant) -> str:
    secret, org = new_secret(KEY_PREFIX), tenant.organization_id
    app = await admin.fetchval(
        "insert into app.apps (organization_id, code, name) values ($1, $2, 'n') returning id", org, secret[-12:]
    )
    key = await admin.fetchval(
        "insert into app.app_keys (organization_id, app_id, name, prefix, scopes) values ($1, $2, 'k', 'p', '{probe.secret}')"
        " returning id", org, app,
    )  # fmt: skip
    await admin.execute(
        "insert into auth.api_keys (organization_id, key_id, key_hash) values ($1, $2, $3)", org, key, digest(secret)
    )
    return secret


async def change(admin: asyncpg.Connection, secret: str, how: str) -> None:
    await admin.execute(
        f"update app.app_keys k set {how} from auth.api_keys h where h.organization_id = k.organization_id"
        " and h.key_id = k.id and h.key_hash = $1", digest(secret),
    )  # fmt: skip


async def until_served(live: Live, secret: str) -> None:
    while code(await ask(live, secret)) is not None:
        await asyncio.sleep(0.05)


async def ask(live: Live, secret: str | None = None, address: str = HOME, **headers: str) -> httpx.Response:
    return await live.post(WHOAMI, token=secret, headers={"x-forwarded-for": address, **headers})


def code(answer: httpx.Response) -> str | None:
    errors = answer.json().get("errors")
    return errors and errors[0]["extensions"]["code"]


@pytest.mark.parametrize("guess", [f"{KEY_PREFIX}wrong", "not.a.token"])
async def test_guessing_is_limited_by_address(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection, guess: str
) -> None:
    async with limited(urls, database) as live:
        key, late = await api_key(admin, tenant), await api_key(admin, tenant)
        token, fresh = await live.token(tenant), await live.token(tenant, lifetime=timedelta(minutes=5))
        for good in (key, token):
            assert code(await ask(live, good)) is None
        assert [(await ask(live, f"{guess}{n}")).status_code for n in range(LIMIT)] == [401] * LIMIT
        with Statements(live.app.state.beside) as seen:
            answer = await ask(live, f"{KEY_PREFIX}another", "2001:db8:1:2:ffff::9")
            assert (answer.status_code, code(answer)) == (429, "RATE_LIMITED")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert (await ask(live, "another.bad.token")).status_code == 429
            assert (await ask(live, late)).status_code == 429, "a good key that nobody has shown yet is a guess, too"
        assert seen.seen == []
        an_actors_time_passes(live)  # their 3 seconds are over
        for good in (key, token):
            assert code(await ask(live, good)) is None, "it was proven before"
        assert code(await ask(live, fresh)) is None, "a token that is well signed is no guess"
        assert (await live.post("{ echo }", headers={"x-forwarded-for": HOME})).status_code == 200
        assert code(await ask(live, late, OTHER)) is None
        assert code(await ask(live, late)) is None
        assert (await ask(live, f"{KEY_PREFIX}x", OTHER)).status_code == 401


async def test_guesses_that_come_all_at_once_are_not_all_looked_up(urls: Urls, database: Database) -> None:
    async with limited(urls, database) as live:
        with Statements(live.app.state.beside) as seen:
            answers = await asyncio.gather(*(ask(live, f"{KEY_PREFIX}{n}") for n in range(40)))
        assert {answer.status_code for answer in answers} == {401, 429}
        asked = [one for one in seen.seen if "principal_of_key" in one]  # twice each: it might only have expired
        assert 2 * LIMIT <= len(asked) < 2 * (LIMIT + AT_ONCE)


async def test_sockets_and_streams_are_limited_as_well(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    async with limited(urls, database) as live:
        key = await api_key(admin, tenant)
        home = {"x-forwarded-for": HOME}
        async with opened(live, additional_headers=home) as held:
            await send(held, type="connection_init", payload={"authorization": f"Bearer {key}"})
            codes = []
            for n in range(LIMIT + 1):
                async with opened(live, additional_headers=home) as socket:
                    await send(socket, type="connection_init", payload={"authorization": f"Bearer {KEY_PREFIX}{n}"})
                    codes.append((await closed(socket))[0])
            assert codes == [4403] * LIMIT + [4429]
            events = await ask(live, f"{KEY_PREFIX}x", accept="text/event-stream")
            assert (events.status_code, code(events)) == (429, "RATE_LIMITED")
            an_actors_time_passes(live)
            await send(held, id="1", type="subscribe", payload={"query": WHOAMI})
            await held.recv()
            assert "whoami" in str(await held.recv())
        async with initialised(live, await live.token(tenant)):
            pass


async def test_a_secret_that_is_repeated_is_one_guess(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    async with limited(urls, database) as live:
        revoked, good, unused = [await api_key(admin, tenant) for _ in range(3)]
        await change(admin, revoked, "revoked_at = now()")
        broken = (await live.token(tenant))[:-2] + "xx"
        counted_before = metrics.false_credentials._value.get()
        with Statements(live.app.state.beside) as seen:
            for secret in (revoked, broken):
                answers = await asyncio.gather(*(ask(live, secret) for _ in range(10)))
                answers += [await ask(live, secret) for _ in range(LIMIT)]
                assert {(answer.status_code, code(answer)) for answer in answers} == {(401, "UNAUTHENTICATED")}
                assert len({answer.json()["errors"][0]["message"] for answer in answers}) == 1
        assert 1 <= len([one for one in seen.seen if "principal_of_key" in one]) <= 2, (
            "whether it is false, and only expired"
        )
        assert metrics.false_credentials._value.get() == counted_before + 2
        assert code(await ask(live, good)) is None, "the job beside that has the right key"
        assert [(await ask(live, f"{KEY_PREFIX}{n}")).status_code for n in range(LIMIT)] == [401] * 2 + [429] * 2
        assert (await ask(live, unused)).status_code == 429
        assert (await ask(live, revoked)).status_code == 401, "it learns that it has to be changed"


async def test_what_has_become_good_is_kept_out_for_a_minute_at_most(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAILED_SECONDS <= 60
    monkeypatch.setattr("api.guesses.FAILED_SECONDS", 0.3)
    async with limited(urls, database) as live:
        key = await api_key(admin, tenant)
        await change(admin, key, "revoked_at = now()")
        assert (await ask(live, key)).status_code == 401
        await change(admin, key, "revoked_at = null")
        await until_served(live, key)


async def test_what_was_good_and_is_not_any_more_is_no_guess(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired key, a key this process knew and that was revoked, a token whose session has ended, and who slept."""
    monkeypatch.setattr("api.guesses.FAILED_SECONDS", 0.0)  # each is looked up again
    async with limited(urls, database) as live:
        expired, unused, revoked, late = [await api_key(admin, tenant) for _ in range(4)]
        tokens = [await live.token(tenant), await live.token(tenant, lifetime=timedelta(minutes=5))]
        for good in (expired, revoked, *tokens):
            assert code(await ask(live, good)) is None
        used = (
            "select last_used_at from app.app_key_uses u join auth.api_keys h on h.key_id = u.id where h.key_hash = $1"
        )
        used_at = await admin.fetchval(used, digest(expired))
        for key in (expired, unused):
            await change(admin, key, "expires_at = now() - interval '1 second'")
        await change(admin, revoked, "revoked_at = now()")
        await admin.execute(
            "update auth.sessions set revoked_at = now() where organization_id = $1", tenant.organization_id
        )
        an_actors_time_passes(live)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        slept, _ = live.signer.issue(organization_id=1, user_id=1, session_id="x", now=long_ago)
        for old in (expired, unused, revoked, *tokens, slept):
            assert [(await ask(live, old)).status_code for _ in range(LIMIT + 2)] == [401] * (LIMIT + 2)
        assert "has expired" in (await ask(live, unused)).text
        assert [await admin.fetchval(used, digest(key)) for key in (expired, unused)] == [used_at, None]
        assert [(await ask(live, f"{KEY_PREFIX}{n}")).status_code for n in range(LIMIT)] == [401] * LIMIT, (
            "none counted"
        )
        assert (await ask(live, late)).status_code == 429
        for old in (expired, revoked, *tokens, slept):
            assert (await ask(live, old)).status_code == 401, "its client signs in again, whatever the others try"


async def test_who_tries_an_ended_session_again_and_again_asks_nobody(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    async with limited(urls, database) as live:
        token = await live.token(tenant)
        assert code(await ask(live, token)) is None
        await admin.execute(
            "update auth.sessions set revoked_at = now() where organization_id = $1", tenant.organization_id
        )
        an_actors_time_passes(live)
        assert (await ask(live, token)).status_code == 401
        with Statements(live.app.state.beside) as seen:
            assert [(await ask(live, token)).status_code for _ in range(LIMIT + 2)] == [401] * (LIMIT + 2)
        assert seen.seen == []


async def test_what_is_remembered_is_bounded() -> None:
    guesses = Guesses(1_000_000)
    for n in range(12_000):
        guesses.made_up(f"{n}", None, "No")
    assert len(guesses._failed._kept) == 10_000
    guesses.recall("1")
    with pytest.raises(Rejected, match="No"):
        guesses.recall("11999")


async def test_what_is_counted_by_address_is_counted_by_network(urls: Urls, database: Database) -> None:
    slow = {"sign_ins_per_minute": 2, "cost_bucket": 5_000, "cost_restore_per_second": 10}
    async with serving(urls, database, trusted_proxies=["127.0.0.0/8"], **slow) as live:

        async def touch(address: str) -> int:
            return (await live.post("mutation { touch }", headers={"x-forwarded-for": address})).status_code

        assert [await touch(f"2001:db8:1:2::{n}") for n in range(3)] == [200, 200, 429]
        assert await touch(OTHER) == 200
        assert [await touch(a) for a in ("203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109")] == [200, 200, 429]

        async def left(address: str) -> int:
            answer = await live.post("{ echo }", headers={"x-forwarded-for": address})
            return int(answer.json()["extensions"]["cost"]["bucket"]["available"])

        for n in range(20):
            same = await left(f"2001:db8:9:9::{n}")
        assert await left("2001:db8:9:8::1") > same


async def test_sockets_of_the_anonymous_are_counted_by_network(urls: Urls, database: Database) -> None:
    async with (
        serving(urls, database, max_sockets_per_principal=1, trusted_proxies=["127.0.0.0/8"]) as live,
        opened(live, additional_headers={"x-forwarded-for": HOME}) as first,
        opened(live, additional_headers={"x-forwarded-for": "2001:db8:1:2:3::4"}) as neighbour,
        opened(live, additional_headers={"x-forwarded-for": OTHER}) as other,
    ):
        for socket in (first, neighbour, other):
            await send(socket, type="connection_init")
            if socket is neighbour:
                assert (await closed(socket))[0] == 4429
            else:
                assert "connection_ack" in str(await socket.recv())


async def test_clients_behind_a_proxy_that_writes_ports_are_told_apart(urls: Urls, database: Database) -> None:
    async with limited(urls, database) as live:
        for n in range(LIMIT):
            assert (await ask(live, f"{KEY_PREFIX}{n}", f"192.0.2.7:{5000 + n}")).status_code == 401
        assert (await ask(live, f"{KEY_PREFIX}x", "192.0.2.7:6000")).status_code == 429
        assert (await ask(live, f"{KEY_PREFIX}x", "192.0.2.8:6000")).status_code == 401
