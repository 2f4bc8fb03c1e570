"""The rules of files: what an upload may be, and whether what arrived is what was announced."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

from db.refusal import InvalidTransition, Refused, ValidationFailed, detail, refusal

UPLOAD_LIFETIME = timedelta(hours=1)
DOWNLOAD_LIFETIME = timedelta(minutes=5)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD, _TAIL = 4_096, 65_536
_CONTROL = bytes(set(range(32)) - set(b"\t\n\f\r")) + b"\x7f"


class FileStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    QUARANTINED = "quarantined"
    DELETED = "deleted"


@refusal("UPLOAD_MISSING", "Nothing has been uploaded yet.", retryable=True)
class UploadMissing(Refused): ...


@refusal("UPLOAD_EXPIRED", "The upload was not confirmed in time; begin a new one.")
class UploadExpired(Refused):
    expired_at: datetime = detail("When its time was over.")


@refusal("UPLOAD_DIFFERS", "What arrived is not what was announced; upload it again before its time is over.")
class UploadDiffers(Refused):
    expected: str = detail("What was announced.")
    found: str = detail("What arrived.")


@refusal("FILE_TYPE_MISMATCH", "The content is not of the type that was announced; the file is in quarantine for good.")
class FileTypeMismatch(Refused):
    content_type: str = detail("Type that was announced.")


class Inspection:
    """What is found in a file while its bytes pass by."""

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self.tail = b""
        self.plain = True
        """Nothing but text so far: no control characters except for tabs and ends of lines and pages."""
        self._digest = hashlib.sha256()

    def __call__(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._digest.update(chunk)
        self.head = (self.head + chunk[:_HEAD])[:_HEAD]
        self.tail = (self.tail + chunk[-_TAIL:])[-_TAIL:]
        self.plain = self.plain and len(chunk.translate(None, _CONTROL)) == len(chunk)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


Sign = Callable[[Inspection], bool]


def _starts(*signatures: bytes) -> Sign:
    return lambda found: found.head.startswith(signatures)


def _media(*brands: bytes) -> Sign:
    """The ISO base media container, by its major brand."""
    return lambda found: found.head[4:8] == b"ftyp" and found.head[8:12] in brands


_zip = _starts(b"PK\x03\x04", b"PK\x05\x06")


def _office(part: bytes) -> Sign:
    """A zip whose directory, at its end, names the part all such documents have."""
    return lambda found: _zip(found) and part in found.tail


SIGNS: dict[str, Sign] = {
    "application/json": lambda found: found.plain and found.head.lstrip()[:1] in (b"{", b"["),
    "application/pdf": _starts(b"%PDF-"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _office(b"xl/workbook.xml"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": _office(b"word/document.xml"),
    "application/zip": _zip,
    "image/gif": _starts(b"GIF87a", b"GIF89a"),
    "image/heic": _media(b"heic", b"heix", b"heim", b"heis", b"mif1"),
    "image/jpeg": _starts(b"\xff\xd8\xff"),
    "image/png": _starts(b"\x89PNG\r\n\x1a\n"),
    "image/tiff": _starts(b"II*\x00", b"MM\x00*"),
    "image/vnd.dwg": _starts(b"AC10"),
    "image/vnd.dxf": lambda found: (
        found.head.startswith(b"AutoCAD Binary DXF") or (found.plain and b"SECTION" in found.head[:256])
    ),
    "image/webp": lambda found: found.head[:4] == b"RIFF" and found.head[8:12] == b"WEBP",
    "model/step": lambda found: found.plain and found.head.startswith(b"ISO-10303-21;"),
    "text/csv": lambda found: found.plain,
    "text/plain": lambda found: found.plain,
    "video/mp4": _media(b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"),
}
"""Types a file may be announced as, each with what its content must look like."""


def checked_filename(name: str) -> str:
    """A name as shown to people: never a path, one line."""
    if any(c in "/\\\n\t" for c in name) or name in (".", ".."):
        raise ValidationFailed("A name without a path, in one line", path=("filename",), constraint="filename")
    return name


def checked_sha256(value: str) -> str:
    if not _SHA256.fullmatch(value.lower()):
        raise ValidationFailed("SHA-256 as 64 hexadecimal digits", path=("sha256",), constraint="sha256")
    return value.lower()


def checked_size(size: int, most: int) -> int:
    if not 0 < size <= most:
        raise ValidationFailed(f"From 1 to {most} bytes", path=("size",), constraint=f"range 1 {most}")
    return size


def checked_type(content_type: str, allowed: list[str]) -> str:
    if content_type not in allowed:
        raise ValidationFailed(f"One of {', '.join(allowed)}", path=("contentType",), constraint="contentType")
    return content_type


def may_complete(status: FileStatus, expires_at: datetime | None, now: datetime) -> bool:
    """Is there anything left to confirm? A file that is ready already is confirmed by asking again."""
    if status is FileStatus.READY:
        return False
    if status is not FileStatus.PENDING or expires_at is None:
        raise InvalidTransition(
            "Only a pending upload can be confirmed", path=("id",),
            from_=status.name, to=FileStatus.READY.name, allowed=[],
        )  # fmt: skip
    if expires_at <= now:
        raise UploadExpired("The upload was not confirmed in time", path=("id",), expired_at=expires_at)
    return True


def check_size(size: int, found: int) -> None:
    if size != found:
        raise UploadDiffers("Another size than announced", path=("size",), expected=str(size), found=str(found))


def check_sha256(sha256: str, found: str) -> None:
    if sha256 != found:
        raise UploadDiffers("Other content than announced", path=("sha256",), expected=sha256, found=found)


def disposition(filename: str) -> str:
    """A browser saves it under its name and never shows it as a page (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
