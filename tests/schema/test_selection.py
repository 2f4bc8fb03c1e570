"""What the loaders select of a type: every column its fields need, also of fields that other modules add."""

from __future__ import annotations

from typing import Any

from schema.node import Declared, column
from tests.schema.widgets import BoxRow


def test_a_type_that_is_extended_selects_what_was_added() -> None:
    declared = Declared("Box", BoxRow, None, {"id": BoxRow.id})
    assert list(declared.selection.selected_columns.keys()) == ["id"]
    added: Any = column(BoxRow.code, description="Its code")
    declared.add([added])
    assert list(declared.selection.selected_columns.keys()) == ["id", "code"]
    assert declared.selection is declared.selection, "it is written once"
