"""From a verified token or key to an Actor: who it is, what it may do, and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from db.actor import EVERYWHERE, Actor, Scope
from db.session import Database, WriteTx

from . import catalogue, rules
from .sessions import tokens
from .sessions.tokens import TokenSigner

_PRINCIPAL = text("select auth.principal(:org, :user, :session, :now)")
_PRINCIPAL_OF_KEY = text("select auth.principal_of_key(:hash, :now)")


async def load_user_actor(
    db: Database, organization_id: int, user_id: int, session_id: str | None, *, now: datetime | None = None
) -> Actor | None:
    """The actor of an active user; None where the user is archived or the session has ended. Until a password that
    somebody else chose is changed, the user may do nothing but change it."""
    try:
        session = None if session_id is None else UUID(session_id)
    except ValueError:
        return None
    async with db.anonymous() as tx:
        found = await tx.scalar(
            _PRINCIPAL,
            {"org": organization_id, "user": user_id, "session": session, "now": now or datetime.now(UTC)},
        )
    if found is None:
        return None
    plants = rules.reach(found["all_plants"], _access(found))
    return Actor(
        organization_id,
        user_id=user_id,
        permissions={} if found["must_change"] else rules.effective(_grants(found)),
        readable=plants.readable,
        writable=plants.writable,
        deletable=plants.deletable,
        session_id=session_id,
    )


async def load_app_actor(db: Database, api_key: str, *, now: datetime | None = None) -> Actor | None:
    """The actor of an app's key; None where the key is unknown, revoked or expired, or its app archived."""
    if not api_key.startswith(tokens.KEY_PREFIX):
        return None
    async with db.anonymous() as tx:
        found = await tx.scalar(_PRINCIPAL_OF_KEY, {"hash": tokens.digest(api_key), "now": now or datetime.now(UTC)})
    if found is None:
        return None
    plant = found["plant"]
    scope, plants = (EVERYWHERE, None) if plant is None else (Scope.of_plants([plant]), frozenset({int(plant)}))
    expires = found["expires_at"]
    return Actor(
        found["organization"],
        app_id=found["app"],
        permissions={code: scope for code in found["scopes"] if code in catalogue.permissions()},
        readable=plants,
        writable=plants,
        deletable=plants,
        documents_required=found["documents"] == rules.DocumentPolicy.REQUIRED,
        expires_at=None if expires is None else datetime.fromisoformat(expires),
    )


async def issue_token_for(
    db: Database, signer: TokenSigner, organization_code: str | None, email: str, *, now: datetime | None = None
) -> str:
    """An access token without a password, for the operator who holds the server's secret anyway. LookupError where
    the address is unknown, or known in several organizations and none was named."""
    now = now or datetime.now(UTC)
    async with db.anonymous() as tx:
        found = await tx.rows(
            text("select * from auth.users_by_email(:organization, :email)"),
            {"organization": organization_code, "email": email},
        )
        if len(found) != 1:
            raise LookupError(
                f"no active user has the address {email}"
                if not found
                else f"{email} is in {len(found)} organizations: name one"
            )
        session = await _open_for_tool(tx, found[0].organization_id, found[0].user_id, now, signer.lifetime)
        return signer.issue(
            organization_id=found[0].organization_id, user_id=found[0].user_id, session_id=str(session), now=now
        )[0]


async def _open_for_tool(tx: WriteTx, organization_id: int, user_id: int, now: datetime, lifetime: timedelta) -> UUID:
    """A session like any other, so that it is listed and can be revoked; it cannot be refreshed."""
    session: UUID = await tx.scalar(
        text("select auth.session_open(:org, :user, :now, :expires, null, 'unison token')"),
        {"org": organization_id, "user": user_id, "now": now, "expires": now + lifetime},
    )
    return session


def grants_of(found: list[dict[str, Any]]) -> list[rules.Grant]:
    return [
        rules.Grant(catalogue.of_role(g["role"], g["system"], g["permissions"]), g["plant"], g["department"])
        for g in found
    ]


def _grants(principal: dict[str, Any]) -> list[rules.Grant]:
    return grants_of(principal["grants"])


def _access(principal: dict[str, Any]) -> list[rules.PlantAccess]:
    return [rules.PlantAccess(a["plant"], a["write"], a["delete"]) for a in principal["access"]]
