"""The words of notifications, and how text that comes from outside is made fit for a line or a paragraph."""

from __future__ import annotations

import unicodedata
from enum import StrEnum

MOST_TITLE = 200
MOST_BODY = 4_000
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Characters that break lines, turn the writing direction or show nothing: a name has no use for them."""


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Channel(StrEnum):
    IN_APP = "in_app"
    EMAIL = "email"


def one_line(text: str, most: int = MOST_TITLE) -> str:
    """Text as one line: nothing in it ends a header or begins another."""
    plain = "".join(" " if unicodedata.category(c) in UNSEEN else c for c in text)
    return _cut(" ".join(plain.split()), most)


def paragraphs(text: str, most: int = MOST_BODY) -> str:
    """Text of several lines, without other control characters."""
    lines = (one_line(line, most) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return _cut("\n".join(lines).strip("\n"), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
