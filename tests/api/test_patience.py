"""Waits of one length: what ends in time, what runs out, and whose cancellation it was."""

from __future__ import annotations

import asyncio

import pytest

from api.patience import Patience


async def test_each_wait_runs_out_in_its_own_time_and_the_ended_never() -> None:
    patience = Patience(0.05)
    heard: list[int] = []
    waits = []
    for n in range(4):
        waits.append(patience.begin(lambda n=n: heard.append(n)))  # type: ignore[misc]
        await asyncio.sleep(0.01)
    patience.end(waits[0])
    patience.end(waits[2])
    patience.end(waits[2])
    assert heard == []
    await asyncio.sleep(0.2)
    assert heard == [1, 3]
    patience.begin(lambda: heard.append(9))
    await asyncio.sleep(0.2)
    assert heard == [1, 3, 9], "the timer is set again after all was quiet"


async def test_a_block_that_takes_longer_is_stopped() -> None:
    patience = Patience(0.02)
    with pytest.raises(TimeoutError), patience.limit():
        await asyncio.sleep(30)
    with patience.limit():
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_stays_one() -> None:
    patience = Patience(5)

    async def work() -> None:
        with patience.limit():
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_of_two_limits_stops_its_own_block_only() -> None:
    short, long = Patience(0.02), Patience(5)
    with long.limit():
        with pytest.raises(TimeoutError), short.limit():
            await asyncio.sleep(30)
        await asyncio.sleep(0.01)


async def test_an_error_of_the_block_is_not_hidden_by_a_limit_that_ran_out() -> None:
    with pytest.raises(ValueError, match="mine"), Patience(0.01).limit():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise ValueError("mine") from None
