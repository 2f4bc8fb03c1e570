"""Rows of files. The bytes are in object storage under `key`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped

from db.base import TenantTable, enum, ref

from .rules import FileStatus


class File(TenantTable):
    __tablename__ = "files"

    plant_id: Mapped[int | None] = ref("Plant")
    key: Mapped[str]
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    status: Mapped[FileStatus] = enum(FileStatus)
    status_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    uploaded_by_user_id: Mapped[int | None] = ref("User")
    uploaded_by_app_id: Mapped[int | None] = ref("App")
