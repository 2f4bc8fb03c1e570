"""Waits of one length: what ends in time, what runs out, and whose cancellation it was."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from api.patience import Patience, begun


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


async def test_one_that_fails_when_it_runs_out_leaves_the_others_watched() -> None:
    patience = Patience(0.02)
    heard: list[str] = []
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    try:
        patience.begin(lambda: heard.append("first"))
        patience.begin(lambda: {}["no"])  # type: ignore[index,misc]
        patience.begin(lambda: heard.append("third"))
        await asyncio.sleep(0.01)
        patience.begin(lambda: heard.append("later"))
        await asyncio.sleep(0.3)
    finally:
        loop.set_exception_handler(None)
    assert heard == ["first", "third", "later"]
    assert [type(context["exception"]) for context in told] == [KeyError]


async def test_one_that_runs_out_may_end_others_and_begin_some() -> None:
    patience = Patience(0.02)
    heard: list[str] = []

    def first() -> None:
        heard.append("first")
        patience.end(second)
        patience.begin(lambda: heard.append("begun"))

    patience.begin(first)
    second = patience.begin(lambda: heard.append("second"))
    patience.begin(lambda: heard.append("third"))
    await asyncio.sleep(0.3)
    assert heard == ["first", "third", "begun"]
    assert patience._timer is None


async def test_twice_as_many_that_run_out_together_take_twice_as_long() -> None:
    """And not four times: eight times as many would be sixty-four times the work."""

    def work(waits: int) -> float:
        patience, heard = Patience(0.0), 0

        def runs_out() -> None:
            nonlocal heard
            heard += 1

        for _ in range(waits):
            patience.begin(runs_out)
        assert patience._timer is not None
        patience._timer.cancel()
        time.sleep(0.001)
        began = time.process_time()
        patience._ring()
        took = time.process_time() - began
        assert heard == waits
        return took

    few = min(work(10_000) for _ in range(5))
    many = min(work(80_000) for _ in range(3))
    assert many < 24 * few


async def test_what_need_not_wait_is_there_at_once() -> None:
    async def ready() -> str:
        return "ready"

    async def later(future: asyncio.Future[str]) -> str:
        try:
            return await future + await future
        except KeyError:
            return "caught"

    assert begun(ready()) == (True, "ready")
    loop = asyncio.get_running_loop()
    for outcome, expected in (("a", "aa"), (KeyError(), "caught"), (ValueError("seen"), ValueError)):
        future: asyncio.Future[str] = loop.create_future()
        here, rest = begun(later(future))
        assert not here
        loop.call_later(
            0.01, *((future.set_exception, outcome) if isinstance(outcome, Exception) else (future.set_result, outcome))
        )
        if expected is ValueError:
            with pytest.raises(ValueError, match="seen"):
                await rest
        else:
            assert await rest == expected


async def test_what_was_begun_is_cancelled_as_ever() -> None:
    left: list[str] = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            left.append("left")

    async def outer() -> None:
        here, rest = begun(waiting())
        assert not here
        await rest

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == ["left"]
    _, rest = begun(waiting())
    rest.close()
    assert left == ["left", "left"]
