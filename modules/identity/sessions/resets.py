"""Changing a password, and setting a new one by a token that was mailed or handed over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from db.refusal import Refused
from db.session import WriteTx
from modules.identity import rules
from modules.identity.tables import User
from schema import checks

from . import passwords, service, tokens


@dataclass(frozen=True, slots=True)
class ResetMail:
    """A mail to write. The token in it exists in the clear only here."""

    id: UUID
    """Of the request."""
    organization_id: int
    organization_name: str
    user_id: int
    email: str
    full_name: str
    locale: str
    token: str = field(repr=False)


def reset_life() -> timedelta:
    """How long a mailed token can be used."""
    return rules.MAILED_RESET_LIFE


async def change(tx: WriteTx, *, current: str, new: str, now: datetime) -> Refused | None:
    """Change one's own password; every other session ends."""
    user_id = tx.actor.user_id
    user = None if user_id is None else await tx.get(User, user_id)
    if user is None:
        return rules.WrongPassword("Only a person has a password", path=("currentPassword",))
    stored: str | None = await tx.scalar(text("select auth.password_hash(:user)"), {"user": user.id})
    if not await passwords.matches(stored, current):
        return rules.WrongPassword("This is not the current password", path=("currentPassword",))
    rules.password(new, user.email, "newPassword")
    await put(tx, user.id, new, must_change=False, now=now)
    await service.revoke_all(tx, user.id, now=now, reason="password changed", keep=tx.actor.session_id)
    return None


async def put(tx: WriteTx, user_id: int, password: str, *, must_change: bool, now: datetime) -> None:
    """Set the password of a user of the caller's organization."""
    await tx.execute(
        text("select auth.password_set(:user, :hash, :must_change, :now)"),
        {"user": user_id, "hash": await passwords.hashed(password), "must_change": must_change, "now": now},
    )


async def request(tx: WriteTx, *, organization: str, email: str, now: datetime) -> None:
    """Note that a mail is wanted. It is the same for the caller whether or not the account exists."""
    await tx.execute(
        text("select auth.reset_request(:organization, :email, :ip, :now)"),
        {
            "organization": checks.text(organization, "organization", max=100),
            "email": checks.text(email, "email"),
            "ip": tx.actor.client_ip,
            "now": now,
        },
    )


async def take_mails(tx: WriteTx, *, now: datetime, most: int = 50) -> list[ResetMail]:
    """Mails to send, each with a fresh token. Taken for good when the transaction commits, so send before it does."""
    mails = []
    for row in await tx.rows(text("select * from auth.resets_to_send(:most, :now)"), {"most": most, "now": now}):
        token = tokens.new_secret(tokens.RESET_PREFIX)
        await tx.execute(
            text("select auth.reset_sent(:id, :hash, :expires, :now)"),
            {"id": row.id, "hash": tokens.digest(token), "expires": now + rules.MAILED_RESET_LIFE, "now": now},
        )
        mails.append(
            ResetMail(
                row.id,
                row.organization_id,
                row.organization_name,
                row.user_id,
                row.email,
                row.full_name,
                row.locale,
                token,
            )
        )
    return mails


async def mail_not_sent(tx: WriteTx, id: UUID, *, attempts: int) -> bool:
    """After the transaction that took a mail was rolled back: it waits for another attempt; after so many it is given up.
    Answers whether it waits."""
    return bool(await tx.scalar(text("select auth.reset_not_sent(:id, :attempts)"), {"id": id, "attempts": attempts}))


async def create(tx: WriteTx, user: User, *, now: datetime) -> tuple[str, datetime]:
    """A token an administrator hands over in person, and when it expires."""
    token, expires = tokens.new_secret(tokens.RESET_PREFIX), now + rules.HANDED_RESET_LIFE
    await tx.execute(
        text("select auth.reset_create(:user, :hash, :expires, :now)"),
        {"user": user.id, "hash": tokens.digest(token), "expires": expires, "now": now},
    )
    return token, expires


async def use(tx: WriteTx, *, token: str, new: str, now: datetime) -> Refused | None:
    """Set a new password by a token. It works once; every session of the user ends."""
    hash = tokens.digest(token)
    found = await tx.first(text("select * from auth.reset_find(:hash, :now)"), {"hash": hash, "now": now})
    if found is None:
        return rules.ResetTokenInvalid("Ask for a new token", path=("token",))
    rules.password(new, found.email, "newPassword")
    await tx.execute(
        text("select auth.reset_use(:hash, :password, :now)"),
        {"hash": hash, "password": await passwords.hashed(new), "now": now},
    )
    return None
