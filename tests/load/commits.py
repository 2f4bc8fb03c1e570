"""Commits at a steady rate, from a process of its own: `python -m tests.load.commits URL RATE SECONDS ORGANIZATION…`."""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg

CONNECTIONS = 4
POKE_SECONDS = 0.05


async def main(url: str, rate: int, seconds: float, organizations: list[int]) -> None:
    """The name of each project is the rate and the time just before its commit. The relay is poked as the API does it."""
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    began, total = time.monotonic(), int(rate * seconds)
    poked = 0.0

    async def commit(first: int) -> None:
        nonlocal poked
        for n in range(first, total, CONNECTIONS):
            await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
            organization = organizations[n % len(organizations)]
            await connections[first].execute(
                f"begin; set local app.org_id = '{organization}'; insert into app.projects (organization_id, number, name)"
                f" values ({organization}, gen_random_uuid()::text, '{rate} {time.time()}'); commit"
            )
            if time.monotonic() - poked > POKE_SECONDS:
                poked = time.monotonic()
                await connections[first].execute("notify ev_poke")

    await asyncio.gather(*(commit(first) for first in range(CONNECTIONS)))
    took = time.monotonic() - began
    for connection in connections:
        await connection.close()
    print(f"{total} {took}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), [int(each) for each in sys.argv[4:]]))
