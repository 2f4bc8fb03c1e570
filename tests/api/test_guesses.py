"""Guessing is limited by address, and who has proven something is served beside those who guess."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from api.client_ip import client_ip, counted, networks
from api.guesses import AT_ONCE
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
        assert LIMIT <= len([one for one in seen.seen if "principal_of_key" in one]) < LIMIT + AT_ONCE


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


async def test_a_session_that_has_ended_becomes_a_guess(
    urls: Urls, database: Database, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    async with limited(urls, database) as live:
        token = await live.token(tenant)
        assert code(await ask(live, token)) is None
        await admin.execute(
            "update auth.sessions set revoked_at = now() where organization_id = $1", tenant.organization_id
        )
        an_actors_time_passes(live)
        assert [(await ask(live, token)).status_code for _ in range(LIMIT + 2)] == [401] * LIMIT + [429] * 2
        with Statements(live.app.state.beside) as seen:
            assert (await ask(live, token)).status_code == 429
        assert seen.seen == []
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        expired, _ = live.signer.issue(organization_id=1, user_id=1, session_id="x", now=long_ago)
        slept = [(await ask(live, expired, OTHER)).status_code for _ in range(LIMIT + 1)]
        assert slept == [401] * (LIMIT + 1), "a client that slept does not guess"


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


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_what_an_address_counts_as(address: str | None, key: str) -> None:
    assert counted(address) == key


def test_a_trusted_proxy_is_known_on_a_socket_for_both_families() -> None:
    trusted = networks(["10.0.0.0/8"])
    assert client_ip("::ffff:10.0.0.1", "2001:db8::7", trusted) == "2001:db8::7"
    assert client_ip("::ffff:11.0.0.1", "2001:db8::7", trusted) == "::ffff:11.0.0.1"
