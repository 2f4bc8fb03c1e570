"""Root fields of users."""

from datetime import datetime
from typing import Any

import strawberry

from db.session import WriteTx
from modules.identity import common, lists, tables
from modules.identity.types import MANAGE, User
from schema.fields import AUTHENTICATED, listing, lookup, mutation
from schema.ids import key
from schema.inputs import VersionInput
from schema.payload import Payload, payload, result

from . import service

user = lookup(
    User, email=tables.User.email_lower, username=tables.User.username_lower, employee_code=tables.User.employee_code,
    description="One user of the organization; address and user name whatever the case",
)  # fmt: skip
users = listing(User, lists.USERS, description="Users of the organization, archived ones included")


# Not repeatable by a key: a receipt keeps a hash of the request, from which a weak password could be guessed.
@strawberry.input(description="A user to add")
class UserCreateInput:
    email: str = strawberry.field(description="E-mail address, unique in the organization whatever the case")
    full_name: str = strawberry.field(description="Name of the person")
    username: str | None = strawberry.field(description="Short name; made from the address where absent", default=None)
    employee_code: str | None = strawberry.field(description="Personnel number", default=None)
    phone: str | None = strawberry.field(description="Telephone number", default=None)
    locale: str = strawberry.field(description="Language tag, for example de or pt-BR", default="en")
    all_plants: bool = strawberry.field(
        description="Give access to every plant, as far as the roles allow", default=False
    )
    initial_password: str | None = strawberry.field(
        description="A password to be changed at the first sign-in; without one, use userPasswordResetCreate",
        default=None,
    )


@strawberry.input(description="Changes to a user; absent fields stay as they are")
class UserUpdateInput:
    id: strawberry.ID = strawberry.field(description="The user")
    expected_version: int = common.expected()
    email: strawberry.Maybe[str | None] = strawberry.field(description="E-mail address")
    full_name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the person")
    username: strawberry.Maybe[str | None] = strawberry.field(description="Short name")
    employee_code: strawberry.Maybe[str | None] = strawberry.field(description="Personnel number")
    phone: strawberry.Maybe[str | None] = strawberry.field(description="Telephone number")
    locale: strawberry.Maybe[str | None] = strawberry.field(description="Language tag, for example de or pt-BR")
    all_plants: strawberry.Maybe[bool | None] = strawberry.field(description="Access to every plant")
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="Changes to one's own profile; absent fields stay as they are")
class ProfileUpdateInput:
    expected_version: int = common.expected()
    phone: strawberry.Maybe[str | None] = strawberry.field(description="Telephone number")
    locale: strawberry.Maybe[str | None] = strawberry.field(description="Language tag, for example de or pt-BR")
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="A user to archive or bring back")
class UserArchiveInput(VersionInput):
    of = "User"


# Not repeatable by a key: its receipt would keep the token.
@strawberry.input(description="A user who needs a new password")
class UserPasswordResetCreateInput:
    user_id: strawberry.ID = strawberry.field(description="The user")


@payload(description="Result of changing a user")
class UserPayload(Payload):
    user: User | None = result(description="The user as it is now")


@payload(description="A one-time token to hand over in person")
class UserPasswordResetPayload(Payload):
    user: User | None = result(description="The user")
    token: str | None = result(description="Pass it to `passwordReset`; it is shown once and works once")
    expires_at: datetime | None = result(description="When it stops working")


@mutation(
    MANAGE, UserPayload, description="Add a user; what they may do is given by userRoleGrant and userPlantAccessSet"
)
async def user_create(tx: WriteTx, input: UserCreateInput, now: datetime) -> tables.User:
    return await service.create(
        tx, email=input.email, full_name=input.full_name, username=input.username, employee_code=input.employee_code,
        phone=input.phone, locale=input.locale, all_plants=input.all_plants, initial_password=input.initial_password,
        now=now,
    )  # fmt: skip


@mutation(MANAGE, UserPayload, description="Change a user")
async def user_update(tx: WriteTx, input: UserUpdateInput) -> tables.User:
    return await service.update(tx, key("User", input.id), version=input.expected_version, input=input)


@mutation(AUTHENTICATED, UserPayload, description="Change one's own telephone number and language")
async def profile_update(tx: WriteTx, input: ProfileUpdateInput) -> tables.User:
    return await service.update_own(tx, version=input.expected_version, input=input)


@mutation(MANAGE, UserPayload, description="Archive a user: access ends within seconds. The last administrator stays")
async def user_archive(tx: WriteTx, input: UserArchiveInput, now: datetime) -> tables.User:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, UserPayload, description="Bring an archived user back, with the roles held before")
async def user_unarchive(tx: WriteTx, input: UserArchiveInput) -> tables.User:
    return await service.unarchive(tx, input.key, version=input.expected_version)


@mutation(MANAGE, UserPasswordResetPayload, description="A one-time token with which the user sets a new password")
async def user_password_reset_create(tx: WriteTx, input: UserPasswordResetCreateInput, now: datetime) -> dict[str, Any]:
    row, token, expires = await service.reset_token(tx, key("User", input.user_id, "userId"), now=now)
    return {"user": row, "token": token, "expires_at": expires}
