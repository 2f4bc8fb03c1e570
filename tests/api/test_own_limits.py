"""Limits an organization has of its own: they hold for its callers, and for nobody else's."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import buckets, leases
from api.app import limits_of
from api.buckets import Allowance
from api.leases import within
from api.limits import Limits
from api.settings import Settings
from modules.platform.public import LIMITS
from tests.api.conftest import Live, settings
from tests.api.test_trusted import register
from tests.support import House, Tenant

SET = """mutation ($input: SettingSetInput!) {
  settingSet(input: $input) { setting { key } errors { code message path ... on ValidationFailed { constraint } } }
}"""
RESET = "mutation ($input: SettingResetInput!) { settingReset(input: $input) { errors { code } } }"
GRAPHQL = {"accept": "application/graphql-response+json"}
LIST = "query A($ids: [ID!]!) { nodes(ids: $ids) { id } }"


async def put(house: House, tenant: Tenant, version: int = 0, **own: int) -> list[dict[str, Any]]:
    """What the organization's administrator is told who sets these."""
    errors: list[dict[str, Any]] = []
    for name, value in own.items():
        given = {"key": f"limits.{name}", "value": {"integer": value}, "expectedVersion": version}
        errors += (await house.data(tenant.actor(), SET, {"input": given}))["settingSet"]["errors"]
    return errors


def refusal(answer: httpx.Response) -> dict[str, Any] | None:
    errors = answer.json().get("errors")
    found: dict[str, Any] | None = errors[0]["extensions"] if errors else None
    return found


# --- the table ------------------------------------------------------------------------------------------------------------


def test_every_limit_is_bounded_by_the_servers_setting_of_its_name() -> None:
    names = {field.name for kind in (Limits, Allowance) for field in fields(kind)} - {"body"}
    assert set(LIMITS) == names
    for name, limit in LIMITS.items():
        field = limit.bound.lower()
        assert field in Settings.model_fields
        if limit.times == 1:
            assert getattr(limits_of(settings(**{field: 4_321})), name) == 4_321


def test_the_docs_have_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    for name, limit in LIMITS.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `limits.{name}` |"))
        assert f"`{limit.bound}`" in row
        assert f"| {limit.least:,} |" in row


def test_what_exceeds_the_server_counts_as_what_it_lets_one_have() -> None:
    server, spending = Limits(depth=10, aliases=5), Allowance(500, 10_000, 1)
    assert within(server, {}) == server
    assert within(server, {"depth": 11, "bucket": 5}) == server
    assert within(server, {"depth": 9, "aliases": 0}) == Limits(depth=9, aliases=0)
    assert within(spending, {"operation_cost": 5_001, "depth": 3}) == Allowance(5_000, 10_000, 1)


async def test_bad_values_are_refused(house: House, tenant: Tenant) -> None:
    for name, limit in LIMITS.items():
        (error,) = await put(house, tenant, **{name: limit.least - 1})
        assert (error["code"], error["path"], error["constraint"]) == (
            "VALIDATION_FAILED", ["value"], f"minimum {limit.least}",
        )  # fmt: skip
    given = {"key": "limits.depth", "value": {"text": "9"}, "expectedVersion": 0}
    (error,) = (await house.data(tenant.actor(), SET, {"input": given}))["settingSet"]["errors"]
    assert (error["code"], error["constraint"]) == ("VALIDATION_FAILED", "type integer")
    given = {"key": "limits.depth", "value": {"integer": 9}, "expectedVersion": 0}
    assert await house.code(tenant.actor("viewer"), SET, {"input": given}) == "FORBIDDEN"


# --- documents ------------------------------------------------------------------------------------------------------------

TIGHTER = [
    ("tokens", 100, "{ " + 'echo(value: "x") ' * 17 + "}", {}, 104),
    ("depth", 3, "{ machines { nodes { plant { id } } } }", {}, 4),
    ("aliases", 1, "{ a: echo b: echo }", {}, 2),
    ("directives", 0, "{ echo @include(if: true) }", {}, 1),
    ("root_mutations", 2, "mutation { quiet a: quiet b: quiet }", {}, 3),
    ("list_variable", 2, LIST, {"ids": ["x", "y", "z"]}, 3),
    ("operation_cost", 100, "{ workOrders(first: 100) { nodes { id } } }", {}, 102),
]


@pytest.mark.parametrize(("name", "value", "document", "variables", "asked"), TIGHTER, ids=[row[0] for row in TIGHTER])
async def test_a_document_another_organization_may_send(
    live: Live, house: House, tenant: Tenant, stranger: Tenant, name: str, value: int, document: str,
    variables: dict[str, Any], asked: int,
) -> None:  # fmt: skip
    """The process has read it before: it is refused all the same, to whom it is too much."""
    token, theirs = await live.token(tenant), await live.token(stranger)
    assert await put(house, tenant, **{name: value}) == []
    before = await live.post(document, token=theirs, variables=variables)
    refused = await live.post(document, token=token, variables=variables, headers=GRAPHQL)
    after = await live.post(document, token=theirs, variables=variables)
    assert before.json().get("data") == after.json().get("data") is not None
    told = refusal(refused)
    assert told is not None
    assert (refused.status_code, told["code"], told["limit"], told["requested"], told["retryable"]) == (
        400, "OPERATION_TOO_COMPLEX", value, asked, False,
    )  # fmt: skip
    assert "data" not in refused.json()
    within_it = {"ids": ["x"] * value} if variables else {}
    allowed = await live.post(LIST if variables else "{ a: echo }", token=token, variables=within_it)
    assert "OPERATION_TOO_COMPLEX" not in allowed.text


async def test_more_than_the_server_lets_anybody_have_is_not_had(live: Live, house: House, tenant: Tenant) -> None:
    assert await put(house, tenant, aliases=1_000_000) == []
    document = "{" + " ".join(f"a{n}: echo" for n in range(31)) + "}"
    told = refusal(await live.post(document, token=await live.token(tenant)))
    assert told is not None
    assert (told["code"], told["limit"]) == ("OPERATION_TOO_COMPLEX", 30)


async def test_a_trusted_document_may_have_ten_times_the_tokens(live: Live, house: House, tenant: Tenant) -> None:
    long, longer, longest = ("query Q { nodes(ids: [" + '"x" ' * n + "]) { id } }" for n in (200, 900, 1_000))
    assert await put(house, tenant, tokens=100) == []
    await register(house, tenant, long, longer, longest)
    headers = {"authorization": f"Bearer {await live.token(tenant)}"}

    async def sent(text: str) -> dict[str, Any] | None:
        body = {"documentId": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
        return refusal(await live.client.post("/graphql", json=body, headers=headers))

    for text in (long, longer):
        assert "OPERATION_TOO_COMPLEX" not in str(await sent(text))
    told = await sent(longest)
    assert told is not None
    assert (told["code"], told["limit"], told["requested"]) == ("OPERATION_TOO_COMPLEX", 1_000, 1_000 + 14)
    by_text = refusal(await live.post(long, token=await live.token(tenant)))
    assert by_text is not None
    assert by_text["limit"] == 100


@pytest.fixture
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after ten seconds, and not as they were five seconds ago."""
    monkeypatch.setattr(buckets, "TOLD_SECONDS", 0.0)
    monkeypatch.setattr(leases, "SETTINGS_SECONDS", 0.0)


@pytest.mark.usefixtures("asked_each_time")
async def test_a_change_is_seen_by_who_sends_nothing_but_what_is_refused(
    live: Live, house: House, tenant: Tenant
) -> None:
    token = await live.token(tenant)

    async def until(refused: bool) -> None:
        async with asyncio.timeout(5):
            while (refusal(await live.post("{ a: echo b: echo }", token=token)) is not None) is not refused:
                await asyncio.sleep(0.01)

    await until(False)
    assert await put(house, tenant, aliases=1) == []
    await until(True)
    back = {"key": "limits.aliases", "expectedVersion": 1}
    assert (await house.data(tenant.actor(), RESET, {"input": back}))["settingReset"]["errors"] == []
    await until(False)
    assert await put(house, tenant, version=0, operation_cost=100) == []
    dear = "{ workOrders(first: 100) { nodes { id } } }"
    async with asyncio.timeout(5):
        while refusal(await live.post(dear, token=token)) is None:
            await asyncio.sleep(0.01)
    assert await put(house, tenant, version=1, operation_cost=1_000) == []
    async with asyncio.timeout(5):
        while refusal(await live.post(dear, token=token)) is not None:
            await asyncio.sleep(0.01)
