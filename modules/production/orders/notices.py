"""What people are told of work orders."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from db.session import WriteTx
from modules.platform.public import Holders, notify
from modules.production.tables import WorkOrder
from schema.registry import NotificationKind

RELEASED: Final = "production.order_released"
HELD: Final = "production.order_held"
TOLD: Final = "production.report_for_others"
"""Held by those who lead the work of others: managers and supervisors."""

KINDS: Final = {
    RELEASED: NotificationKind(
        description="A work order was released, in a plant or department one leads",
        title="Work order {{ number }} was released",
        body="{{ quantity }} {{ unit }} of {{ product }}.{% if due %}\nPlanned end: {{ due }} UTC{% endif %}",
    ),
    HELD: NotificationKind(
        description="A work order was put on hold, in a plant or department one leads",
        title="Work order {{ number }} is on hold",
        body="{{ quantity }} {{ unit }} of {{ product }}.\n{{ reason }}",
        severity="warning",
    ),
}


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the words of a kind are made of, from the columns of an order."""
    due, ordered = row["planned_end_at"], Decimal(row["quantity_ordered"])
    return {
        "number": row["number"], "quantity": f"{ordered.normalize():f}", "unit": row["unit"],
        "product": row["product_name"] or row["product_code"] or "a product", "reason": row["status_reason"],
        "due": None if due is None else f"{due:%Y-%m-%d %H:%M}",
    }  # fmt: skip


async def tell(tx: WriteTx, kind: str, order: WorkOrder) -> None:
    """In the transaction of the change: whoever is told can read it."""
    await notify(
        tx,
        kind,
        facts(vars(order)),
        to=Holders(TOLD, order.department_id),
        plant_id=order.plant_id,
        about=("WorkOrder", order.id),
    )
