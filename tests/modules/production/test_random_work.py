"""Random reports, clocks, reversals and decisions against a real database: whatever is accepted keeps every sum true."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.refusal import Refused
from modules.production.logs.rules import LogKind as K
from modules.production.tables import WorkOrderOperation
from tests.modules.production.shop import Shop, ago

ACTIONS = 24
DECISIONS = [("hold", "resume")] * 4 + [("short_close", "reopen")] * 2 + [("reopen",)] * 4 + [("complete",), ("close",)]
SEEN: Counter[str] = Counter()


async def report(shop: Shop, rng: Random, rows: list[WorkOrderOperation]) -> int:
    at = min(rng.randrange(len(rows)), rng.randrange(len(rows)))
    rework = rng.choice((0, 0, 0, 1))
    done = await shop.report(
        rows[at],
        good=rng.randint(0, 4),
        scrap=rng.choice((0, 0, 1)),
        rework=rework,
        reworked=rng.random() < 0.15,
        back_to=rng.choice(rows[: at + 1]) if rework else None,
    )
    return done.log.id


async def clock(shop: Shop, rng: Random, rows: list[WorkOrderOperation], n: int) -> int:
    who = shop.as_(rng.choice(("operator", "supervisor")))
    kind = rng.choice((K.START, K.START, K.PAUSE, K.RESUME, K.COMPLETE))
    late = rng.choice((0, 0, 0, 50))
    return (await who.report(rng.choice(rows), kind, at=ago(minutes=600 - 20 * n + late))).log.id


# A seed is drawn, not the script: evenly spread scripts get further than those made to be small.
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.integers(1, 3), ordered=st.integers(6, 20), tolerance=st.sampled_from(("0", "0.3")), seed=st.integers(0)
)
async def test_random_work_keeps_every_sum(shop: Shop, steps: int, ordered: int, tolerance: str, seed: int) -> None:
    rng = Random(seed)
    order = await shop.order(steps, ordered=ordered, tolerance=tolerance)
    rows = await shop.operations(order)
    written: list[int] = []
    for n in range(ACTIONS):
        try:
            match rng.choices(("report", "clock", "reverse", "decide"), (6, 3, 2, 1))[0]:
                case "report":
                    written.append(await report(shop, rng, rows))
                case "clock":
                    written.append(await clock(shop, rng, rows, n))
                case "reverse" if written:
                    written.append((await shop.reverse(rng.choice(written))).log.id)
                case "decide":
                    for decision in rng.choice(DECISIONS):
                        await shop.do(order, decision)
        except Refused as refused:
            SEEN[refused.code] += 1
    SEEN["accepted"] += len(written)
    await shop.check(order)


def test_random_work_was_worth_its_name() -> None:
    """Runs after it: a run in which nearly everything was refused would prove nothing."""
    assert SEEN["accepted"] > 100
