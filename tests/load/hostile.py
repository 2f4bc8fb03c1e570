"""What documents made to hurt cost: `python tests/load/hostile.py`. CPU milliseconds from the text to the refusal, and of
those that are answered, to their price. Prints figures and judges nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: a `queue` stands in it

import time

from api.documents import Documents, named
from api.errors import Rejected
from api.limits import Limits
from api.settings import Settings
from schema.build import build
from tests.api.hostile import HOSTILE

TIMES = 5


def outcome(documents: Documents, document: str, limit: int) -> str:
    try:
        price = named(documents.read(document), None).price({})
    except Rejected as rejected:
        return str((rejected.errors[0].extensions or {}).get("code", "GRAPHQL_PARSE_FAILED"))
    return f"price {price}" + (": OPERATION_TOO_COMPLEX" if price > limit else "")


def main() -> None:
    schema = build(suggestions=False)
    documents = Documents(schema, Limits(), suggestions=False)
    limit = Settings.model_fields["cost_limit"].default
    documents.read("{ __typename }")
    print(f"{'document':42} {'bytes':>8} {'CPU ms':>8}  answer")
    worst = 0.0
    for hostile in HOSTILE:
        began = time.process_time()
        for _ in range(TIMES):
            said = outcome(documents, hostile.document, limit)
        took = (time.process_time() - began) * 1_000 / TIMES
        worst = max(worst, took)
        print(f"{hostile.name:42} {len(hostile.document):8} {took:8.1f}  {said}", flush=True)
    print(f"worst {worst:.1f} ms")


if __name__ == "__main__":
    main()
