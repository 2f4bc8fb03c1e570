"""Text from outside as one line, as paragraphs, and in templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from modules import MODULES
from modules.platform.notifications import rules, texts
from schema.registry import NotificationKind


@given(st.text())
def test_a_line_is_one_line(text: str):
    line = rules.one_line(text)
    assert len(line) <= rules.MOST_TITLE
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert rules.one_line(line) == line


@given(st.text())
def test_paragraphs_keep_only_line_breaks(text: str):
    body = rules.paragraphs(text)
    assert len(body) <= rules.MOST_BODY
    assert body.splitlines() == body.split("\n") or body == ""


def test_what_is_too_long_says_so():
    assert rules.one_line("a" * 300) == "a" * 199 + "…"


def test_a_fact_is_text_and_never_a_template():
    kind = NotificationKind(description="x", title="{{ a }}", body="{{ a }}\n{{ b }}")
    assert texts.rendered(kind, {"a": "{{ 7 * 7 }}", "b": "<i>"}) == ("{{ 7 * 7 }}", "{{ 7 * 7 }}\n<i>")


def test_a_missing_fact_is_a_mistake():
    with pytest.raises(UndefinedError):
        texts.rendered(NotificationKind(description="x", title="{{ a }}", body=""), {})


def test_templates_reach_nothing():
    kind = NotificationKind(description="x", title="{{ a.__class__.__mro__ }}", body="")
    with pytest.raises(SecurityError):
        texts.rendered(kind, {"a": 1})


def test_kinds_are_described_and_named_by_their_module():
    kinds = {kind: (module, declared) for module in MODULES for kind, declared in module.notifications.items()}
    assert len(kinds) >= 4
    for kind, (module, declared) in kinds.items():
        assert kind.startswith(f"{module.name}.")
        assert declared.description
        assert declared.title
