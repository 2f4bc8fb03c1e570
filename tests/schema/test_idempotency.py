"""What a request is recognised by."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from modules.production.logs.inputs import ProductionLogRecordInput
from modules.production.logs.rules import LogKind
from schema.idempotency import request_hash


def test_receipts_of_earlier_versions_are_recognised() -> None:
    """They keep this hash: one that is computed otherwise would refuse every replay as another request."""
    input = ProductionLogRecordInput(
        operation_id="a", kind=LogKind.REPORT, good=Decimal("1.50"), idempotency_key="k",
        occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    assert request_hash(input).hex() == "cb4137bebc1a91a531099eb22b933d82d4dd4469660c2979107bd1f6c1bd464b"
    assert request_hash(replace(input, idempotency_key="another")) == request_hash(input)
    assert request_hash(replace(input, good=Decimal("1.5"))) != request_hash(input)
