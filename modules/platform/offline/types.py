"""The public type of a batch, and how batches are listed."""

from datetime import datetime
from decimal import Decimal

from modules.identity.public import App, User
from schema.listing import Listing
from schema.node import Node, column, node, to_one

from .tables import OfflineBatch as Row

OFFLINE_BATCHES = Listing(
    Row,
    name="OfflineBatch",
    where={
        "device": Row.device_id,
        "sentByUser": Row.sent_by_user_id,
        "sentByApp": Row.sent_by_app_id,
        "receivedAt": Row.received_at,
        "skewSeconds": Row.skew_seconds,
    },
    order_by={"RECEIVED_AT": Row.received_at, "SKEW_SECONDS": Row.skew_seconds},
    default=("-RECEIVED_AT",),
)


@node(
    Row,
    permission="offline.read",
    description="What a terminal that had been offline sent at once; see offlineBatchApply",
)
class OfflineBatch(Node):
    device_id: str = column(description="The terminal, by the name it gave itself")
    sent_by_user: User | None = to_one(Row.sent_by_user_id, description="User it was signed in as")
    sent_by_app: App | None = to_one(Row.sent_by_app_id, description="App it was signed in as")
    request_id: str | None = column(description="Request it came in, as in the log and on what it wrote")
    sent_at: datetime = column(description="When it was sent, by the device's clock")
    received_at: datetime = column(description="When it arrived, by the server's clock")
    skew_seconds: Decimal = column(
        description="Server's clock minus device's, the way of the request included; negative where the device runs ahead"
    )
    items: int = column(description="How many items it has")
    applied: int | None = column(description="Items that took effect; null while it runs, or where it was interrupted")
    duplicates: int | None = column(description="Items that had taken effect before")
    conflicts: int | None = column(description="Items refused for what their object has become by now")
    rejected: int | None = column(description="Items refused for what they are themselves")
    finished_at: datetime | None = column(description="When its last item was tried; null where it was interrupted")
