"""Root fields of files."""

from datetime import UTC, datetime
from typing import Any

import strawberry

from db.refusal import Refused
from db.session import WriteTx
from schema.checks import text
from schema.context import Info
from schema.faults import Fault
from schema.fields import events, listing, lookup, mutation
from schema.ids import key, key_or_none
from schema.inputs import IDEMPOTENCY, VersionInput
from schema.payload import Payload, payload, result
from schema.scalars import BigInt

from . import service, tables
from .storage import FileStorage
from .types import FILES, File, FileUpload, HttpHeader

file = lookup(File, description="One file by its id; null when unknown")
files = listing(File, FILES, description="Files the caller may see, newest first; deleted ones included")
file_events = events(File, FILES, description="Files as they change")


@strawberry.input(description="A file to upload")
class UploadCreateInput:
    filename: str = strawberry.field(description="Its name without a path; at most 255 characters")
    size: BigInt = strawberry.field(description="Its size in bytes")
    sha256: str = strawberry.field(description="SHA-256 of its content in 64 hexadecimal digits")
    content_type: str = strawberry.field(description="Its type, for example image/jpeg; its content must be of it")
    plant_id: strawberry.ID | None = strawberry.field(
        description="Plant it belongs to; without one it belongs to the whole organization", default=None
    )


@strawberry.input(description="An upload to confirm")
class UploadCompleteInput:
    id: strawberry.ID = strawberry.field(description="The file")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)


@strawberry.input(description="A file to delete")
class FileDeleteInput(VersionInput):
    of = "File"


@payload(description="A file that can be uploaded now")
class UploadPayload(Payload):
    file: File | None = result(description="The file, pending; null when refused")
    upload: FileUpload | None = result(description="Where its bytes go; null when refused")


@payload(description="A file after a change")
class FilePayload(Payload):
    file: File | None = result(description="The file; null when refused")


@mutation(service.UPLOAD, UploadPayload, description="Announce a file and get a link to upload it by")
async def upload_create(tx: WriteTx, input: UploadCreateInput, info: Info, now: datetime) -> dict[str, Any]:
    storage = _storage(info)
    input.filename = text(input.filename, "filename")
    plant = key_or_none("Plant", input.plant_id, "plantId")
    made = await service.announce(tx, input, plant_id=plant, now=now)
    assert made.expires_at is not None
    upload = FileUpload(
        url=storage.upload_url(made.key, made.expires_at - now),
        headers=[HttpHeader(name="Content-Type", value=made.content_type)],
        expires_at=made.expires_at,
    )
    return {"file": made, "upload": upload}


async def _arrived(info: Info, input: UploadCompleteInput) -> service.Arrived | None:
    storage = _storage(info)
    async with info.context.read(service.UPLOAD) as tx:
        pending = await service.to_confirm(tx, key("File", input.id), now=datetime.now(UTC))
    await info.context.renew()  # no transaction stays open while the object is read
    return None if pending is None else await service.inspect(storage, pending)


@mutation(
    service.UPLOAD, FilePayload, before=_arrived,
    description="Confirm an upload: size, SHA-256 and type of what arrived are verified. What is ready stays as it is",
)  # fmt: skip
async def upload_complete(
    tx: WriteTx, input: UploadCompleteInput, prepared: service.Arrived | None, info: Info, now: datetime
) -> tables.File | Refused:
    outcome, useless = await service.confirm(tx, key("File", input.id), prepared, now=now)
    info.context.afterwards(lambda: _storage(info).discard(*useless))
    return outcome


@mutation(service.DELETE, FilePayload, access="delete", description="Delete a file, its bytes too")
async def file_delete(tx: WriteTx, input: FileDeleteInput, info: Info, now: datetime) -> tables.File:
    deleted = await service.delete(tx, input.key, version=input.expected_version, now=now)
    if info.context.storage is not None:
        info.context.afterwards(lambda: _storage(info).discard(deleted.key))
    return deleted


def _storage(info: Info) -> FileStorage:
    storage: Any = info.context.storage
    if storage is None:
        raise Fault("SERVICE_UNAVAILABLE", "No object storage is set up here", retryable=False)
    found: FileStorage = storage
    return found
