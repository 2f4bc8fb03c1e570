"""Root fields of the production log."""

from datetime import datetime
from typing import Any

from db.session import WriteTx
from modules.production import lists
from modules.production.types import ProductionLog
from schema.fields import Offline, events, listing, lookup, mutation

from . import service
from .inputs import ProductionLogPayload, ProductionLogRecordInput, ProductionLogReverseInput
from .service import Recorded

production_log = lookup(ProductionLog, description="One row of the production log by its id; null when unknown")
production_logs = listing(ProductionLog, lists.PRODUCTION_LOGS, description="The production log, newest first")
production_log_events = events(
    ProductionLog, lists.PRODUCTION_LOGS, description="Rows of the production log as they are written"
)


@mutation(
    "production.report",
    ProductionLogPayload,
    posts_fact=True,
    offline=Offline(about="operation_id", at="occurred_at"),
    description="Report work or pieces. The first starts the order, the last good piece completes it",
)
async def production_log_record(tx: WriteTx, input: ProductionLogRecordInput, now: datetime) -> dict[str, Any]:
    return _shown(await service.record(tx, input.entry(now), now))


@mutation(
    "production.reverse",
    ProductionLogPayload,
    posts_fact=True,
    offline=Offline(about="id"),
    description="Take a row of the log back, once and in full. An order it had completed is in progress again",
)
async def production_log_reverse(tx: WriteTx, input: ProductionLogReverseInput, now: datetime) -> dict[str, Any]:
    return _shown(await service.reverse(tx, input.key, reason=input.why, now=now))


def _shown(recorded: Recorded) -> dict[str, Any]:
    return {"production_log": recorded.log, "operation": recorded.operation, "work_order": recorded.order}
