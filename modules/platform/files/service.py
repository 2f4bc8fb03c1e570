"""What can be done with files. Object storage is asked while no transaction is open.

A pending upload lies under a key its uploader has a signed URL for. What is confirmed is a copy under a key nobody ever
got such a URL for: what was verified cannot be exchanged afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from db.refusal import InvalidTransition, NotPermitted, Refused
from db.session import ReadTx, WriteTx
from modules.identity.public import PlantRow, require_everywhere

from . import rules, settings
from .rules import FileStatus
from .storage import FileStorage, new_key
from .tables import File

UPLOAD: Final = "files.upload"
DELETE: Final = "files.delete"


class Announced(Protocol):
    """What is said of a file before its bytes come."""

    @property
    def filename(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def content_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """A copy of what was uploaded, found to be of the announced size and content."""

    key: str
    fits: bool
    """Its content looks like its type."""


async def announce(tx: WriteTx, given: Announced, *, plant_id: int | None, now: datetime) -> File:
    """Take up an upload; until it is confirmed the file is pending."""
    await _check_place(tx, plant_id)
    file = tx.add(
        File(
            plant_id=plant_id,
            key=new_key(tx.org),
            filename=rules.checked_filename(given.filename),
            content_type=rules.checked_type(given.content_type, await settings.types(tx)),
            size=rules.checked_size(given.size, await settings.largest(tx)),
            sha256=rules.checked_sha256(given.sha256),
            status=FileStatus.PENDING,
            status_at=now,
            expires_at=now + rules.UPLOAD_LIFETIME,
            uploaded_by_user_id=tx.actor.user_id,
            uploaded_by_app_id=tx.actor.app_id,
        )
    )
    await tx.flush()
    return file


async def to_confirm(tx: ReadTx, file_id: int, *, now: datetime) -> File | None:
    """The pending upload; nothing where the file is ready already."""
    file = await tx.found(File, file_id)
    return file if rules.may_complete(file.status, file.expires_at, now) else None


async def inspect(storage: FileStorage, file: File) -> Arrived:
    """Copy what was uploaded to where nobody can change it, and read it there. Refuses another size or content."""
    size = await storage.size(file.key)
    if size is None:
        raise rules.UploadMissing("Nothing has been uploaded yet", path=("id",))
    rules.check_size(file.size, size)
    kept = new_key(file.organization_id)
    if not await storage.copy(file.key, kept):
        raise rules.UploadMissing("Nothing has been uploaded yet", path=("id",))
    found = rules.Inspection()
    try:
        await storage.read(kept, found, most=file.size)
        rules.check_size(file.size, found.size)
        rules.check_sha256(file.sha256, found.sha256)
    except Refused:
        await storage.discard(kept)
        raise
    return Arrived(kept, rules.SIGNS[file.content_type](found))


async def confirm(
    tx: WriteTx, file_id: int, arrived: Arrived | None, *, now: datetime
) -> tuple[File | Refused, list[str]]:
    """Make the upload a file, or put it into quarantine. Answers also the keys that are of no use from here on."""
    file = await tx.locked(File, file_id)
    if not rules.may_complete(file.status, file.expires_at, now) or arrived is None:
        return file, [arrived.key] if arrived else []
    announced, file.key = file.key, arrived.key
    file.status = FileStatus.READY if arrived.fits else FileStatus.QUARANTINED
    file.status_at, file.expires_at = now, None
    await tx.flush()
    if arrived.fits:
        return file, [announced]
    mismatch = rules.FileTypeMismatch(
        f"The content is not {file.content_type}", path=("id",), content_type=file.content_type
    )
    return mismatch, [announced]


async def delete(tx: WriteTx, file_id: int, *, version: int, now: datetime) -> File:
    """Take a file away for good; its row stays and says so, its bytes go."""
    file = await tx.locked(File, file_id, version=version)
    if file.plant_id is None:
        require_everywhere(tx, DELETE, path=("id",))
    if file.status is FileStatus.DELETED:
        raise InvalidTransition(
            "It is deleted already", path=("id",), from_=file.status.name, to=FileStatus.DELETED.name, allowed=[]
        )
    file.status, file.status_at, file.expires_at = FileStatus.DELETED, now, None
    await tx.flush()
    return file


async def _check_place(tx: WriteTx, plant_id: int | None) -> None:
    """A file without a plant is seen in all of them, so it takes the right in the whole organization."""
    if plant_id is None:
        require_everywhere(tx, UPLOAD, path=("plantId",))
        return
    await tx.found(PlantRow, plant_id, path=("plantId",))
    if not tx.actor.write_scope(UPLOAD).covers_plant(plant_id):
        raise NotPermitted("You may not upload files there", path=("plantId",))
