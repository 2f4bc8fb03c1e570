"""Errors of the server's, not of the request's: nothing is said of what was asked, and the same may be sent again."""

from __future__ import annotations

import asyncpg

from db.connections import PoolTimeout

CLASSES = ("08", "40", "53", "55", "57")
"""Of SQLSTATE: lost connections, rollbacks of transactions, too little of something, locks, an operator's hand."""


CUT = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, PoolTimeout)
"""InternalClientError: what the driver makes of a server that stops between two messages."""


def unavailable(error: BaseException) -> bool:
    """Did the server go away, or give up on a transaction."""
    return isinstance(error, CUT) or str(getattr(error, "sqlstate", None) or "")[:2] in CLASSES
