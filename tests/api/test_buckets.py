"""Buckets: shared by processes without a statement per request, never overdrawn, and told in every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from api import charging
from api.buckets import PART, Allowance, Buckets, Lease, Limited
from api.charging import Bill, Charging
from api.leases import Leases
from api.limits import Limits
from api.throttle import Throttle
from db.actor import Actor
from db.session import Database
from tests.api.conftest import Live, serving
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.support import House, Tenant

SET = "mutation ($input: SettingSetInput!) { settingSet(input: $input) { setting { key } errors { code } } }"
PAGES = "query A($n: Int) { workOrders(first: $n) { nodes { id } } }"
GRAPHQL = {"accept": "application/graphql-response+json"}


class Counted(Leases):
    """Leases that count how often PostgreSQL was asked."""

    asked = 0

    async def lease(self, organization_id: int, principal: str, part: float, least: float) -> Lease:
        self.asked += 1
        return await super().lease(organization_id, principal, part, least)


@pytest.fixture
async def leases(urls: Urls) -> AsyncIterator[Counted]:
    database = Database.connect(urls.app, pool_size=2)
    yield Counted(database, Allowance(500, 10_000, 1), Limits(), {})
    await database.close()


async def spent(buckets: Buckets, actor: Actor, price: int) -> int:
    """What is let in until nothing is any more."""
    purse = await buckets.purse(actor)
    total = 0
    while True:
        try:
            await buckets.pay(purse, price)
        except Limited as limited:
            assert limited.seconds >= 1
            return total
        total += price


async def test_processes_never_spend_more_than_the_bucket_holds(leases: Counted, tenant: Tenant) -> None:
    processes = [Buckets(leases, Allowance(500, 10_000, 1)) for _ in range(4)]
    began = time.monotonic()
    totals = await asyncio.gather(*(spent(one, tenant.actor(), 10) for one in processes for _ in range(8)))
    came = time.monotonic() - began + 1
    assert 10_000 * (1 - PART * len(processes)) <= sum(totals) <= 10_000 + came
    for one in processes:
        await one.close()


async def test_parallel_takers_never_get_more_than_there_is(urls: Urls, tenant: Tenant) -> None:
    database = Database.connect(urls.app, pool_size=8)
    leases = Leases(database, Allowance(500, 10_000, 1), Limits(), {})
    began = time.monotonic()

    async def taken() -> float:
        return sum([(await leases.lease(tenant.organization_id, "user:1", 0, 10)).granted for _ in range(150)])

    totals = await asyncio.gather(*(taken() for _ in range(8)))
    await database.close()
    assert 9_999 <= sum(totals) <= 10_000 + (time.monotonic() - began) + 1


async def test_the_database_is_asked_per_part_not_per_request(leases: Counted, tenant: Tenant) -> None:
    buckets = Buckets(leases, Allowance(500, 10_000, 1))
    purse = await buckets.purse(tenant.actor())
    for _ in range(1_000):
        await buckets.pay(purse, 5)
    await buckets.close()
    assert leases.asked <= 2 * 1_000 * 5 / (10_000 * PART) + 2


async def test_another_user_has_a_bucket_of_their_own(leases: Counted, tenant: Tenant) -> None:
    buckets = Buckets(leases, Allowance(500, 10_000, 1))
    await spent(buckets, tenant.actor(), 100)
    purse = await buckets.purse(tenant.actor("viewer"))
    await buckets.pay(purse, 500)
    await buckets.close()


async def test_an_organization_sets_its_own_as_far_as_the_server_lets_it(
    house: House, leases: Counted, tenant: Tenant
) -> None:
    for key, value in (("limits.operation_cost", 300), ("limits.bucket", 1_000_000), ("limits.restore_per_second", 10)):
        given = {"key": key, "value": {"integer": value}, "expectedVersion": 0}
        assert (await house.data(tenant.actor(), SET, {"input": given}))["settingSet"]["errors"] == []
    buckets = Buckets(leases, Allowance(500, 10_000, 1))
    assert (await buckets.purse(tenant.actor())).allowance == Allowance(300, 100_000, 10)
    await buckets.close()


async def test_who_is_not_signed_in_is_held_by_address(leases: Counted) -> None:
    clock = [0.0]
    buckets = Buckets(leases, Allowance(500, 10_000, 100), clock=lambda: clock[0])
    stranger = Actor(None, client_ip="10.0.0.1")
    purse = await buckets.purse(stranger)
    await buckets.pay(purse, 1_000)
    with pytest.raises(Limited) as limited:
        await buckets.pay(purse, 50)
    assert limited.value.seconds == 5
    await buckets.pay(await buckets.purse(Actor(None, client_ip="10.0.0.2")), 50)
    clock[0] = 6.0
    await buckets.pay(purse, 50)
    assert leases.asked == 0


async def test_strangers_displace_each_other_only_and_those_who_owe_last(leases: Counted, tenant: Tenant) -> None:
    buckets = Buckets(leases, Allowance(500, 10_000, 100), size=3, clock=lambda: 0.0)
    mine = await buckets.purse(tenant.actor())
    owing = await buckets.purse(Actor(None, client_ip="10.0.0.1"))
    buckets.owe(owing, 5_000)
    for n in range(2, 50):
        await buckets.purse(Actor(None, client_ip=f"10.0.0.{n}"))
    assert await buckets.purse(Actor(None, client_ip="10.0.0.1")) is owing
    assert await buckets.purse(tenant.actor()) is mine
    for n in range(100, 110):  # everybody owes: there is an end to it all the same
        buckets.owe(await buckets.purse(Actor(None, client_ip=f"10.0.0.{n}")), 5_000)
    assert len(buckets._strangers) == 3
    await buckets.close()


async def test_a_caller_who_owes_is_not_forgotten_for_others(leases: Counted, tenant: Tenant) -> None:
    buckets = Buckets(leases, Allowance(500, 10_000, 1), size=2)
    owing = await buckets.purse(tenant.actor())
    buckets.owe(owing, 5_000)
    for role in ("viewer", "planner", "operator"):
        await buckets.purse(tenant.actor(role))
    assert await buckets.purse(tenant.actor()) is owing
    assert len(buckets._purses) == 2
    await buckets.close()


def test_who_has_no_attempt_left_is_not_forgotten_for_other_addresses() -> None:
    throttle = Throttle(per_minute=1, burst=2, size=3, clock=lambda: 0.0)
    assert [throttle.wait("guesser") for _ in range(3)] == [0, 0, 60]
    for n in range(50):
        throttle.wait(f"other {n}")
    assert throttle.wait("guesser") == 60
    assert len(throttle._buckets) == 3


async def test_what_was_paid_and_did_not_run_is_given_back_once(leases: Counted, tenant: Tenant) -> None:
    buckets = Buckets(leases, Allowance(500, 10_000, 1))
    bill, purse = Bill(), await buckets.purse(tenant.actor())
    bill.refund()
    before = purse.tokens
    await Charging(buckets).charge(bill, 300, purse)
    assert purse.tokens == before - 300
    bill.refund()
    bill.refund()
    assert purse.tokens == before
    buckets.give_back(purse, 1_000_000)
    assert purse.tokens == purse.allowance.bucket
    await buckets.close()


async def test_catching_up_waits_for_the_bucket(leases: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, waits = [0.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(charging, "asyncio", SimpleNamespace(sleep=sleep))  # a server beside it sleeps as ever
    buckets = Buckets(
        leases, Allowance(500, 10_000, 100), clock=lambda: clock[0]
    )  # a tenth for strangers: 1,000 and 10
    bill = Bill()
    await bill.catch_up(shown=1)
    purse = await buckets.purse(Actor(None, client_ip="10.0.0.1"))
    await Charging(buckets).charge(bill, 200, purse)
    for _ in range(4):
        await bill.catch_up(shown=1)
    assert waits == []
    await bill.catch_up(looked=50)
    await bill.catch_up(shown=1)
    assert waits == [5, 20]
    await bill.catch_up(shown=1_000)  # more than a bucket holds costs all of it
    assert waits[2:] == [100]


@pytest.fixture(scope="module")
async def poor(urls: Urls, database: Database) -> AsyncIterator[Live]:
    async with serving(urls, database, cost_limit=1_000, cost_bucket=4_000, cost_restore_per_second=10) as live:
        yield live


async def test_every_answer_tells_its_price(poor: Live, tenant: Tenant) -> None:
    token = await poor.token(tenant)
    answer = await poor.post(PAGES, token=token, variables={"n": 20})
    cost = answer.json()["extensions"]["cost"]
    assert (cost["requested"], cost["limit"]) == (22, 1_000)
    assert (cost["bucket"]["max"], cost["bucket"]["restorePerSecond"]) == (4_000, 10)
    failed = await poor.post(PAGES, token=token, variables={"n": 500})
    assert failed.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    cost = failed.json()["extensions"]["cost"]
    assert cost["requested"] == 502
    assert cost["bucket"]["available"] < 3_750, (
        "less than half of it came back meanwhile, even on a machine that stalls"
    )


async def test_one_operation_over_its_limit(poor: Live, tenant: Tenant) -> None:
    answer = await poor.post(PAGES, token=await poor.token(tenant), variables={"n": 2_000}, headers=GRAPHQL)
    error = answer.json()["errors"][0]["extensions"]
    assert (answer.status_code, error["code"], error["requested"], error["limit"]) == (
        400, "OPERATION_TOO_COMPLEX", 2_002, 1_000,
    )  # fmt: skip
    assert answer.json()["extensions"]["cost"]["requested"] == 2_002
    assert "data" not in answer.json()


async def test_an_empty_bucket_refuses_and_says_when_to_come_back(poor: Live, tenant: Tenant) -> None:
    token = await poor.token(tenant)
    answers = [await poor.post(PAGES, token=token, variables={"n": 198}) for _ in range(25)]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = answers[-1]
    error = refused.json()["errors"][0]["extensions"]
    assert (error["code"], error["retryable"]) == ("RATE_LIMITED", True)
    assert int(refused.headers["retry-after"]) == error["retryAfter"] >= 1
    assert refused.json()["extensions"]["cost"]["requested"] == 200
    async with initialised(poor, token) as socket:
        await subscribe(socket, "{ workOrders { nodes { id } } }")
        message = await receive(socket)
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        assert message["payload"][0]["extensions"]["cost"]["requested"] == 52
    other = await poor.post(PAGES, token=await poor.token(tenant, "planner"), variables={"n": 198})
    assert other.status_code == 200


async def test_documents_are_paid_for_by_their_length(poor: Live, tenant: Tenant) -> None:
    """Parsing and validating is work too: who sends nothing but new ones comes to an end as well."""
    for role, wrong in (("operator", "nothing"), ("planner", "echo")):
        token = await poor.token(tenant, role)
        sent = [f"{{ a{n}: {wrong} {'# of no use ' * 100}\n }}" for n in range(20)]
        seen = [(await poor.post(document, token=token, headers=GRAPHQL)).status_code for document in sent]
        assert seen[0] == (400 if wrong == "nothing" else 200)
        assert seen[-1] == 429
    assert (await poor.post("{ me { account { id } } }", token=await poor.token(tenant, "viewer"))).status_code == 200


async def test_what_was_sent_away_before_it_ran_costs_nothing(urls: Urls, database: Database, tenant: Tenant) -> None:
    little = {
        "max_operations_at_once": 1,
        "max_wait_seconds": 0.05,
        "cost_bucket": 4_000,
        "cost_restore_per_second": 10,
    }
    async with serving(urls, database, **little) as live:
        token = await live.token(tenant)
        busy = asyncio.create_task(live.post("{ slow }", token=token))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        late = await live.post(PAGES, token=token, variables={"n": 198})
        assert late.status_code == 503
        cost = late.json()["extensions"]["cost"]
        assert cost["requested"] == 200
        assert cost["bucket"]["available"] > 3_850
        busy.cancel()


async def test_after_a_long_rest_it_is_asked_before_the_request_is_judged() -> None:
    now, allowed = [0.0], [Allowance(1_000, 10_000, 100)]

    class Lender:
        async def lease(self, organization_id: int, principal: str, part: float, least: float) -> Lease:
            return Lease(allowed[0], 100.0, 1_000.0)

    buckets = Buckets(Lender(), allowed[0], clock=lambda: now[0])
    actor = Actor(1, user_id=1)
    await buckets.purse(actor)
    allowed[0] = Allowance(200, 10_000, 100)
    now[0] = 3_600.0
    assert (await buckets.purse(actor)).allowance.operation_cost == 200
