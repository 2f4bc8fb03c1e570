"""Where the server's time goes under one query: `make profile`. py-spy looks at it from outside, 200 times a second.

PROFILE_QUERY=Q2 PROFILE_SECONDS=15 PROFILE_CONNECTIONS=16. Each sample counts for the layer its innermost frame belongs to;
frames of the standard library count for whom they work. py-spy must be allowed to look: as root, or with ptrace_scope 0.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

from tests.load.bench.client import measure
from tests.load.bench.house import furnished
from tests.load.bench.queries import QUERIES, floors, requests
from tests.load.bench.servers import OURS, ROOT, running

PY_SPY = "py-spy==0.4.1"
QUERY = os.environ.get("PROFILE_QUERY", "Q2")
SECONDS = float(os.environ.get("PROFILE_SECONDS", "15"))
CONNECTIONS = int(os.environ.get("PROFILE_CONNECTIONS", "16"))

LAYERS = (
    ("site-packages/graphql/", "graphql-core"),
    ("site-packages/strawberry/", "strawberry"),
    ("site-packages/sqlalchemy/", "SQLAlchemy"),
    ("site-packages/asyncpg/", "asyncpg"),
    ("site-packages/aiodataloader", "dataloader"),
    ("site-packages/uvicorn/", "uvicorn, starlette"),
    ("site-packages/starlette/", "uvicorn, starlette"),
    ("site-packages/structlog/", "logs, metrics, traces"),
    ("site-packages/prometheus_client/", "logs, metrics, traces"),
    ("site-packages/opentelemetry/", "logs, metrics, traces"),
    ("site-packages/jwt/", "tokens"),
    ("site-packages/", "other packages"),
    (f"{ROOT}/schema/", "our schema"),
    (f"{ROOT}/api/", "our edge"),
    (f"{ROOT}/modules/", "our modules"),
    (f"{ROOT}/db/", "our database layer"),
)


def layer(stack: list[str]) -> str:
    """Of the innermost frame that says whose it is."""
    for frame in reversed(stack):
        for part, name in LAYERS:
            if part in frame:
                return name
    return "interpreter, event loop"


def shares(raw: str) -> list[tuple[str, float]]:
    """From py-spy's raw lines, `frame;frame;… count`, outermost first."""
    found: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        found[layer(stack.split(";"))] += int(count)
    whole = found.total() or 1
    return [(name, 100 * count / whole) for name, count in found.most_common()]


async def main(folder: Path) -> None:
    query = next(one for one in QUERIES if one.name == QUERY)
    out = folder / "raw"
    async with furnished(5, 2_000) as house, running(house, [OURS], folder) as (server,):
        asking = requests(query, server, await floors(house, [server]), seed=1)
        measure(server.port, asking, connections=CONNECTIONS, seconds=2)
        load = threading.Thread(
            target=measure, args=(server.port, asking), kwargs={"connections": CONNECTIONS, "seconds": SECONDS + 5}
        )
        load.start()
        looking = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("uv")), "tool", "run", "--from", PY_SPY, "py-spy", "record",
            *("--pid", str(server.pid), "--duration", str(int(SECONDS)), "--rate", "200"),
            *("--format", "raw", "--full-filenames", "--output", str(out)),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await looking.communicate()
        load.join()
    if looking.returncode:
        sys.exit(f"py-spy could not look: {said.decode()[-2_000:]}")
    print(f"{query.name} {query.title}, {CONNECTIONS} connections: share of the server's time")
    for name, share in shares(out.read_text(encoding="utf-8")):
        print(f"  {name:<26}{share:5.1f} %")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="unison-profile-") as made:
        asyncio.run(main(Path(made)))
