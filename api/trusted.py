"""Trusted documents: those a request names by their hash. A known one is found in a dict, an unknown one asked for once;
most are known since the process started (`api/ahead.py`)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from time import monotonic
from typing import Any

from sqlalchemy import text

from api.documents import Documents, Kept, Operations
from api.limits import Limits
from db.actor import Actor
from db.session import Database

TOKENS_TIMES = 10
"""A trusted document may have this many times the tokens of one that was just made up."""
MOST_CHARACTERS = 4_000_000
"""Of the documents kept, as `api/documents.py` weighs them."""
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
        self._kept = Kept(MOST_CHARACTERS, size)
        self._unknown: OrderedDict[tuple[int | None, str], float] = OrderedDict()

    def known(self, hash: str, actor: Actor) -> Operations | None:
        """One of the caller's organization, or of the server."""
        for key in ((actor.organization_id, hash), (None, hash)):
            if (operations := self._kept.get(key)) is not None:
                return operations
        return None

    async def source(self, hash: str, actor: Actor) -> str | None:
        """The text of a document the caller's organization or the server trusts; None where neither does."""
        key = (actor.organization_id, hash)
        if self._unknown.get(key, 0.0) > monotonic():
            return None
        async with self._database.read(actor) as tx:
            source: str | None = await tx.scalar(_TEXT, {"hash": hash})
        if source is None:
            self._unknown[key] = monotonic() + UNKNOWN_SECONDS
            _forget(self._unknown, self._size)
        return source

    def read(self, hash: str, source: str, actor: Actor) -> Operations:
        """Its operations, kept; Rejected where it does not fit the schema any more."""
        organization = actor.organization_id
        operations = self._documents.known(source) or self._documents.read(source, organization)
        self._kept.put((organization, hash), operations, organization)
        return operations

    def ahead(self, organization: int | None, hash: str, source: str) -> bool:
        """Read and plan a document nobody has asked for yet. Of its organization's it is the first to be forgotten; False
        where it would be forgotten at once."""
        key = (organization, hash)
        if self._kept.get(key) is not None:
            return True
        if not self._kept.has_room(len(source), organization):
            return False
        operations = self._documents.known(source) or self._documents.read(source, organization)
        for operation in operations.values():
            operation.prepared.ahead()
        self._kept.put(key, operations, organization, first_to_go=True)
        return True


def _forget(kept: OrderedDict[tuple[int | None, str], Any], size: int) -> None:
    if len(kept) > size:
        kept.popitem(last=False)
