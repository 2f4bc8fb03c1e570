"""The rules of identity: what grants add up to, what may be passed on, when an account is locked, what a value may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from db.actor import EVERYWHERE, NOWHERE, Ids, Scope
from db.refusal import Refused, ValidationFailed, detail, refusal

# --- refusals -----------------------------------------------------------------------------------------------------------


@refusal("NOT_SIGNED_IN", "The credentials or the token are not valid. It is never told which part was wrong.")
class NotSignedIn(Refused): ...


@refusal("SIGN_IN_LOCKED", "Too many failures for this account; sign-in is closed for a while.", retryable=True)
class SignInLocked(Refused):
    retry_after_seconds: int = detail("Seconds until another attempt is accepted.")


@refusal("WRONG_PASSWORD", "The current password is not the one given.")
class WrongPassword(Refused): ...


@refusal("RESET_TOKEN_INVALID", "The token for the new password is unknown, used or expired.")
class ResetTokenInvalid(Refused): ...


@refusal("EXCEEDS_OWN_RIGHTS", "The caller would pass on, or take over, rights that the caller does not hold there.")
class ExceedsOwnRights(Refused):
    permissions: list[str] = detail("Permissions the caller lacks at that place.")


@refusal("LAST_ADMINISTRATOR", "The organization would be left without an active administrator.")
class LastAdministrator(Refused): ...


@refusal("SYSTEM_ROLE", "System roles are the same in every organization and cannot be changed.")
class SystemRole(Refused): ...


REFUSALS: tuple[type[Refused], ...] = (
    NotSignedIn, SignInLocked, WrongPassword, ResetTokenInvalid, ExceedsOwnRights, LastAdministrator, SystemRole,
)  # fmt: skip

# --- grants and what they add up to --------------------------------------------------------------------------------------


class PlantType(StrEnum):
    FABRICATION = "fabrication"
    PRODUCTION = "production"
    ASSEMBLY = "assembly"


class DocumentPolicy(StrEnum):
    OPTIONAL = "optional"
    REQUIRED = "required"


class GrantLevel(StrEnum):
    ORGANIZATION = "organization"
    PLANT = "plant"
    DEPARTMENT = "department"


def level(plant: int | None, department: int | None) -> GrantLevel:
    if plant is None:
        return GrantLevel.ORGANIZATION
    return GrantLevel.PLANT if department is None else GrantLevel.DEPARTMENT


@dataclass(frozen=True, slots=True)
class Grant:
    """A role held at a place: the whole organization, a plant, or a department of a plant."""

    permissions: frozenset[str]
    plant: int | None = None
    department: int | None = None

    @property
    def scope(self) -> Scope:
        if self.plant is None:
            return EVERYWHERE
        if self.department is None:
            return Scope.of_plants([self.plant])
        return Scope.of_department(self.plant, self.department)


def effective(grants: Iterable[Grant]) -> dict[str, Scope]:
    """Every permission the grants give, with all places it holds in."""
    held: dict[str, Scope] = {}
    for grant in grants:
        for permission in grant.permissions:
            held[permission] = held.get(permission, NOWHERE) | grant.scope
    return held


def holds_at(scope: Scope | None, plant: int | None, department: int | None = None) -> bool:
    """Does a right reach a place as a whole: the organization (no plant), a plant, or a department."""
    if scope is None:
        return False
    return scope.whole_plants is None if plant is None else scope.covers_row(plant, department)


def lacking(held: Mapping[str, Scope], grants: Iterable[Grant]) -> list[str]:
    """Permissions in the grants that the holder does not hold at the grants' places."""
    return sorted(
        {p for grant in grants for p in grant.permissions if not holds_at(held.get(p), grant.plant, grant.department)}
    )


def must_hold(held: Mapping[str, Scope], grants: Iterable[Grant], path: tuple[str, ...]) -> None:
    """Nobody passes on, or takes over, what they do not hold themselves."""
    if missing := lacking(held, grants):
        raise ExceedsOwnRights("You do not hold these rights there yourself", path=path, permissions=missing)


@dataclass(frozen=True, slots=True)
class PlantAccess:
    """What a user may touch in a plant, whatever the roles say."""

    plant: int
    write: bool = False
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """The plants of a user or an app."""

    readable: Ids
    writable: Ids
    deletable: Ids


def reach(all_plants: bool, access: Iterable[PlantAccess]) -> Reach:
    if all_plants:
        return Reach(None, None, None)
    rows = list(access)
    return Reach(
        frozenset(row.plant for row in rows),
        frozenset(row.plant for row in rows if row.write),
        frozenset(row.plant for row in rows if row.delete),
    )


# --- lockout and passwords -----------------------------------------------------------------------------------------------

FREE_ATTEMPTS = 5
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(hours=1)
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1_000

REFRESH_TOKEN_LIFE = timedelta(days=14)
SESSION_LIFE = timedelta(days=90)
MAILED_RESET_LIFE = timedelta(hours=1)
HANDED_RESET_LIFE = timedelta(days=3)


def lockout(failed: int) -> timedelta | None:
    """How long an account is closed after so many failures: from the fifth on, twice as long each time."""
    if failed < FREE_ATTEMPTS:
        return None
    doublings = min(failed - FREE_ATTEMPTS, 20)
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)


def password(value: str, email: str, path: str) -> str:
    """Length is what makes a password strong; its owner's address is what is guessed first."""
    if len(value) < SHORTEST_PASSWORD:
        raise _refuse(f"At least {SHORTEST_PASSWORD} characters", path, f"minLength {SHORTEST_PASSWORD}")
    if len(value) > LONGEST_PASSWORD:
        raise _refuse(f"At most {LONGEST_PASSWORD} characters", path, f"maxLength {LONGEST_PASSWORD}")
    if value.casefold() in (email.casefold(), email.partition("@")[0].casefold()):
        raise _refuse("Not the e-mail address", path, "differsFromEmail")
    return value


# --- values ---------------------------------------------------------------------------------------------------------------

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
_HTTPS = re.compile(r"https://[^\s/?#@]+([/?#]\S*)?")


def _refuse(message: str, path: str, constraint: str) -> ValidationFailed:
    return ValidationFailed(message, path=(path,), constraint=constraint)


def email(value: str, path: str = "email") -> str:
    if len(value) > 255 or not _EMAIL.fullmatch(value):
        raise _refuse("An e-mail address, such as ada@acme.example", path, "email")
    return value


def locale(value: str, path: str = "locale") -> str:
    if not _LOCALE.fullmatch(value):
        raise _refuse("A language tag, such as de or pt-BR", path, "languageTag")
    return value


def color(value: str | None, path: str) -> str | None:
    if value is not None and not _COLOR.fullmatch(value):
        raise _refuse("A colour as #rrggbb", path, "hexColor")
    return value and value.lower()


def code(value: str, path: str = "code") -> str:
    if not _CODE.fullmatch(value):
        raise _refuse("Letters, digits, '.', '_' and '-', starting with a letter or digit", path, "code")
    return value


def logo_url(value: str | None, path: str = "logoUrl") -> str | None:
    """https only: the logo is shown on a page where passwords are typed."""
    if value is not None and (len(value) > 2048 or not _HTTPS.fullmatch(value)):
        raise _refuse("An https address", path, "httpsUrl")
    return value
