"""Keeping documents. What is kept never changes: its name is the hash of its text."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from db.session import WriteTx
from modules.identity.public import require_everywhere

from .rules import Checked
from .tables import TrustedDocument

MANAGE = "documents.manage"


async def register(tx: WriteTx, documents: Sequence[Checked]) -> list[TrustedDocument]:
    """The rows of all of them, in their order; those known already stay as they are."""
    require_everywhere(tx, MANAGE)
    return await keep(tx, documents)


async def keep(tx: WriteTx, documents: Sequence[Checked]) -> list[TrustedDocument]:
    await tx.key_lock("platform.trusted_documents")
    hashes = [document.hash for document in documents]
    found = await tx.scalars(
        select(TrustedDocument).where(TrustedDocument.organization_id == tx.org, TrustedDocument.hash.in_(hashes))
    )
    known = {row.hash: row for row in found}
    for document in documents:
        if document.hash not in known:
            known[document.hash] = tx.add(
                TrustedDocument(
                    hash=document.hash,
                    name=document.name,
                    text=document.text,
                    registered_by_user_id=tx.actor.user_id,
                    registered_by_app_id=tx.actor.app_id,
                )
            )
    await tx.flush()
    return [known[hash] for hash in hashes]
