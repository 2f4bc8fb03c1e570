"""Kinds of causes scrap can have, for adding it up over reasons."""

from __future__ import annotations

from enum import StrEnum


class ScrapCategory(StrEnum):
    MATERIAL = "material"
    MACHINE = "machine"
    METHOD = "method"
    HANDLING = "handling"
    MEASUREMENT = "measurement"
    DESIGN = "design"
    OTHER = "other"
