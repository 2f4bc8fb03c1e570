"""When recurring work is due. Expressions are read as Debian's cron reads them where clocks change: a time that is
skipped runs right after the change, a time that comes twice runs once, and intervals keep their pace."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

MOST_COUNTED = 10_000


def following(cron: str, zone: str, after: datetime) -> datetime:
    """The first time after an instant."""
    return next(CronSim(cron, after.astimezone(ZoneInfo(zone)))).astimezone(UTC)


def caught_up(cron: str, zone: str, due: datetime, now: datetime) -> tuple[datetime, int]:
    """The next time after now, and how many times between `due` and now were missed besides `due` itself."""
    coming, missed = following(cron, zone, due), 0
    while coming <= now:
        if missed == MOST_COUNTED:  # counting on would tell nobody more
            return following(cron, zone, now), missed
        coming, missed = following(cron, zone, coming), missed + 1
    return coming, missed
