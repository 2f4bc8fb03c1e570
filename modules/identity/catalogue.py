"""The permissions of all modules, and which of them each role holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from db.refusal import ValidationFailed
from schema.permissions import ADMIN
from schema.registry import Permission, registered


def permissions() -> dict[str, Permission]:
    """Every permission by code, in the order of the modules."""
    return {code: permission for module in registered() for code, permission in module.permissions.items()}


def of_role(code: str, is_system: bool, own: Iterable[str]) -> frozenset[str]:
    """What a role holds: a system role what the modules say, an organization's own what it was given. A permission
    that no module declares any more is held by nobody."""
    known = permissions()
    if not is_system:
        return frozenset(own) & known.keys()
    return frozenset(c for c, permission in known.items() if code == ADMIN or code in permission.roles)


def checked(codes: Iterable[str], path: str) -> list[str]:
    """The codes, each once and in order; one that does not exist is refused."""
    wanted = list(codes)
    known: Mapping[str, Permission] = permissions()
    for index, code in enumerate(wanted):
        if code not in known:
            raise ValidationFailed("There is no such permission", path=(path, str(index)), constraint="knownPermission")
    return sorted(set(wanted))
