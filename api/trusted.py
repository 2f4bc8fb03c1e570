"""Trusted documents: those a request names by their hash. A known one is found in a dict, an unknown one asked for once;
most are known since the process started (`api/ahead.py`)."""

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
MOST_CHARACTERS = 4_000_000
"""Of the documents kept: what is made of one takes up to a hundred times its length."""
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
        self._lengths: dict[tuple[int | None, str], int] = {}
        self._characters = 0
        self._unknown: OrderedDict[tuple[int | None, str], float] = OrderedDict()

    def known(self, hash: str, actor: Actor) -> Operations | None:
        """One of the caller's organization, or of the server."""
        for key in ((actor.organization_id, hash), (None, hash)):
            if (operations := self._known.get(key)) is not None:
                self._known.move_to_end(key)
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
        operations = self._documents.known(source) or self._documents.read(source)
        self._keep((actor.organization_id, hash), operations, len(source))
        return operations

    def ahead(self, organization: int | None, hash: str, source: str) -> bool:
        """Read and plan a document nobody has asked for yet. It is the first to be forgotten; False where there is no room."""
        key = (organization, hash)
        if self._characters + len(source) > MOST_CHARACTERS or len(self._known) >= self._size:
            return False
        if key not in self._known:
            operations = self._documents.known(source) or self._documents.read(source)
            for operation in operations.values():
                operation.prepared.ahead()
            self._keep(key, operations, len(source))
            self._known.move_to_end(key, last=False)
        return True

    def _keep(self, key: tuple[int | None, str], operations: Operations, length: int) -> None:
        self._characters += length - self._lengths.get(key, 0)
        self._known[key], self._lengths[key] = operations, length
        while self._characters > MOST_CHARACTERS or len(self._known) > self._size:
            old, _ = self._known.popitem(last=False)
            self._characters -= self._lengths.pop(old)


def _forget(kept: OrderedDict[tuple[int | None, str], Any], size: int) -> None:
    if len(kept) > size:
        kept.popitem(last=False)
