"""`make bench`: Unison against PostGraphile 5 and graphql-yoga with graphql-jit, on one database, in one run. See README.md."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.load.bench import meter
from tests.load.bench.client import Measured, measure
from tests.load.bench.house import House, furnished
from tests.load.bench.queries import QUERIES, Floor, Query, ask, floors, plain, requests, variables
from tests.load.bench.servers import OURS, POSTGRAPHILE, YOGA, Server, running

JUDGED_AT = 16
"""Connections the last lines are about."""
WARM = 300
"""Answers after which a server is warm."""


@dataclass(frozen=True)
class Asked:
    """What a run is told by its environment."""

    organizations: int = int(os.environ.get("BENCH_ORGANIZATIONS", "20"))
    orders: int = int(float(os.environ.get("BENCH_ORDERS", "5000")) * float(os.environ.get("SCALE", "1")))
    seconds: float = float(os.environ.get("BENCH_SECONDS", "3"))
    warmup: float = float(os.environ.get("BENCH_WARMUP", "2"))
    rounds: int = int(os.environ.get("BENCH_ROUNDS", "3"))
    connections: tuple[int, ...] = tuple(int(n) for n in os.environ.get("BENCH_CONNECTIONS", "1,16,64").split(","))
    queries: tuple[str, ...] = tuple(os.environ.get("BENCH_QUERIES", "Q1,Q2,Q3,Q4,Q5").split(","))
    servers: tuple[str, ...] = tuple(os.environ.get("BENCH_SERVERS", f"{OURS},{POSTGRAPHILE},{YOGA}").split(","))


@dataclass
class Cell:
    """A server on a query over so many connections: one entry per round."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    refused: int = 0

    def add(self, seen: Measured, used: meter.Cpu) -> None:
        answers = max(1, len(seen.latencies))
        self.refused += seen.refused
        self.rates.append(seen.rate)
        self.p50.append(seen.quantile(0.5))
        self.p99.append(seen.quantile(0.99))
        self.server_ms.append(1_000 * used.server / answers)
        self.database_ms.append(1_000 * used.database / answers)
        self.client.append(100 * seen.cpu / seen.seconds)


Cells = dict[tuple[str, int, str], Cell]


async def check_equal(query: Query, servers: list[Server], all_floors: list[Floor], house: House) -> int:
    """The same rows from every server, or nothing is measured; how many values an answer has. Of a mutation, what it
    has written as well."""
    leaves = 0
    for floor in all_floors[:3]:
        for turn in (0, 1, 5, 17):
            told = []
            for server in servers:
                given = variables(query, server.name, floor, turn)
                before = await _written(house, floor, turn) if query.writes else {}
                answer = plain(await ask(server, floor.callers[server.name], query.documents[server.name], given))
                if query.writes:
                    after = await _written(house, floor, turn)
                    answer = {**_before(answer, len(told)), **{name: after[name] - before[name] for name in after}}
                told.append(answer)
            for server, answer in zip(servers, told, strict=True):
                if answer != told[0]:
                    raise AssertionError(
                        f"{query.name}: {servers[0].name} and {server.name} differ:\n{told[0]}\n{answer}"
                    )
            leaves = max(leaves, _leaves(told[0]))
    if not leaves:
        raise AssertionError(f"{query.name}: nothing was answered")
    return leaves


async def _written(house: House, floor: Floor, turn: int) -> dict[str, Any]:
    """What a report of pieces changes: sums of the order's operations, and rows that were not there."""
    org, operation = floor.tenant.organization_id, floor.operations[turn % len(floor.operations)]
    (found,) = await house.fetch(
        "select sum(o.quantity_good) as good, sum(o.quantity_available * o.sequence) as available,"
        " (select count(*) from tsdata.production_logs l where l.organization_id = $1 and l.operation_id = $2) as logs,"
        " (select count(*) from app.idempotency_receipts r where r.organization_id = $1) as receipts,"
        " (select count(*) from app.audit_logs a where a.organization_id = $1) as audited,"
        " (select count(*) from ev.inbox i where i.organization_id = $1)"
        " + (select count(*) from ev.log g where g.organization_id = $1) as events"
        " from app.work_order_operations o where o.organization_id = $1 and o.work_order_id ="
        " (select work_order_id from app.work_order_operations where organization_id = $1 and id = $2)",
        org, operation,
    )  # fmt: skip
    return dict(found)


def _before(answer: dict[str, dict[str, dict[str, object]]], turn: int) -> dict[str, object]:
    """What the sum was before the first server added to it: each adds one."""
    operation = dict(answer["recordLog"]["operation"])
    return {**operation, "quantityGood": operation["quantityGood"] - turn}  # type: ignore[operator]


def _leaves(value: object) -> int:
    if isinstance(value, dict):
        return sum(_leaves(v) for v in value.values())
    return sum(_leaves(v) for v in value) if isinstance(value, list) else int(value is not None)


def warm_up(query: Query, server: Server, all_floors: list[Floor], seconds: float) -> None:
    """For a while, and until every connection of the pool knows the statements; ten times the while at most."""
    asking = requests(query, server, all_floors, seed=-1)
    answered = 0
    for _ in range(10):
        answered += len(measure(server.port, asking, connections=JUDGED_AT, seconds=seconds).latencies)
        if answered >= WARM:
            return


def compare(
    query: Query, connections: int, servers: list[Server], all_floors: list[Floor], house: House, asked: Asked
) -> Cells:
    """Rounds in which every server has its turn, each time another one first."""
    cells: Cells = {(query.name, connections, server.name): Cell() for server in servers}
    for round_ in range(asked.rounds):
        turn = round_ % len(servers)
        for server in servers[turn:] + servers[:turn]:
            asking = requests(query, server, all_floors, seed=round_)
            before = meter.cpu(server.pid, house.postmaster)
            seen = measure(server.port, asking, connections=connections, seconds=asked.seconds)
            used = meter.cpu(server.pid, house.postmaster) - before
            cells[query.name, connections, server.name].add(seen, used)
            if seen.refused:
                print(f"  {server.name} refused: {seen.refusal}")
    return cells


def tell(query: Query, connections: int, cells: Cells) -> None:
    base = cells.get((query.name, connections, POSTGRAPHILE))
    for (_, _, name), cell in cells.items():
        m = statistics.median
        ratio = f"{m(cell.rates) / m(base.rates):6.2f}x" if base else ""
        remarks = "  the client was busy" if m(cell.client) > 70 else ""
        remarks += f"  {cell.refused:,} refused" if cell.refused else ""
        print(
            f"  {connections:>3}  {name:<13} {m(cell.rates):>9,.0f} /s {ratio}  p50 {m(cell.p50):>8.2f}  p99 {m(cell.p99):>8.2f} ms"
            f"  CPU {m(cell.server_ms):>6.2f} + {m(cell.database_ms):>5.2f} ms  client {m(cell.client):>3.0f} %{remarks}",
            flush=True,
        )


def table(cells: Cells, queries: list[Query], names: list[str], at: int, memory: dict[str, float]) -> None:
    """For the README: at this many connections, requests/s, ratio to PostGraphile 5, CPU ms of server and PostgreSQL."""
    print(f"\nAt {at} connections: requests/s · ratio to PostGraphile 5 · CPU ms per request, server and PostgreSQL\n")
    print("| server | " + " | ".join(f"{q.name} {q.title}" for q in queries) + " | RSS MB |")
    print("|---" * (len(queries) + 2) + "|")
    for name in names:
        told = []
        for query in queries:
            cell = cells[query.name, at, name]
            ratio = f" · {_ratio(cells, query, at, name):.2f}x" if POSTGRAPHILE in names else ""
            cpu = statistics.median(cell.server_ms) + statistics.median(cell.database_ms)
            told.append(f"{statistics.median(cell.rates):,.0f}{ratio} · {cpu:.2f}")
        print(f"| {name} | " + " | ".join(told) + f" | {memory[name]:.0f} |")


def _ratio(cells: Cells, query: Query, at: int, name: str) -> float:
    base = statistics.median(cells[query.name, at, POSTGRAPHILE].rates)
    return statistics.median(cells[query.name, at, name].rates) / base


async def run(asked: Asked, logs: Path) -> None:
    queries = [query for query in QUERIES if query.name in asked.queries]
    async with furnished(asked.organizations, asked.orders) as house:
        print(
            f"{asked.organizations} organizations of {asked.orders:,} orders; {asked.rounds} rounds of {asked.seconds:g} s"
        )
        async with running(house, list(asked.servers), logs) as servers:
            all_floors = await floors(house, servers)
            for query in queries:
                values = await check_equal(query, servers, all_floors, house)
                print(f"{query.name} {query.title}: the same {values} values from {len(servers)} servers", flush=True)
            cells: Cells = {}
            for query in queries:
                print(f"\n{query.name} {query.title}")
                for server in servers:
                    warm_up(query, server, all_floors, asked.warmup)
                for connections in asked.connections:
                    found = compare(query, connections, servers, all_floors, house, asked)
                    tell(query, connections, found)
                    cells |= found
            at = JUDGED_AT if JUDGED_AT in asked.connections else asked.connections[-1]
            memory = {server.name: meter.megabytes(server.pid) for server in servers}
            table(cells, queries, list(asked.servers), at, memory)
            if {OURS, POSTGRAPHILE} <= set(asked.servers):
                print()
                for query in queries:
                    print(f"{query.name} ratio {_ratio(cells, query, at, OURS):.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="unison-bench-logs-") as folder:
        asyncio.run(run(Asked(), Path(folder)))
