"""The rules of webhooks: where they may point, when a delivery is tried again, when an endpoint is paused, how one signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from db.refusal import ValidationFailed

MOST_TOPICS = 100
MOST_URL = 2_000
GRACE = timedelta(hours=24)
LONGEST_GRACE = timedelta(days=30)
KEPT = timedelta(days=30)
"""How long deliveries that are over are shown."""


class EndpointStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"


class PausedReason(StrEnum):
    BY_HAND = "by_hand"
    GONE = "gone"
    FAILING = "failing"
    NO_RIGHTS = "no_rights"


class DeliveryKind(StrEnum):
    EVENT = "event"
    RESYNC = "resync"
    PING = "ping"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SKIPPED = "skipped"


# --- where ---------------------------------------------------------------------------------------------------------------


def checked_url(given: str, path: str = "url") -> str:
    """An address of http or https with a host and nothing secret in it. Where it leads is decided when it is called."""
    url = given.strip()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _refuse("Not a URL", path, "url") from None
    if len(url) > MOST_URL:
        raise _refuse(f"At most {MOST_URL} characters", path, f"maxLength {MOST_URL}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refuse("It begins with https:// and a host", path, "url")
    if not url.isascii() or any(c <= " " for c in url):
        raise _refuse("Only printable ASCII; other hosts are written in Punycode", path, "ascii")
    if _has_secrets(parts):
        raise _refuse("No user, password or fragment in it: verify the signature instead", path, "url")
    return url


def _has_secrets(parts: SplitResult) -> bool:
    return parts.username is not None or parts.password is not None or bool(parts.fragment)


def _refuse(message: str, path: str, constraint: str) -> ValidationFailed:
    return ValidationFailed(message, path=tuple(path.split(".")), constraint=constraint)


# --- how often ------------------------------------------------------------------------------------------------------------

DELAYS: tuple[float, ...] = (5, 30, 120, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 36_000)
"""Seconds after each failed attempt: twelve attempts within a day."""
DEAD_IN_A_ROW = 5
FAILING_FOR = timedelta(hours=24)
FEWEST_FAILURES = 5
FAILING = 3
"""Failures in a row after which an endpoint is asked less of."""
GONE = 410


def delay(attempts: int, jitter: float, delays: tuple[float, ...] = DELAYS) -> float | None:
    """Seconds until the next attempt after so many, `jitter` from 0 to 1; None where that was the last."""
    if attempts > len(delays):
        return None
    return delays[attempts - 1] * (0.8 + 0.2 * jitter)


def pause_reason(
    *, response: int | None, failures: int, dead: int, failing_since: datetime | None, now: datetime
) -> PausedReason | None:
    """Why an endpoint is to be paused after a failure, if it is."""
    if response == GONE:
        return PausedReason.GONE
    long = failing_since is not None and now - failing_since >= FAILING_FOR and failures >= FEWEST_FAILURES
    return PausedReason.FAILING if long or dead >= DEAD_IN_A_ROW else None


# --- signing --------------------------------------------------------------------------------------------------------------

SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret


def shown_secret(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signatures(secrets: Iterable[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: of every secret that is valid, HMAC-SHA256 over id, time and body."""
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join(
        f"v1,{base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()}" for secret in secrets
    )
