"""The rules of platform: how a number is written, and what values a setting takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from db.refusal import ValidationFailed, VersionConflict

# --- numbers --------------------------------------------------------------------------------------------------------------

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,49}")
_PREFIX = re.compile(r"[A-Za-z0-9./_-]{0,20}")


@dataclass(frozen=True, slots=True)
class DocumentType:
    """A kind of document that is numbered. A module lists its own among the settings of its manifest."""

    code: str
    prefix: str
    description: str
    padding: int = 6
    yearly: bool = True


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the numbers of a document type are written."""

    prefix: str
    padding: int
    yearly: bool


def default_scheme(code: str, declared: DocumentType | None) -> Scheme:
    """The declared scheme; of an undeclared type, its initials."""
    if declared is not None:
        return Scheme(declared.prefix, declared.padding, declared.yearly)
    if not _TYPE.fullmatch(code):
        raise ValueError(f"{code!r} is not the code of a document type")
    return Scheme("".join(word[0] for word in code.split("_") if word).upper(), 6, True)


def number(scheme: Scheme, year: int, count: int) -> str:
    """A number as people read it. A count wider than its padding is never cut."""
    digits = f"{count:0{scheme.padding}d}"
    return "-".join(part for part in (scheme.prefix, f"{year:04d}" if scheme.yearly else "", digits) if part)


def checked_scheme(prefix: str, padding: int, yearly: bool) -> Scheme:
    if not _PREFIX.fullmatch(prefix):
        raise _refuse("At most 20 letters, digits, '.', '/', '_' or '-'", "prefix", "prefix")
    if not 1 <= padding <= 12:
        raise _refuse("From 1 to 12", "padding", "range 1 12")
    return Scheme(prefix, padding, yearly)


# --- settings -------------------------------------------------------------------------------------------------------------


class SettingType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"


Value: TypeAlias = str | int | Decimal | bool | None
V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingKey:
    """A setting a module offers. It lists them in its manifest and reads them with `get_setting`."""

    key: str
    type: SettingType
    default: Value
    description: str
    sensitive: bool = False
    """Write-only: neither a query nor the audit trail shows the value."""
    choices: tuple[str, ...] = ()
    least: Decimal | int | None = None
    most: Decimal | int | None = None
    check: Callable[[Any], bool] | None = None
    """A further condition, named in the description."""


_PYTHON: dict[SettingType, type] = {
    SettingType.TEXT: str, SettingType.INTEGER: int, SettingType.DECIMAL: Decimal, SettingType.BOOLEAN: bool,
}  # fmt: skip


def checked(setting: SettingKey, given: V, path: str = "value") -> V:
    """A value the setting takes, or a refusal that names the rule."""
    value: Any = given
    if type(value) is not _PYTHON[setting.type]:  # not isinstance: True is not a number here
        raise _refuse(f"The setting takes a value of type {setting.type}", path, f"type {setting.type}")
    if isinstance(value, str) and len(value) > 4_000:
        raise _refuse("At most 4,000 characters", path, "maxLength 4000")
    if setting.choices and value not in setting.choices:
        raise _refuse(f"One of {', '.join(setting.choices)}", path, "choice")
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if setting.least is not None and value < setting.least:
            raise _refuse(f"At least {setting.least}", path, f"minimum {setting.least}")
        if setting.most is not None and value > setting.most:
            raise _refuse(f"At most {setting.most}", path, f"maximum {setting.most}")
    if setting.check is not None and not setting.check(value):
        raise _refuse(setting.description, path, "check")
    return given


def to_json(value: Value) -> Any:
    """Decimals as text: JSON numbers would not keep their digits."""
    return str(value) if isinstance(value, Decimal) else value


def from_json(setting: SettingKey, stored: Any) -> Value:
    """The stored value; the default where the setting's type has changed since."""
    if setting.type is SettingType.DECIMAL and isinstance(stored, str):
        try:
            return Decimal(stored)
        except InvalidOperation:
            return setting.default
    fits = type(stored) is _PYTHON[setting.type]
    return stored if fits else setting.default


def same_version(current: int, expected: int) -> None:
    """What was never set has version 0."""
    if current != expected:
        raise VersionConflict("It was changed since you read it", path=("expectedVersion",), current=current)


def _refuse(message: str, path: str, constraint: str) -> ValidationFailed:
    return ValidationFailed(message, path=(path,), constraint=constraint)
