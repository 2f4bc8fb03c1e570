"""What holds for the master data of machines."""

from __future__ import annotations

import re

from db.refusal import ValidationFailed

_CURRENCY = re.compile(r"[A-Z]{3}")


def currency(code: str, path: str) -> str:
    """A currency's code, or a refusal."""
    if not _CURRENCY.fullmatch(code):
        raise ValidationFailed("Three capital letters, such as EUR", path=tuple(path.split(".")), constraint="ISO 4217")
    return code
