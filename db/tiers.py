"""What the server can do: the tier it belongs to, and what each missing extension costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

OLDEST = 16
TARGET = 18


class Tier(StrEnum):
    EMBEDDED = "embedded"
    PLAIN = "plain"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension Unison uses when it is there; without it the same SQL works, at the cost stated."""

    tier: Tier
    gives: str
    without: str


EXTENSIONS: Mapping[str, Extension] = {
    "timescaledb": Extension(
        Tier.FULL, "compression and continuous aggregates of time series",
        "production logs take about ten times the space and aggregates are made by a job",
    ),
    "pg_search": Extension(
        Tier.FULL, "BM25 full-text search", "search uses tsvector and prefixes: no ranking by relevance across fields",
    ),
    "pg_duckdb": Extension(Tier.FULL, "analytics over very large tables", "large reports run on ordinary SQL"),
    "pg_cron": Extension(Tier.PLAIN, "schedules kept by the server", "schedules need a running worker process"),
    "pg_trgm": Extension(Tier.PLAIN, "search inside words", "search finds the beginning of words only"),
    "pg_stat_statements": Extension(Tier.PLAIN, "statistics per statement", "slow statements are found in logs only"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Capability:
    """One extension as found: None where the server does not offer, or the database does not have it."""

    available: str | None
    installed: str | None


def detect(connection: Connection) -> dict[str, Capability]:
    rows = connection.exec_driver_sql(
        "select n.name, a.default_version, e.extversion from unnest($1::text[]) as n(name)"
        " left join pg_available_extensions a on a.name = n.name left join pg_extension e on e.extname = n.name",
        (list(EXTENSIONS),),
    )
    return {name: Capability(available, installed) for name, available, installed in rows}


def tier(found: Mapping[str, Capability]) -> Tier:
    """Embedded has none of the contributed extensions, full has all of the specialised ones installed."""
    if all(found[name].installed for name in ("timescaledb", "pg_search", "pg_cron")):
        return Tier.FULL
    return Tier.PLAIN if found["pg_trgm"].available else Tier.EMBEDDED


def record(connection: Connection) -> None:
    """Keep what was found beside the migrations; a server that changes is seen at its next migration."""
    for name, found in detect(connection).items():
        connection.exec_driver_sql(
            "insert into meta.database_capabilities as c (name, available_version, installed_version)"
            " values ($1, $2, $3)"
            " on conflict (name) do update set available_version = excluded.available_version,"
            " installed_version = excluded.installed_version, detected_at = now()"
            " where (c.available_version, c.installed_version)"
            " is distinct from (excluded.available_version, excluded.installed_version)",
            (name, found.available, found.installed),
        )
