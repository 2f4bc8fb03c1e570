"""Patches: an absent field leaves the value, null clears it."""

from __future__ import annotations

from typing import Any

from strawberry import Some

from db.refusal import ValidationFailed


def changes(input: Any, *names: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The provided `Maybe` fields of an input by name; those in `required` may not be cleared."""
    given: dict[str, Any] = {}
    for name in names:
        maybe = getattr(input, name)
        if not isinstance(maybe, Some):
            continue
        if maybe.value is None and name in required:
            head, *rest = name.split("_")
            path = head + "".join(part.capitalize() for part in rest)
            raise ValidationFailed("This may not be empty", path=(path,), constraint="required")
        given[name] = maybe.value
    return given
