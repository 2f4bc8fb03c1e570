"""Root fields of sign-in: the only ones open to callers nobody knows yet, and what a caller may know of itself."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import text

from db.refusal import Refused
from db.session import WriteTx
from modules.identity.types import Department, Organization, Plant, User
from schema.context import Info
from schema.faults import bad_input
from schema.fields import AUTHENTICATED, PUBLIC, mutation, query
from schema.ids import encode, key
from schema.payload import Payload, payload, result

from . import resets, service

HASHING = 100
"""Weight of what hashes a password: tens of milliseconds of a core."""


@strawberry.type(description="Who has signed in; open to everyone who holds the session")
class Account:
    id: strawberry.ID = strawberry.field(description="Id of the user, as in `user(by: {id})`")
    email: str = strawberry.field(description="E-mail address")
    full_name: str = strawberry.field(description="Name of the person")
    locale: str = strawberry.field(description="Language tag, for example de or pt-BR")


@strawberry.type(description="A signed-in device")
class Session:
    id: strawberry.ID = strawberry.field(description="Opaque id")
    created_at: datetime = strawberry.field(description="When it was opened")
    last_used_at: datetime = strawberry.field(description="When it was last used, to the minute")
    expires_at: datetime = strawberry.field(description="When it ends whatever happens")
    client_ip: str | None = strawberry.field(description="Address it was opened from")
    device: str | None = strawberry.field(description="Name the client gave to the device")
    is_current: bool = strawberry.field(description="The session of this very request")


# The inputs below take no idempotency key: a receipt would keep the tokens.
@strawberry.input(description="Who signs in, and where")
class SessionCreateInput:
    organization: str = strawberry.field(description="Code or subdomain of the organization")
    email: str = strawberry.field(description="E-mail address, whatever the case")
    password: str = strawberry.field(description="The password")
    device: str | None = strawberry.field(
        description="A name for the device, shown in the list of sessions", default=None
    )


@strawberry.input(description="A session to continue")
class SessionRefreshInput:
    refresh_token: str = strawberry.field(description="The newest refresh token of the session; it works once")


@strawberry.input(description="A session to end")
class SessionRevokeInput:
    session_id: strawberry.ID = strawberry.field(description="The session")


@strawberry.input(description="A new password for the caller")
class PasswordChangeInput:
    current_password: str = strawberry.field(description="The password until now")
    new_password: str = strawberry.field(description="At least 10 characters")


@strawberry.input(description="An account whose password was forgotten")
class PasswordResetRequestInput:
    organization: str = strawberry.field(description="Code or subdomain of the organization")
    email: str = strawberry.field(description="E-mail address")


@strawberry.input(description="A new password by a token")
class PasswordResetInput:
    token: str = strawberry.field(description="Token from the mail, or handed over by an administrator")
    new_password: str = strawberry.field(description="At least 10 characters")


@payload(description="An open session")
class SessionPayload(Payload):
    access_token: str | None = result(description="Send it as `Authorization: Bearer …`")
    access_token_expires_at: datetime | None = result(description="When the access token ends; refresh before")
    refresh_token: str | None = result(description="Exchange it once by sessionRefresh; a second use ends the session")
    must_change_password: bool | None = result(description="Nothing is allowed before passwordChange")
    user: Account | None = result(description="Who has signed in")


@payload(description="Result of something that has nothing to show but whether it was done")
class SessionEndPayload(Payload):
    ended: bool | None = result(description="True when it was done")


@payload(description="Result of changing a password")
class PasswordPayload(Payload):
    changed: bool | None = result(description="True when the new password is in force")


@payload(description="The same answer whether or not the account exists")
class PasswordResetRequestPayload(Payload):
    accepted: bool | None = result(description="True: if the account exists, a mail is on its way")


@mutation(
    PUBLIC,
    SessionPayload,
    cost=HASHING,
    description="Sign in. Refused as NotSignedIn or, after too many failures, SignInLocked",
)
async def session_create(tx: WriteTx, input: SessionCreateInput, now: datetime, info: Info) -> dict[str, Any] | Refused:
    opened = await service.sign_in(
        tx, organization=input.organization, email=input.email, password=input.password, device=input.device, now=now
    )
    return opened if isinstance(opened, Refused) else await _session(tx, info, opened, now)


@mutation(PUBLIC, SessionPayload, description="Exchange the refresh token for new tokens of the same session")
async def session_refresh(
    tx: WriteTx, input: SessionRefreshInput, now: datetime, info: Info
) -> dict[str, Any] | Refused:
    opened = await service.refresh(tx, refresh_token=input.refresh_token, now=now)
    return opened if isinstance(opened, Refused) else await _session(tx, info, opened, now)


@mutation(AUTHENTICATED, SessionEndPayload, description="Sign out: the session and every token made from it end")
async def session_end(tx: WriteTx, now: datetime) -> dict[str, Any]:
    await service.end(tx, now=now)
    return {"ended": True}


@mutation(AUTHENTICATED, SessionEndPayload, description="End a session: one's own, or anyone's for who manages users")
async def session_revoke(tx: WriteTx, input: SessionRevokeInput, now: datetime) -> dict[str, Any]:
    await service.revoke(tx, _session_key(input.session_id), now=now)
    return {"ended": True}


@mutation(
    AUTHENTICATED, PasswordPayload, cost=HASHING, description="Change one's own password; every other session ends"
)
async def password_change(tx: WriteTx, input: PasswordChangeInput, now: datetime) -> dict[str, Any] | Refused:
    refused = await resets.change(tx, current=input.current_password, new=input.new_password, now=now)
    return refused or {"changed": True}


@mutation(PUBLIC, PasswordResetRequestPayload, description="Ask for a mail with a token to set a new password")
async def password_reset_request(tx: WriteTx, input: PasswordResetRequestInput, now: datetime) -> dict[str, Any]:
    await resets.request(tx, organization=input.organization, email=input.email, now=now)
    return {"accepted": True}


@mutation(
    PUBLIC, PasswordPayload, cost=HASHING, description="Set a new password by a token; every session of the user ends"
)
async def password_reset(tx: WriteTx, input: PasswordResetInput, now: datetime) -> dict[str, Any] | Refused:
    refused = await resets.use(tx, token=input.token, new=input.new_password, now=now)
    return refused or {"changed": True}


async def _session(tx: WriteTx, info: Info, opened: service.Opened, now: datetime) -> dict[str, Any]:
    token, expires = info.context.tokens.issue(
        organization_id=opened.organization_id, user_id=opened.user_id, session_id=opened.session_id, now=now
    )
    who = await tx.first(
        text("select * from auth.account(:org, :user)"), {"org": opened.organization_id, "user": opened.user_id}
    )
    assert who is not None, "a session is of an active user"
    return {
        "access_token": token,
        "access_token_expires_at": expires,
        "refresh_token": opened.refresh_token,
        "must_change_password": who.must_change,
        "user": Account(id=encode("User", opened.user_id), email=who.email, full_name=who.full_name, locale=who.locale),
    }


# --- what a caller may know of itself -------------------------------------------------------------------------------------


@strawberry.type(description="A permission the caller holds, and where")
class HeldPermission:
    code: str = strawberry.field(description="Code of the permission")
    everywhere: bool = strawberry.field(description="Holds in every plant")
    plants: list[Plant] = strawberry.field(description="Plants it holds in for every department, where not everywhere")
    departments: list[Department] = strawberry.field(description="Single departments it holds in besides")


@strawberry.type(description="The caller: a user or an app")
class Me:
    account: Account | None = strawberry.field(description="The signed-in person; null for an app")
    must_change_password: bool = strawberry.field(description="Nothing is allowed before passwordChange")
    session_expires_at: datetime | None = strawberry.field(description="When the token of this request ends")
    all_plants: bool = strawberry.field(description="Reaches every plant")

    @strawberry.field(description="The caller as a user of the organization; null for an app")
    async def user(self, info: Info) -> User | None:
        id = info.context.actor.user_id
        found: Any = None if id is None else await info.context.loaders.one(User).load(id)
        return found  # type: ignore[no-any-return]

    @strawberry.field(description="The organization the caller belongs to")
    async def organization(self, info: Info) -> Organization | None:
        found: Any = await info.context.loaders.one(Organization).load(info.context.actor.organization_id or 0)
        return found  # type: ignore[no-any-return]

    @strawberry.field(description="What the caller may do, and where")
    async def permissions(self, info: Info) -> list[HeldPermission]:
        loaders, held = info.context.loaders, info.context.actor.permissions
        made = []
        for code, scope in sorted(held.items()):
            whole, departments = sorted(scope.whole_plants or ()), sorted(scope.departments or ())
            found = [p for p in await loaders.one(Plant).load_many(whole) if p is not None]
            units = [d for d in await loaders.one(Department).load_many(departments) if d is not None]
            made.append(
                HeldPermission(code=code, everywhere=scope.whole_plants is None, plants=found, departments=units)
            )
        return made

    @strawberry.field(description="Plants the caller may read, archived ones left out; at most 1,000")
    async def plants(self, info: Info) -> list[Plant]:
        return await _readable_plants(info)


async def _readable_plants(info: Info) -> list[Plant]:
    from_ids = text(
        "select id from app.plants where organization_id = :org and archived_at is null order by code limit 1000"
    )
    async with info.context.read("identity.read") as tx:
        ids = await tx.scalars(from_ids, {"org": tx.org})
    return [p for p in await info.context.loaders.one(Plant).load_many(ids) if p is not None]


@query(AUTHENTICATED, description="Who the caller is, and what the caller may do")
async def me(info: Info) -> Me:
    actor = info.context.actor
    who = None
    if actor.user_id is not None:
        async with info.context.read(None) as tx:
            who = await tx.first(
                text("select * from auth.account(:org, :user)"), {"org": tx.org, "user": actor.user_id}
            )
    return Me(
        account=None if who is None else Account(
            id=encode("User", actor.user_id or 0), email=who.email, full_name=who.full_name, locale=who.locale
        ),
        must_change_password=bool(who and who.must_change),
        session_expires_at=actor.expires_at,
        all_plants=actor.readable is None,
    )  # fmt: skip


@query(AUTHENTICATED, description="Live sessions, newest first, at most 100: one's own, or of a user one manages")
async def sessions(
    info: Info,
    user_id: Annotated[strawberry.ID | None, strawberry.argument(description="Whose; absent for one's own")] = None,
) -> list[Session]:
    owner = info.context.actor.user_id if user_id is None else key("User", user_id, "userId")
    if owner is None:
        return []
    async with info.context.read(None) as tx:
        rows = await service.live_sessions(tx, owner, now=datetime.now(UTC))
    current = info.context.actor.session_id
    return [
        Session(
            id=_session_id(row.id), created_at=row.created_at, last_used_at=row.last_used_at, expires_at=row.expires_at,
            client_ip=row.client_ip, device=row.device, is_current=str(row.id) == current,
        )
        for row in rows
    ]  # fmt: skip


def _session_id(id: UUID) -> strawberry.ID:
    return strawberry.ID(base64.b64encode(f"Session:{id}".encode()).decode())


def _session_key(id: str) -> UUID:
    try:
        kind, _, value = base64.b64decode(id, validate=True).decode("ascii").partition(":")
        found = UUID(value)
    except (binascii.Error, ValueError):
        raise bad_input("Not an id of this API", "sessionId") from None
    if kind != "Session":
        raise bad_input("Not the id of a Session", "sessionId")
    return found
