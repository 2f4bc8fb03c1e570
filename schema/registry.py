"""What a module gives to the house: its manifest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

from db.refusal import Refused
from schema.fields import RootField
from schema.permissions import ADMIN, EVERY_ROLE
from schema.work import Handler, Schedule


@dataclass(frozen=True)
class Permission:
    """A right a root field, a type or a field asks for."""

    description: str
    roles: frozenset[str]
    """System roles that hold it; the administrator always does."""

    def __init__(self, description: str, roles: Iterable[str] = ()) -> None:
        if unknown := set(roles) - EVERY_ROLE:
            raise ValueError(f"unknown system roles {unknown}")
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "roles", frozenset(roles) | {ADMIN})


@dataclass(frozen=True, kw_only=True)
class NotificationKind:
    """Something people are told of. Title and body are templates over the facts of the occasion; the channels are those of
    who has not chosen otherwise."""

    description: str
    title: str
    body: str
    severity: Literal["info", "warning", "critical"] = "info"
    in_app: bool = True
    email: bool = False


@dataclass(frozen=True, kw_only=True)
class Module:
    name: str
    depends_on: Sequence[str] = ()
    graph: ModuleType | None = None
    """Its root fields are those of the schema, named as they stand there."""
    types: Sequence[type] = ()
    """Object types only reached through `node(id)` or an interface."""
    permissions: Mapping[str, Permission] = field(default_factory=dict)
    refusals: Sequence[type[Refused]] = ()
    extends: Mapping[type, type] = field(default_factory=dict)
    """Fields this module adds to a type of a module it depends on."""
    settings: Sequence[Any] = ()
    """Typed settings of the module; platform reads them."""
    jobs: Mapping[str, Handler] = field(default_factory=dict)
    """Handlers of jobs by kind; a kind starts with the module's name."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """Recurring work by code; a code starts with the module's name."""
    notifications: Mapping[str, NotificationKind] = field(default_factory=dict)
    """What people are told of, by kind; a kind starts with the module's name."""
    demo: Callable[[Any], Awaitable[None]] | None = None
    """Contributes to the demo factory."""

    def root_fields(self) -> dict[str, RootField]:
        found = vars(self.graph) if self.graph is not None else {}
        return {name: field for name, field in found.items() if isinstance(field, RootField)}


_REGISTERED: list[Module] = []


def register(modules: Sequence[Module]) -> None:
    """Make the manifests known to the modules that serve all others: permissions to identity, settings to platform."""
    _REGISTERED[:] = modules


def registered() -> Sequence[Module]:
    """The manifests of the running house, lowest first."""
    return _REGISTERED
