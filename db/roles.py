"""The three roles of a Unison database, and the URLs to connect as each."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import Connection, make_url

OWNER = "unison_owner"
APP = "unison_app"
EVENTS = "unison_events"


def app_url(url: str, secret_key: str) -> str:
    """URL of the role that serves requests: it owns nothing and is held by row-level security."""
    return _as_role(url, secret_key, APP)


def events_url(url: str, secret_key: str) -> str:
    """URL of the role of hub and relay: it may call the functions of schema ev, nothing else."""
    return _as_role(url, secret_key, EVENTS)


def ensure_roles(connection: Connection, secret_key: str) -> None:
    """Create the roles, or bring them up to date; needs CREATEROLE, not superuser. One that is up to date is not
    touched: roles are shared by all databases of a server, and writing them collides with a neighbour's writing."""
    _ensure(connection, OWNER, "nologin", None)
    for role in (APP, EVENTS):
        _ensure(connection, role, "login", _password(secret_key, role))
    may_become = connection.exec_driver_sql(f"select pg_has_role(current_user, '{OWNER}', 'set')").scalar_one()
    if not may_become:
        connection.exec_driver_sql(f"grant {OWNER} to current_user with inherit false, set true")


def _ensure(connection: Connection, role: str, login: str, password: str | None) -> None:
    attributes = f"{login} nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
    wanted = f"unison: {hashlib.sha256(f'{attributes} {password}'.encode()).hexdigest()[:16]}"
    known = connection.exec_driver_sql(
        "select coalesce(shobj_description(oid, 'pg_authid'), '') from pg_roles where rolname = $1", (role,)
    ).scalar_one_or_none()
    if known == wanted:
        return
    if known is None:
        connection.exec_driver_sql(f"create role {role} {login}")
    secret = f" password '{password}'" if password else ""
    if _is_superuser(connection):
        connection.exec_driver_sql(f"alter role {role} {attributes}{secret}")
    else:  # only a superuser may even say nosuperuser; the role was made without
        connection.exec_driver_sql(f"alter role {role} {login}{secret}")
    if login == "login":
        connection.exec_driver_sql(f"alter role {role} set idle_in_transaction_session_timeout = '60s'")
    connection.exec_driver_sql(f"comment on role {role} is '{wanted}'")


def _is_superuser(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("select rolsuper from pg_roles where rolname = current_user").scalar_one())


def _password(secret_key: str, role: str) -> str:
    return hmac.new(secret_key.encode(), role.encode(), hashlib.sha256).hexdigest()


def _as_role(url: str, secret_key: str, role: str) -> str:
    as_role = make_url(url).set(drivername="postgresql", username=role, password=_password(secret_key, role))
    return as_role.render_as_string(hide_password=False)
