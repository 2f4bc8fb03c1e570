"""What a file may be, and what its content must look like."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from db.refusal import InvalidTransition, ValidationFailed
from modules.platform.files import rules
from modules.platform.files.rules import FileStatus, Inspection


def inspected(body: bytes, pieces: int = 1) -> Inspection:
    found = Inspection()
    step = max(1, len(body) // pieces)
    for start in range(0, len(body), step):
        found(body[start : start + step])
    return found


def office(part: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("docProps/app.xml", "x" * 10_000)
        archive.writestr(part, "<x/>")
    return out.getvalue()


SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LETTER = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SAMPLES = {
    "application/json": b' {"a": 1}',
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    SHEET: office("xl/workbook.xml"),
    LETTER: office("word/document.xml"),
    "application/zip": office("anything"),
    "image/gif": b"GIF89a\x01\x00",
    "image/heic": b"\x00\x00\x00\x18ftypheic\x00\x00",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "image/tiff": b"II*\x00\x08\x00",
    "image/vnd.dwg": b"AC1032\x00\x00",
    "image/vnd.dxf": b"  0\nSECTION\n  2\nHEADER\n",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "model/step": b"ISO-10303-21;\nHEADER;\n",
    "text/csv": "Stück;Menge\r\n1;2\r\n".encode(),
    "text/plain": "Grüße\n".encode("latin-1"),
    "video/mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00",
}


@pytest.mark.parametrize("name", rules.SIGNS)
def test_a_type_knows_its_own(name: str) -> None:
    for pieces in (1, 7):
        assert rules.SIGNS[name](inspected(SAMPLES[name], pieces))


@pytest.mark.parametrize("name", rules.SIGNS)
def test_a_program_is_no_type(name: str) -> None:
    assert not rules.SIGNS[name](inspected(b"\x7fELF\x02\x01\x01\x00" + bytes(64)))
    assert not rules.SIGNS[name](inspected(b"MZ\x90\x00\x03\x00"))


def test_a_picture_is_not_another_nor_text() -> None:
    png = inspected(SAMPLES["image/png"])
    assert [name for name, sign in rules.SIGNS.items() if sign(png)] == ["image/png"]
    assert not rules.SIGNS["text/plain"](inspected(b"text for long" * 9_000 + b"\x00"))
    assert not rules.SIGNS[SHEET](inspected(SAMPLES[LETTER]))


@pytest.mark.parametrize("name", ["a/b.png", "..\\x", "..", "a\nb", "a\tb"])
def test_a_filename_is_no_path(name: str) -> None:
    with pytest.raises(ValidationFailed):
        rules.checked_filename(name)


def test_what_may_be_announced() -> None:
    assert rules.checked_sha256("AB" * 32) == "ab" * 32
    assert rules.checked_size(10, 10) == 10
    for wrong in (0, -1, 11):
        with pytest.raises(ValidationFailed):
            rules.checked_size(wrong, 10)
    with pytest.raises(ValidationFailed):
        rules.checked_sha256("xyz")
    with pytest.raises(ValidationFailed):
        rules.checked_type("text/html", list(rules.SIGNS))


def test_only_what_is_pending_and_in_time_is_confirmed() -> None:
    now = datetime.now(UTC)
    later = now + timedelta(seconds=1)
    assert rules.may_complete(FileStatus.PENDING, later, now)
    assert not rules.may_complete(FileStatus.READY, None, now)
    with pytest.raises(rules.UploadExpired):
        rules.may_complete(FileStatus.PENDING, now, now)
    for status in (FileStatus.QUARANTINED, FileStatus.DELETED):
        with pytest.raises(InvalidTransition):
            rules.may_complete(status, None, now)


def test_a_name_is_kept_in_a_header() -> None:
    assert rules.disposition('Riß "3".png') == (
        "attachment; filename=\"Ri_ _3_.png\"; filename*=UTF-8''Ri%C3%9F%20%223%22.png"
    )
