"""Turns: fair between organizations, bounded in number and time, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest

from api.admission import Shed, Turns
from db.session import Database
from tests.api.conftest import serving
from tests.conftest import Urls
from tests.support import Tenant


async def test_turns_go_round_the_organizations() -> None:
    turns = Turns(1, waiting=100, seconds=30)
    served: list[int] = []

    async def work(tenant: int) -> None:
        await turns.begin(tenant)
        served.append(tenant)
        await asyncio.sleep(0)
        turns.end()

    await turns.begin(0)
    tasks = [asyncio.create_task(work(tenant)) for tenant in [1] * 20 + [2] * 3 + [3]]
    await asyncio.sleep(0)
    assert turns.waiting == 24
    turns.end()
    await asyncio.gather(*tasks)
    assert served[:7] == [1, 2, 3, 1, 2, 1, 2]
    assert (turns.running, turns.waiting) == (0, 0)


async def test_a_full_line_sends_the_longest_one_away() -> None:
    turns = Turns(1, waiting=4, seconds=30)
    await turns.begin(0)
    flood = [asyncio.create_task(turns.begin(1)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Shed):
        await turns.begin(1)
    quiet = asyncio.create_task(turns.begin(2))
    done, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [Shed]
    assert flood[-1] in done
    turns.end()
    await flood[0]
    turns.end()
    await quiet
    for task in flood[1:3]:
        turns.end()
        await task
    turns.end()
    assert (turns.running, turns.waiting) == (0, 0)


async def test_who_waits_too_long_is_sent_away_and_who_leaves_gives_the_turn_on() -> None:
    turns = Turns(1, waiting=4, seconds=0.01)
    await turns.begin(0)
    with pytest.raises(Shed):
        await turns.begin(1)
    patient = Turns(1, waiting=4, seconds=30)
    await patient.begin(0)
    leaving, staying = asyncio.create_task(patient.begin(1)), asyncio.create_task(patient.begin(2))
    await asyncio.sleep(0)
    patient.end()  # the turn is given, but not taken yet
    leaving.cancel()
    await staying
    patient.end()
    assert (patient.running, patient.waiting) == (0, 0)


async def test_no_request_is_lost_when_there_is_too_much(
    urls: Urls, database: Database, tenant: Tenant, stranger: Tenant
) -> None:
    """A flood of one organization: each request is answered, and the other organization is served as always."""
    document = "{ workOrders(first: 5) { nodes { id } } }"
    small = {"max_operations_at_once": 1, "max_operations_waiting": 2, "max_wait_seconds": 5.0}
    async with serving(urls, database, **small) as live:
        flooding, quiet = await live.token(tenant), await live.token(stranger)

        async def asked(token: str) -> tuple[int, str | None]:
            answer = await live.post(document, token=token)
            body = answer.json()
            if answer.status_code == 503:
                assert body["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
                assert body["errors"][0]["extensions"]["retryable"] is True
                assert answer.headers["retry-after"]
                assert body["extensions"]["cost"]["requested"] == 7
            return answer.status_code, (body.get("data") or {}).get("workOrders") and "data"

        async def flood() -> list[tuple[int, str | None]]:
            return [await asked(flooding) for _ in range(15)]

        tasks = [asyncio.create_task(flood()) for _ in range(24)]
        theirs = [await asked(quiet) for _ in range(15)]
        answers = [answer for task in tasks for answer in await task]
        figures = (await live.client.get("/metrics")).text
    assert theirs == [(200, "data")] * 15
    counted = Counter(answers)
    assert set(counted) == {(200, "data"), (503, None)}
    assert sum(counted.values()) == 24 * 15
    shed = re.search(r'unison_operations_shed_total\{reason="full"\} (\d+)', figures)
    assert shed is not None
    assert int(shed[1]) >= counted[503, None]


async def test_health_is_answered_when_operations_are_not(urls: Urls, database: Database) -> None:
    async with serving(urls, database, max_operations_at_once=1, max_operations_waiting=0) as live:
        busy = asyncio.create_task(live.post("{ slow }"))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        assert (await live.post("{ echo }")).status_code == 503
        assert (await live.client.get("/healthz")).status_code == 200
        assert (await live.client.get("/readyz")).status_code == 200
        busy.cancel()
