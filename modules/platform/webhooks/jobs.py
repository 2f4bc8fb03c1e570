"""Recurring work of webhooks: deliveries that are over are forgotten. The worker itself sends them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete

from db.session import WriteTx
from schema.work import InTransaction, Job, Schedule

from .rules import KEPT, DeliveryStatus
from .tables import WebhookDelivery


async def forget(tx: WriteTx, _job: Job) -> None:
    await tx.execute(
        delete(WebhookDelivery).where(
            WebhookDelivery.organization_id == tx.org,
            WebhookDelivery.status != DeliveryStatus.PENDING,
            WebhookDelivery.created_at < datetime.now(UTC) - KEPT,
        )
    )


JOBS = {"platform.forget_deliveries": InTransaction(forget)}
SCHEDULES = {
    "platform.forget_deliveries": Schedule(
        cron="47 2 * * *", kind="platform.forget_deliveries", description="Forgets deliveries of webhooks after 30 days"
    )
}
