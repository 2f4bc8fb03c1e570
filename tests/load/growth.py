"""How latency grows with the data: Q1 to Q3 of the bench with ever more orders in one organization. Prints, judges nothing.

    .venv/bin/python -m tests.load.growth

GROWTH=5000,100000,1000000 are the sizes, GROWTH_SECONDS=5 the time per query; one connection, Unison alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import asyncpg

from tests.load.bench import meter
from tests.load.bench.client import measure
from tests.load.bench.house import add_orders, furnished
from tests.load.bench.queries import QUERIES, floors, requests
from tests.load.bench.servers import OURS, running

SIZES = [int(size) for size in os.environ.get("GROWTH", "5000,100000,1000000").split(",")]
SECONDS = float(os.environ.get("GROWTH_SECONDS", "5"))
ASKED = [query for query in QUERIES if query.name in ("Q1", "Q2", "Q3")]


async def main(logs: Path) -> None:
    first: dict[str, float] = {}
    async with furnished(1, SIZES[0]) as house:
        for n, size in enumerate(SIZES):
            if n > 0:
                began = time.monotonic()
                connection = await asyncpg.connect(house.admin_url)
                await add_orders(connection, house.tenants, SIZES[n - 1] + 1, size)
                await connection.close()
                print(f"{size - SIZES[n - 1]:,} orders more in {time.monotonic() - began:.0f} s", flush=True)
            async with running(house, [OURS], logs) as (server,):
                grown = await floors(house, [server])
                for query in ASKED:
                    asking = requests(query, server, grown, seed=1)
                    measure(server.port, asking, connections=1, seconds=SECONDS / 5)
                    before = meter.cpu(server.pid, house.postmaster)
                    seen = measure(server.port, asking, connections=1, seconds=SECONDS)
                    used = meter.cpu(server.pid, house.postmaster) - before
                    database = 1_000 * used.database / max(1, len(seen.latencies))
                    p50, p99 = seen.quantile(0.5), seen.quantile(0.99)
                    times = p50 / first.setdefault(query.name, p50)
                    print(
                        f"{size:>10,} orders  {query.name} {query.title:<42} p50 {p50:>7.2f} ms {times:5.2f}x  p99 {p99:>7.2f} ms"
                        f"  CPU of PostgreSQL {database:5.2f} ms",
                        flush=True,
                    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="unison-growth-") as folder:
        asyncio.run(main(Path(folder)))
