"""Rows of trusted documents."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from db.base import LedgerTable, ref


class TrustedDocument(LedgerTable):
    __tablename__ = "trusted_documents"

    hash: Mapped[str]
    name: Mapped[str]
    text: Mapped[str]
    registered_by_user_id: Mapped[int | None] = ref("User")
    registered_by_app_id: Mapped[int | None] = ref("App")
