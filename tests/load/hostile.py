"""What documents made to hurt cost: `python tests/load/hostile.py`. CPU milliseconds from the text to the refusal, and of
those that are answered, to their price; the least of a few, because what else runs on the cores makes it more. Bodies are as
large as one may be. Prints figures and judges nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: a `queue` stands in it

import math
import time
from collections.abc import Callable
from functools import partial

from api.documents import Documents, named
from api.errors import Rejected
from api.limits import Limits, check_variables
from api.requests import parse_json, request_of
from api.settings import Settings
from schema.build import build
from tests.api.hostile import HOSTILE

TIMES = 5
BODIES = {
    "a batch": b"[" + b",".join([b'{"query":"{__typename}"}'] * 41_000) + b"]",
    "nested variables": b'{"query":"{__typename}","variables":{"v":' + b"[" * 1_000 + b"]" * 1_000 + b"}}",
    "many lists in the variables": b'{"query":"{__typename}","variables":{"v":['
    + b",".join([b"[[[]]]"] * 149_000)
    + b"]}}",
    "a long list in the variables": b'{"query":"{__typename}","variables":{"v":['
    + b",".join([b"1"] * 520_000)
    + b"]}}",
    "not JSON": b"[" * 1_048_576,
}


def outcome(documents: Documents, document: str, limit: int) -> str:
    try:
        operations = documents._read(document)  # anew, not from the cache
        price = named(operations, next(iter(operations))).price({})
    except Rejected as rejected:
        return str((rejected.errors[0].extensions or {}).get("code", "GRAPHQL_PARSE_FAILED"))
    return f"price {price}" + (": OPERATION_TOO_COMPLEX" if price > limit else "")


def outcome_of(body: bytes) -> str:
    try:
        check_variables(request_of(parse_json(body)).variables, Limits())
    except Rejected as rejected:
        return str((rejected.errors[0].extensions or {}).get("code"))
    return "let in"


def measure(name: str, length: int, ask: Callable[[], str]) -> float:
    least = math.inf
    for _ in range(TIMES):
        began = time.process_time()
        said = ask()
        least = min(least, (time.process_time() - began) * 1_000)
    print(f"{name:42} {length:8} {least:8.1f}  {said}", flush=True)
    return least


def main() -> None:
    schema = build(suggestions=False)
    documents = Documents(schema, Limits(), suggestions=False)
    limit = Settings.model_fields["cost_limit"].default
    documents.read("{ __typename }")
    print(f"{'document':42} {'bytes':>8} {'CPU ms':>8}  answer")
    worst = [
        measure(one.name, len(one.document), partial(outcome, documents, one.document, limit)) for one in HOSTILE
    ] + [measure(name, len(body), partial(outcome_of, body)) for name, body in BODIES.items()]
    print(f"worst {max(worst):.1f} ms")


if __name__ == "__main__":
    main()
