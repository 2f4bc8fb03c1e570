"""Adding, changing and archiving users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from db.refusal import Archived, ValidationFailed
from db.session import WriteTx
from modules.identity import common, rules
from modules.identity.access import service as access
from modules.identity.sessions import resets
from modules.identity.sessions import service as sessions
from modules.identity.tables import User
from schema import checks
from schema.patch import changes

UNIQUE = {
    "users_organization_id_email_lower_key": ("email",),
    "users_organization_id_username_lower_key": ("username",),
    "users_organization_id_employee_code_key": ("employeeCode",),
}


def _email(value: str) -> str:
    return rules.email(checks.text(value, "email"))


FIELDS: dict[str, common.Check] = {
    "email": _email,
    "username": common.line("username", 100),
    "full_name": common.line("fullName"),
    "employee_code": common.maybe_line("employeeCode", 50),
    "phone": common.maybe_line("phone", 50),
    "locale": rules.locale,
    "all_plants": bool,
}
REQUIRED = ("email", "username", "full_name", "locale", "all_plants")


async def create(
    tx: WriteTx, *, email: str, full_name: str, username: str | None = None, employee_code: str | None = None,
    phone: str | None = None, locale: str = "en", all_plants: bool = False, initial_password: str | None = None, now: datetime,
) -> User:  # fmt: skip
    """A new user without any role. An initial password has to be changed at the first sign-in; without one, hand
    over a token from `reset_token`."""
    access.everywhere(tx)
    user = User(
        email=_email(email), full_name=checks.text(full_name, "fullName"), locale=rules.locale(locale),
        username=await _free_username(tx, email) if username is None else checks.text(username, "username", max=100),
        employee_code=checks.optional_text(employee_code, "employeeCode", max=50),
        phone=checks.optional_text(phone, "phone", max=50), all_plants=all_plants, archived_at=None,
    )  # fmt: skip
    if all_plants:
        _reaches_all(tx)
    if initial_password is not None:
        rules.password(initial_password, user.email, "initialPassword")
    tx.add(user)
    await tx.flush(unique=UNIQUE)
    if initial_password is not None:
        await resets.put(tx, user.id, initial_password, must_change=True, now=now)
    return user


async def update(tx: WriteTx, user_id: int, *, version: int, input: Any) -> User:
    """Change what is known of a user. Another address is a way into the account, so it takes the user's rights."""
    access.everywhere(tx)
    await access.lock_administrators(tx)
    user = await tx.locked(User, user_id, version=version)
    had_all = user.all_plants
    if changes(input, "email"):  # before it is known whether the address is taken
        await access.govern(tx, user_id, path=("email",))
    common.patch(user, input, FIELDS, REQUIRED)
    if user.all_plants and not had_all:
        _reaches_all(tx)
    await tx.flush(unique=UNIQUE)
    if had_all and not user.all_plants:
        await access.govern(tx, user_id, path=("allPlants",))
        await access.require_administrator(tx, path=("allPlants",))
    return user


async def archive(tx: WriteTx, user_id: int, *, version: int, now: datetime) -> User:
    """The user loses access at once: every session ends."""
    access.everywhere(tx)
    await access.lock_administrators(tx)
    user = await common.archive(tx, User, user_id, version=version, now=now)
    await access.govern(tx, user_id)
    await access.require_administrator(tx)
    await sessions.revoke_all(tx, user_id, now=now, reason="archived")
    return user


async def unarchive(tx: WriteTx, user_id: int, *, version: int) -> User:
    access.everywhere(tx)
    user = await common.unarchive(tx, User, user_id, version=version)
    await access.govern(tx, user_id)
    return user


async def update_own(tx: WriteTx, *, version: int, input: Any) -> User:
    """What everyone may change of themselves."""
    if tx.actor.user_id is None:
        raise ValidationFailed("An app has no profile", constraint="user")
    user = await tx.locked(User, tx.actor.user_id, version=version)
    common.patch(user, input, {name: FIELDS[name] for name in ("locale", "phone")}, ("locale",))
    return user


async def reset_token(tx: WriteTx, user_id: int, *, now: datetime) -> tuple[User, str, datetime]:
    """A one-time token to hand to a user, and when it expires."""
    access.everywhere(tx)
    user = await tx.found(User, user_id, path=("userId",))
    if user.archived_at is not None:
        raise Archived("An archived user does not sign in", path=("userId",))
    await access.govern(tx, user_id, path=("userId",))
    return user, *await resets.create(tx, user, now=now)


def _reaches_all(tx: WriteTx) -> None:
    actor = tx.actor
    if not (actor.readable is None and actor.writable is None and actor.deletable is None):
        raise rules.ExceedsOwnRights("You do not reach all plants yourself", path=("allPlants",), permissions=[])


async def _free_username(tx: WriteTx, email: str) -> str:
    """The part before the @, with a number where it is taken. Under a lock, so that two at once get two names."""
    stem = checks.text(email.partition("@")[0] or "user", "email", max=90)
    await tx.key_lock("identity.username", stem.lower())
    taken = set(
        await tx.scalars(
            select(User.username_lower).where(
                User.organization_id == tx.org, func.starts_with(User.username_lower, stem.lower())
            )
        )
    )
    return next(
        name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}{n}").lower() not in taken
    )
