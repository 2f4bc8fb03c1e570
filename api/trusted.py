"""Trusted documents: those a request names by their hash. A known one is found in a dict, an unknown one asked for once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from time import monotonic
from typing import Any

from sqlalchemy import text

from api.documents import Documents, Operations
from api.limits import Limits
from db.actor import Actor
from db.session import Database

TOKENS_TIMES = 10
"""A trusted document may have this many times the tokens of one that was just made up."""
UNKNOWN_SECONDS = 1.0
"""So long an unknown hash is believed to be unknown."""

_TEXT = text("select app.trusted_document(:hash)")


def limits_of_trusted(limits: Limits) -> Limits:
    return replace(limits, tokens=limits.tokens * TOKENS_TIMES)


class Trusted:
    def __init__(self, documents: Documents, database: Database, *, size: int = 10_000) -> None:
        self._documents = documents
        self._database = database
        self._size = size
        self._known: OrderedDict[tuple[int | None, str], Operations] = OrderedDict()
        self._unknown: OrderedDict[tuple[int | None, str], float] = OrderedDict()

    def known(self, hash: str, actor: Actor) -> Operations | None:
        return self._known.get((actor.organization_id, hash))

    async def operations(self, hash: str, actor: Actor) -> Operations | None:
        """The operations of a document the caller's organization or the server trusts; None where neither does.
        Rejected where it does not fit the schema any more."""
        key = (actor.organization_id, hash)
        if self._unknown.get(key, 0.0) > monotonic():
            return None
        async with self._database.read(actor) as tx:
            source = await tx.scalar(_TEXT, {"hash": hash})
        if source is None:
            self._unknown[key] = monotonic() + UNKNOWN_SECONDS
            _forget(self._unknown, self._size)
            return None
        operations = self._documents.known(source) or self._documents.read(source)
        self._known[key] = operations
        _forget(self._known, self._size)
        return operations


def _forget(kept: OrderedDict[tuple[int | None, str], Any], size: int) -> None:
    if len(kept) > size:
        kept.popitem(last=False)
