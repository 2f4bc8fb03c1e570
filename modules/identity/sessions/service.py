"""Signing in and staying signed in. Refusals that must be remembered are returned, so that they are committed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, TextClause, text

from db.refusal import NotFound, NotPermitted, Refused
from db.session import ReadTx, WriteTx
from modules.identity import rules
from schema import checks

from . import passwords, tokens

NOT_SIGNED_IN = "Organization, e-mail address or password is not right"
SESSION_ENDED = "The session has ended; sign in again"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just been opened or continued."""

    organization_id: int
    user_id: int
    session_id: str
    refresh_token: str
    must_change_password: bool = False


async def sign_in(
    tx: WriteTx, *, organization: str, email: str, password: str, device: str | None, now: datetime
) -> Opened | Refused:
    """A session for the right password. Every failure counts, also for accounts that do not exist."""
    organization = checks.text(organization, "organization", max=100)
    email = checks.text(email, "email")
    device = checks.optional_text(device, "device")
    account = await _one(tx, _BEGIN, organization=organization, email=email, now=now)
    if account.locked_until is not None and account.locked_until > now:
        return _locked(account.locked_until, now)
    if not await passwords.matches(account.password_hash, password):
        wait = rules.lockout(account.failed + 1)
        await tx.execute(_FAILED, {"account": account.account, "until": None if wait is None else now + wait})
        return rules.NotSignedIn(NOT_SIGNED_IN)
    await tx.execute(_CLEARED, {"account": account.account})
    if passwords.outdated(account.password_hash):
        fresh = await passwords.hashed(password)
        await tx.execute(
            _REHASHED,
            {"org": account.organization_id, "user": account.user_id, "old": account.password_hash, "new": fresh},
        )
    return await open_session(
        tx, account.organization_id, account.user_id, device=device, now=now, must_change=account.must_change
    )


async def open_session(
    tx: WriteTx, organization_id: int, user_id: int, *, device: str | None, now: datetime, must_change: bool = False
) -> Opened:
    """A new session with its first refresh token."""
    secret = tokens.new_secret(tokens.REFRESH_PREFIX)
    session: UUID | None = await tx.scalar(
        _OPEN,
        {
            "org": organization_id, "user": user_id, "now": now, "expires": now + rules.SESSION_LIFE,
            "ip": tx.actor.client_ip, "device": device, "hash": tokens.digest(secret),
            "token_expires": now + rules.REFRESH_TOKEN_LIFE,
        },
    )  # fmt: skip
    if session is None:
        raise rules.NotSignedIn(NOT_SIGNED_IN)
    return Opened(organization_id, user_id, str(session), secret, must_change)


async def refresh(tx: WriteTx, *, refresh_token: str, now: datetime) -> Opened | Refused:
    """The successor of a refresh token. A token used twice was stolen from one of the two: the session ends."""
    secret = tokens.new_secret(tokens.REFRESH_PREFIX)
    found = await _one(
        tx, _REFRESH, hash=tokens.digest(refresh_token), next=tokens.digest(secret), now=now,
        expires=now + rules.REFRESH_TOKEN_LIFE,
    )  # fmt: skip
    if found.outcome != "refreshed":
        return rules.NotSignedIn(SESSION_ENDED, path=("refreshToken",))
    return Opened(found.organization_id, found.user_id, str(found.session_id), secret)


async def end(tx: WriteTx, *, now: datetime) -> None:
    """End the caller's own session. An app, or a token without one, has none to end."""
    if tx.actor.session_id is not None:
        await tx.execute(_REVOKE, {"session": UUID(tx.actor.session_id), "now": now, "reason": "signed out"})


async def live_sessions(tx: ReadTx, user_id: int, *, now: datetime, most: int = 100) -> list[Row[tuple[object, ...]]]:
    """Sessions of a user, newest first: one's own, or anyone's for who manages people."""
    _own_or_managed(tx, user_id)
    return list(await tx.rows(_SESSIONS, {"user": user_id, "now": now, "most": most}))


async def revoke(tx: WriteTx, session_id: UUID, *, now: datetime, path: tuple[str, ...] = ("sessionId",)) -> None:
    """End a session: one's own, or anyone's for who manages people."""
    user_id: int | None = await tx.scalar(_SESSION_USER, {"session": session_id})
    if user_id is None or not _may_touch(tx, user_id):
        raise NotFound("There is no such session", path=path)
    await tx.execute(_REVOKE, {"session": session_id, "now": now, "reason": "revoked"})


async def revoke_all(tx: WriteTx, user_id: int, *, now: datetime, reason: str, keep: str | None = None) -> None:
    await tx.execute(
        _REVOKE_ALL, {"user": user_id, "now": now, "reason": reason, "keep": None if keep is None else UUID(keep)}
    )


def _may_touch(tx: ReadTx, user_id: int) -> bool:
    return user_id == tx.actor.user_id or rules.holds_at(tx.actor.permissions.get("identity.manage"), None)


def _own_or_managed(tx: ReadTx, user_id: int) -> None:
    if not _may_touch(tx, user_id):
        raise NotPermitted("Sessions of others are seen by who manages people", path=("userId",))


def _locked(until: datetime, now: datetime) -> Refused:
    seconds = int((until - now).total_seconds()) + 1
    return rules.SignInLocked("Too many attempts; wait before the next", retry_after_seconds=seconds)


async def _one(tx: ReadTx, statement: TextClause, **params: object) -> Row[tuple[object, ...]]:
    row = await tx.first(statement, params)
    assert row is not None, "the function answers one row"
    return row


_BEGIN = text("select * from auth.sign_in_begin(:organization, :email, :now)")
_FAILED = text("select auth.sign_in_failed(:account, :until)")
_CLEARED = text("select auth.sign_in_cleared(:account)")
_REHASHED = text("select auth.password_rehashed(:org, :user, :old, :new)")
_OPEN = text("select auth.session_open(:org, :user, :now, :expires, :ip, :device, :hash, :token_expires)")
_REFRESH = text("select * from auth.session_refresh(:hash, :next, :now, :expires)")
_REVOKE = text("select auth.session_revoke(:session, :now, :reason)")
_REVOKE_ALL = text("select auth.sessions_revoke(:user, :now, :reason, :keep)")
_SESSIONS = text("select * from auth.sessions_of(:user, :now, :most)")
_SESSION_USER = text("select auth.session_user(:session)")
