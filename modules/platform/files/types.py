"""The public types of files."""

from datetime import UTC, datetime

import strawberry

from modules.identity.public import App, Plant, User
from schema.context import Context
from schema.enums import public_enum
from schema.listing import Listing
from schema.node import Node, column, computed, node, to_one
from schema.scalars import BigInt

from . import rules
from .tables import File as Row

public_enum(
    rules.FileStatus,
    name="FileStatus",
    description="Where a file stands",
    values={
        "PENDING": "Announced; it is uploaded and confirmed before its time is over, or given up",
        "READY": "Its size, content and type were verified; it can be downloaded",
        "QUARANTINED": "Its content is not of the type that was announced; nobody can download it",
        "DELETED": "Taken away, its bytes too",
    },
)

FILES = Listing(
    Row,
    name="File",
    where={
        "filename": Row.filename,
        "contentType": Row.content_type,
        "sha256": Row.sha256,
        "status": Row.status,
        "plant": Row.plant_id,
        "uploadedByUser": Row.uploaded_by_user_id,
        "uploadedByApp": Row.uploaded_by_app_id,
        "createdAt": Row.created_at,
    },
    order_by={"CREATED_AT": Row.created_at, "FILENAME": Row.filename},
    default=("-CREATED_AT",),
)


@strawberry.type(description="A link that downloads a file; whoever has it needs nothing else")
class FileDownload:
    url: str = strawberry.field(description="To be requested by GET; it is saved under its name, never shown as a page")
    expires_at: datetime = strawberry.field(description="Until when it works")


@strawberry.type(description="A header of an HTTP request")
class HttpHeader:
    name: str = strawberry.field(description="Its name")
    value: str = strawberry.field(description="Its value")


@strawberry.type(description="A link that uploads a file; whoever has it needs nothing else")
class FileUpload:
    url: str = strawberry.field(description="To be requested by PUT, with the bytes of the file as the body")
    headers: list[HttpHeader] = strawberry.field(description="Headers to send along")
    expires_at: datetime = strawberry.field(description="Until when it works, and the upload can be confirmed")


def _download(
    context: Context, status: rules.FileStatus, key: str, filename: str, content_type: str
) -> FileDownload | None:
    if status is not rules.FileStatus.READY or context.storage is None:
        return None
    until = datetime.now(UTC) + rules.DOWNLOAD_LIFETIME
    url = context.storage.download_url(key, rules.DOWNLOAD_LIFETIME, filename=filename, content_type=content_type)
    return FileDownload(url=url, expires_at=until)


@node(Row, permission="files.read", description="A file in object storage; its content never changes")
class File(Node):
    filename: str = column(description="Its name, without a path")
    content_type: str = column(description="Its type, for example image/jpeg; verified once it is ready")
    size: BigInt = column(description="Its size in bytes; verified once it is ready")
    sha256: str = column(description="SHA-256 of its content in hexadecimal digits; verified once it is ready")
    status: rules.FileStatus = column(description="Where it stands")
    status_at: datetime = column(description="Since when")
    expires_at: datetime | None = column(description="Until when a pending upload can be confirmed")
    plant: Plant | None = to_one(Row.plant_id, description="Plant it belongs to; null for the whole organization")
    uploaded_by_user: User | None = to_one(Row.uploaded_by_user_id, description="User who uploaded it")
    uploaded_by_app: App | None = to_one(Row.uploaded_by_app_id, description="App that uploaded it")
    version: int = column(description="Counts the changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was announced")
    download: FileDownload | None = computed(
        _download, Row.status, Row.key, Row.filename, Row.content_type, in_context=True,
        description="A fresh link to its content for five minutes; null unless it is ready",
    )  # fmt: skip
