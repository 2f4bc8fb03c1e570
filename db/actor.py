"""Who is asking, and where their rights hold. Pure values; PostgreSQL decides rows by what stands here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Literal, TypeAlias

Ids: TypeAlias = frozenset[int] | None
"""A set of ids; None is every id."""


def _both(a: Ids, b: Ids) -> Ids:
    return b if a is None else a if b is None else a & b


def _either(a: Ids, b: Ids) -> Ids:
    return None if a is None or b is None else a | b


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a right holds: plants it touches at all, plants it holds in for every department, single departments."""

    plants: Ids
    whole_plants: Ids
    departments: Ids = frozenset()

    @classmethod
    def of_plants(cls, plants: Iterable[int]) -> Scope:
        ids = frozenset(plants)
        return cls(ids, ids)

    @classmethod
    def of_department(cls, plant: int, department: int) -> Scope:
        return cls(frozenset({plant}), frozenset(), frozenset({department}))

    def __or__(self, other: Scope) -> Scope:
        return Scope(
            _either(self.plants, other.plants),
            _either(self.whole_plants, other.whole_plants),
            _either(self.departments, other.departments),
        )._simply

    def within(self, plants: Ids) -> Scope:
        """The part of this scope that lies in the given plants. Departments need no cut: a row's plant is asked first."""
        if plants is None:
            return self
        return Scope(_both(self.plants, plants), _both(self.whole_plants, plants), self.departments)._simply

    @property
    def _simply(self) -> Scope:
        """Departments say nothing where every plant is held as a whole: what shows the same is equal."""
        if self.plants is None or self.whole_plants is None or not self.plants <= self.whole_plants:
            return self
        return Scope(self.plants, self.whole_plants)

    def covers_plant(self, plant: int | None) -> bool:
        return plant is None or self.plants is None or plant in self.plants

    def covers_row(self, plant: int | None, department: int | None) -> bool:
        if not self.covers_plant(plant):
            return False
        if plant is None or self.whole_plants is None or plant in self.whole_plants:
            return True
        return department is not None and (self.departments is None or department in self.departments)


MOST_SEEN = 200
EVERYWHERE: Final = Scope(None, None, None)
NOWHERE: Final = Scope(frozenset(), frozenset())

Access: TypeAlias = Literal["write", "delete"]


@dataclass(frozen=True)
class Actor:
    """A verified caller: a user or an app of one organization, or nobody yet."""

    organization_id: int | None
    user_id: int | None = None
    app_id: int | None = None
    permissions: Mapping[str, Scope] = field(default_factory=dict)
    readable: Ids = frozenset()
    writable: Ids = frozenset()
    deletable: Ids = frozenset()
    request_id: str | None = None
    session_id: str | None = None
    expires_at: datetime | None = None
    client_ip: str | None = None
    documents_required: bool = False
    """May send trusted documents only."""
    _seen: dict[frozenset[str | None], Scope | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `sees` found out, for all requests of the caller."""

    @property
    def signed_in(self) -> bool:
        return self.organization_id is not None

    @cached_property
    def principal(self) -> str:
        """A stable name for receipts, limits and logs: `user:7`, `app:3` or `anonymous`."""
        if self.user_id is not None:
            return f"user:{self.user_id}"
        return f"app:{self.app_id}" if self.app_id is not None else "anonymous"

    def asking(self, request_id: str | None, client_ip: str | None) -> Actor:
        """The same caller with a request; every request comes here, and `dataclasses.replace` takes ten times as long."""
        asking = object.__new__(Actor)
        asking.__dict__.update(self.__dict__, principal=self.principal, request_id=request_id, client_ip=client_ip)
        return asking

    def sees(self, permissions: frozenset[str | None]) -> Scope | None:
        """The plants whose rows one statement may show under all of these permissions; None where one is not held, or where
        they hold in different plants."""
        if permissions not in self._seen:
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            scopes = {self.read_scope(one) for one in permissions}
            held = all(one is None or self.may(one) for one in permissions)
            self._seen[permissions] = scopes.pop() if held and len(scopes) == 1 else None
        return self._seen[permissions]

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def read_scope(self, permission: str | None) -> Scope:
        """Plants whose rows the caller sees under a permission; None asks for plant access alone."""
        held = EVERYWHERE if permission is None else self.permissions.get(permission, NOWHERE)
        return held.within(self.readable)

    def write_scope(self, permission: str | None, access: Access = "write") -> Scope:
        """Plants whose rows the caller may change under a permission."""
        held = EVERYWHERE if permission is None else self.permissions.get(permission, NOWHERE)
        return held.within(self.readable).within(self.deletable if access == "delete" else self.writable)


ANONYMOUS: Final = Actor(None)
