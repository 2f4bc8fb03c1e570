"""What an endpoint may be, who may make one, and the rules of trying again and of signing."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from db.refusal import ValidationFailed
from db.session import Database
from modules.platform.webhooks import payloads, rules
from modules.platform.webhooks.jobs import forget
from schema.ids import encode, key
from schema.work import Job
from tests.support import House, Tenant
from tests.worker.hooks import CREATE, endpoint, key_of

URL = "https://hooks.example.com/unison"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def refusal(house: House, tenant: Tenant, key: int, *, actor: Any = None, **given: Any) -> dict[str, Any]:
    given = {"appKeyId": encode("AppKey", key), "url": URL, "topics": [{"topic": "Machine"}], **given}
    answer = (await house.data(actor or tenant.actor(), CREATE, {"input": given}))["webhookEndpointCreate"]
    assert answer["secret"] is None
    return dict(answer["errors"][0])


@pytest.mark.parametrize(
    ("topics", "path"),
    [
        ([], ["topics"]),
        ([{"topic": "Machine"}, {"topic": "Machine"}], ["topics", "1", "topic"]),
        ([{"topic": "Nothing"}], ["topics", "0", "topic"]),
        ([{"topic": "Job"}], ["topics", "0", "topic"]),  # each delivery is one: it would be told of being told
        ([{"topic": "WorkOrder"}], ["topics", "0", "topic"]),  # the key lacks production.read
        ([{"topic": "Machine", "selection": "name"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ nothing }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ name } } query X { plants { nodes { id } }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "query { name }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ ...X }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ name(x: $id) }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ statusHistory { nodes { operator { email } } } }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ " + " ".join(f"a{n}: name" for n in range(101)) + " }"}], ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ " + "plant { departments { nodes { plant { departments { nodes { id } } } } } }" + " }"}],
         ["topics", "0", "selection"]),
        ([{"topic": "Machine", "selection": "{ " + "plant { manager { " * 4 + "id" + " } }" * 4 + " }"}], ["topics", "0", "selection"]),
    ],
)  # fmt: skip
async def test_topics_and_selections_are_checked(
    house: House, admin: asyncpg.Connection, tenant: Tenant, topics: Any, path: list[str]
):
    made = await key_of(admin, tenant, ["equipment.read"])
    refused = await refusal(house, tenant, made, topics=topics)
    assert (refused["code"], refused["path"]) == ("VALIDATION_FAILED", path), refused


async def test_a_selection_stays_within_its_limits_not_only_within_the_keys_rights(
    house: House, admin: asyncpg.Connection, tenant: Tenant
):
    """With every permission the same selections are refused for their size alone."""
    schema = house.schema._schema
    everything = set(tenant.actor().permissions)
    good = "{ plant { departments(first: 5) { nodes { code } } } }"
    assert "departments" in payloads.checked_selection(schema, "Machine", good, everything, "selection")
    for bad in (
        "{ plant { departments { nodes { plant { departments { nodes { id } } } } } } }",
        "{ department { plant { departments { nodes { plant { manager { id } } } } } } }",
        "{ " + " ".join(f"a{n}: name" for n in range(101)) + " }",
        "{ " + " ".join(f"p{n}: plant {{ departments {{ nodes {{ id }} }} }}" for n in range(4)) + " }",
    ):
        with pytest.raises(ValidationFailed) as refused:
            payloads.checked_selection(schema, "Machine", bad, everything, "selection")
        assert refused.value.constraint == "complexity", bad


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example.com", "ftp://hooks.example.com/", "https://", "https://user:secret@hooks.example.com/",
     "https://hooks.example.com/#x", "https://hooks.example.com:99999/", "https://bücher.example/", "https://a b/",
     "https://hooks.example.com/" + "x" * 2_000],
)  # fmt: skip
def test_urls_that_are_none(url: str):
    with pytest.raises(ValidationFailed):
        rules.checked_url(url)


async def test_nobody_comes_by_more_rights_through_a_key(
    house: House, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    made = await key_of(admin, tenant, ["equipment.read"])
    modest = tenant.actor(only={"webhooks.manage", "webhooks.read"})
    assert (await refusal(house, tenant, made, actor=modest))["code"] == "EXCEEDS_OWN_RIGHTS"
    in_one_plant = tenant.actor(plants=[tenant.plants[0]])
    assert (await refusal(house, tenant, made, actor=in_one_plant))["code"] == "FORBIDDEN"
    foreign = await key_of(admin, stranger, ["equipment.read"])
    assert (await refusal(house, tenant, foreign))["code"] == "NOT_FOUND"
    await admin.execute("update app.app_keys set revoked_at = now() where id = $1", made)
    assert (await refusal(house, tenant, made))["code"] == "VALIDATION_FAILED"


async def test_an_update_keeps_topics_and_rights_together(house: House, admin: asyncpg.Connection, tenant: Tenant):
    hook = await endpoint(house, admin, tenant, URL, scopes=["equipment.read", "identity.read"])
    other = await key_of(admin, tenant, ["equipment.read", "identity.read"])
    update = "WebhookEndpointUpdate"
    refused = await hook.do("Update", update, appKeyId=encode("AppKey", other))
    assert refused["errors"][0]["path"] == ["appKeyId"]
    narrower = await admin.fetchval(
        "insert into app.app_keys (organization_id, app_id, name, prefix, scopes)"
        " select organization_id, app_id, 'n', 'u', '{equipment.read}' from app.app_keys where id = $1 returning id", hook.key,
    )  # fmt: skip
    refused = await hook.do("Update", update, appKeyId=encode("AppKey", narrower))
    assert refused["errors"][0]["path"] == ["topics", "0", "selection"]  # it shows the plant, which the key does not
    given = {"appKeyId": encode("AppKey", narrower), "url": f"{URL}/2", "topics": [{"topic": "Machine"}]}
    assert (await hook.do("Update", update, **given))["errors"] == []
    assert (await hook.shown())["url"] == f"{URL}/2"


async def test_two_who_pause_at_once_pause_once(house: House, admin: asyncpg.Connection, tenant: Tenant):
    hook = await endpoint(house, admin, tenant, URL)
    answers = await asyncio.gather(hook.do("Pause"), hook.do("Pause"))
    assert sorted(len(answer["errors"]) for answer in answers) == [0, 1]


async def test_secrets_are_shown_once_and_reached_in_their_organization_alone(
    house: House, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    hook = await endpoint(house, admin, tenant, URL)
    ask, given = text("select app.webhook_secrets(:id, now())"), {"id": key("WebhookEndpoint", hook.id)}
    async with database.read(tenant.actor()) as tx:
        assert [rules.shown_secret(secret) for secret in await tx.scalars(ask, given)] == [hook.secret]
    async with database.read(stranger.actor()) as tx:
        assert await tx.scalars(ask, given) == []
    async with database.read(tenant.actor()) as tx:
        with pytest.raises(asyncpg.PostgresError, match="permission denied"):
            await tx.scalars(text("select secret from auth.webhook_secrets"))
    assert hook.secret.startswith(rules.SECRET_PREFIX)
    trail = await admin.fetchval(
        "select string_agg(after::text, '') from app.audit_logs where organization_id = $1", tenant.organization_id
    )
    receipts = await admin.fetchval(
        "select count(*) from app.idempotency_receipts where organization_id = $1", tenant.organization_id
    )
    assert hook.secret not in trail
    assert receipts == 0


async def test_what_is_over_is_forgotten_after_its_time(
    house: House, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    hook = await endpoint(house, admin, tenant, URL)
    for _ in range(3):
        await hook.call("webhookEndpointTest", "WebhookEndpointTestInput", "errors { code }", id=hook.id)
    old, young, waiting = await hook.deliveries()
    done = (
        "update app.webhook_deliveries set status = 'dead', finished_at = now(), created_at = now() - $2::interval"
        " where organization_id = $3 and message_id = $1"
    )
    await admin.execute(done, old["reference"], timedelta(days=31), tenant.organization_id)
    await admin.execute(done, young["reference"], timedelta(days=29), tenant.organization_id)
    await admin.execute(
        "update app.webhook_deliveries set created_at = now() - interval '40 days' where message_id = $1",
        waiting["reference"],
    )
    async with database.write(tenant.actor()) as tx:
        await forget(tx, Job(0, "", {}, None, 1))
    assert {one["reference"] for one in await hook.deliveries()} == {young["reference"], waiting["reference"]}


def test_twelve_attempts_within_about_a_day():
    waits = [rules.delay(n, 1.0) for n in range(1, 13)]
    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert len(known) == 11
    assert known == sorted(known)
    assert timedelta(hours=20) < timedelta(seconds=sum(known)) < timedelta(hours=28)
    assert all(rules.delay(n, 0.0) == pytest.approx(0.8 * wait) for n, wait in enumerate(known, 1))


@pytest.mark.parametrize(
    ("response", "failures", "dead", "hours", "reason"),
    [
        (410, 1, 0, 0, rules.PausedReason.GONE),
        (500, 4, 0, 25, None),
        (500, 5, 0, 23, None),
        (500, 5, 0, 24, rules.PausedReason.FAILING),
        (None, 40, 4, 1, None),
        (None, 40, 5, 1, rules.PausedReason.FAILING),
    ],
)
def test_when_an_endpoint_is_paused(response: Any, failures: int, dead: int, hours: int, reason: Any):
    since = NOW - timedelta(hours=hours)
    assert rules.pause_reason(response=response, failures=failures, dead=dead, failing_since=since, now=NOW) == reason


def test_the_signature_is_that_of_the_convention():
    """The example of the Standard Webhooks specification."""

    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    header = rules.signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
