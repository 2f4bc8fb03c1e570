"""Templates: the words of a kind over the facts of an occasion, and the parts of a mail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from schema.registry import NotificationKind

from . import rules

# What is rendered here is plain text: it is escaped where it enters HTML, by _MAILS.
_WORDS = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
_MAILS = ImmutableSandboxedEnvironment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=lambda name: name is not None and name.endswith(".html"),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@cache
def _template(source: str) -> Template:
    return _WORDS.from_string(source)


def rendered(kind: NotificationKind, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Title and body. A fact the template names and nobody gave is a mistake in the code."""
    title = rules.one_line(_template(kind.title).render(facts))
    return title, rules.paragraphs(_template(kind.body).render(facts))


def mail_parts(template: str, /, **values: Any) -> tuple[str, str]:
    """A mail as text and as HTML, in which every value is escaped."""
    return _MAILS.get_template(f"{template}.txt").render(values), _MAILS.get_template(f"{template}.html").render(values)
