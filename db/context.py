"""The one place where a caller becomes settings of a transaction: what row-level security compares rows with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from db.actor import Actor, Ids, Scope

CONTEXT = (
    "with context as materialized (select set_config('app.org_id', $1, true)::integer as org,"
    " set_config('app.user_id', $2, true), set_config('app.app_id', $3, true), set_config('app.read_plants', $4, true),"
    " set_config('app.read_whole_plants', $5, true), set_config('app.read_departments', $6, true)) "
)
"""Makes one statement its caller's. What reads rows compares with `context.org`: it cannot begin before that is known, and
that is known when all of the caller's settings are made."""


CONTEXT_SETTINGS = 6


_PLAIN = re.compile(r"[A-Za-z0-9_.:, -]*")


def settings_of(actor: Actor, scope: Scope) -> tuple[str, ...]:
    """The parameters of `CONTEXT`."""
    return _parameters(actor.organization_id, actor.user_id, actor.app_id, scope)


@lru_cache(maxsize=10_000)
def _parameters(organization: int | None, user: int | None, app: int | None, scope: Scope) -> tuple[str, ...]:
    caller = ("" if id is None else str(int(id)) for id in (organization, user, app))
    return (*caller, *_plants("read", scope).values())


def settings_statement(actor: Actor, reads: Scope, writes: Scope, statement_timeout_ms: int) -> str:
    """What makes a transaction its caller's."""
    caller = _caller(actor.organization_id, actor.user_id, actor.app_id, reads, writes, statement_timeout_ms)
    return f"{caller}, set_config('app.request_id', {_quoted(actor.request_id or '')}, true)"


@lru_cache(maxsize=10_000)
def _caller(
    organization: int | None, user: int | None, app: int | None, reads: Scope, writes: Scope, statement_timeout_ms: int
) -> str:
    settings = {
        "app.org_id": "" if organization is None else str(int(organization)),
        "app.user_id": "" if user is None else str(int(user)),
        "app.app_id": "" if app is None else str(int(app)),
        **_plants("read", reads),
        **_plants("write", writes),
        "statement_timeout": str(int(statement_timeout_ms)),
    }
    return _settings(settings)


def scope_statement(scope: Scope) -> str:
    """Shows the rows of other plants to the rest of a transaction."""
    return _settings(_plants("read", scope))


@lru_cache(maxsize=10_000)
def _plants(verb: str, scope: Scope) -> Mapping[str, str]:
    return {
        f"app.{verb}_plants": _ids(scope.plants),
        f"app.{verb}_whole_plants": _ids(scope.whole_plants),
        f"app.{verb}_departments": _ids(scope.departments),
    }


def _ids(ids: Ids) -> str:
    return "all" if ids is None else ",".join(str(int(id)) for id in sorted(ids))


def _settings(settings: Mapping[str, str]) -> str:
    return "select " + ", ".join(f"set_config('{name}', {_quoted(value)}, true)" for name, value in settings.items())


def _quoted(value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise ValueError("a setting of the transaction is made of plain characters")
    return f"'{value}'"
