"""Which media type a client wants to read, by its Accept header, and whether what it sent is JSON in UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
EVENTS = "text/event-stream"
HTML = "text/html"

LONGEST_KEPT = 256
"""What clients send is shorter. Longer headers are read each time, since nobody has signed in yet who fills the memory."""
MOST_KEPT = 1_000
MOST_ENTRIES = 100
"""Of an Accept header are read."""
T = TypeVar("T")


class Meanings(dict[bytes | None, T]):
    """What headers mean, by what they say: found without a function of ours being called."""

    def __init__(self, read: Callable[[str], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, header: bytes | None) -> T:
        meaning = self._read("" if header is None else header.decode("latin-1"))
        if header is None or len(header) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
            self[header] = meaning
        return meaning


def remembered(read: Callable[[str], T]) -> Callable[[bytes | None], T]:
    """What a header means, without reading it each time; one that is not there is an empty one."""
    return Meanings(read).__getitem__


@remembered
def accepted(header: str) -> str | None:
    """The best of the three media types; application/json for clients that say nothing; None if none will do."""
    if not header.strip():
        return JSON
    chosen, best = None, 0.0
    for entry in header.split(",", MOST_ENTRIES)[:MOST_ENTRIES]:
        media, quality = _entry(entry)
        offered = _offered(media)
        if offered and quality > best:
            chosen, best = offered, quality
    return chosen


def _offered(media: str) -> str | None:
    if media in (JSON, GRAPHQL, EVENTS):
        return media
    return JSON if media in ("*/*", "application/*") else EVENTS if media == "text/*" else None


def _entry(entry: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, max(0.0, min(1.0, float(value)))
            except ValueError:
                return media, 0.0
        if name.strip() == "charset" and value.strip('" ') not in ("utf-8", "utf8"):
            return media, 0.0
    return media, 1.0


@remembered
def wants_html(header: str) -> bool:
    """A browser's address bar: it names HTML before anything else."""
    return header.split(",", 1)[0].strip().lower() in (HTML, "application/xhtml+xml")


@remembered
def is_json(content_type: str) -> bool:
    """application/json, and no other charset than UTF-8."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media != JSON:
        return False
    charsets = [p.partition("=")[2].strip('" ') for p in parameters if p.partition("=")[0].strip() == "charset"]
    return all(charset in ("utf-8", "utf8") for charset in charsets)
