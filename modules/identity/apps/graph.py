"""Root fields of apps and their keys."""

from datetime import datetime
from typing import Any

import strawberry

from db.session import WriteTx
from modules.identity import common, lists, rules, tables
from modules.identity.types import APPS, App, AppKey
from schema.fields import listing, lookup, mutation
from schema.ids import key, key_or_none
from schema.inputs import VersionInput
from schema.payload import Payload, payload, result

from . import service

app = lookup(App, code=tables.App.code, description="One app")
apps = listing(App, lists.APPS, description="Apps of the organization, archived ones included")


@strawberry.input(description="An app to register")
class AppCreateInput:
    code: str = strawberry.field(description="Code, unique in the organization, at most 50 characters")
    name: str = strawberry.field(description="Name of the app")
    description: str | None = strawberry.field(description="What it does, and who runs it", default=None)
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="Changes to an app; absent fields stay as they are")
class AppUpdateInput:
    id: strawberry.ID = strawberry.field(description="The app")
    expected_version: int = common.expected()
    name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the app")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What it does, and who runs it")
    document_policy: strawberry.Maybe[rules.DocumentPolicy | None] = strawberry.field(
        description="Which GraphQL documents it may send; takes effect within seconds"
    )
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="An app to archive or bring back")
class AppArchiveInput(VersionInput):
    of = "App"


# Not repeatable by a key: its receipt would keep the secret.
@strawberry.input(description="A key to make")
class AppKeyCreateInput:
    app_id: strawberry.ID = strawberry.field(description="The app")
    name: str = strawberry.field(description="What the key is for, at most 100 characters")
    scopes: list[str] = strawberry.field(description="Codes of the permissions it gives; see the query `permissions`")
    plant_id: strawberry.ID | None = strawberry.field(
        description="The one plant it reaches; absent for all", default=None
    )
    expires_at: datetime | None = strawberry.field(description="When it stops working; absent for never", default=None)


@strawberry.input(description="A key to revoke")
class AppKeyRevokeInput:
    id: strawberry.ID = strawberry.field(description="The key")
    idempotency_key: str | None = common.idempotency()


@payload(description="Result of changing an app")
class AppPayload(Payload):
    app: App | None = result(description="The app as it is now")


@payload(description="Result of making a key")
class AppKeyCreatePayload(Payload):
    app_key: AppKey | None = result(description="What is known of the key")
    secret: str | None = result(description="Send it as `Authorization: Bearer …`; it is shown only here")


@payload(description="Result of revoking a key")
class AppKeyPayload(Payload):
    app_key: AppKey | None = result(description="The key as it is now")


@mutation(APPS, AppPayload, description="Register an app")
async def app_create(tx: WriteTx, input: AppCreateInput) -> tables.App:
    return await service.create(tx, code=input.code, name=input.name, description=input.description)


@mutation(APPS, AppPayload, description="Change an app")
async def app_update(tx: WriteTx, input: AppUpdateInput) -> tables.App:
    return await service.update(tx, key("App", input.id), version=input.expected_version, input=input)


@mutation(APPS, AppPayload, description="Archive an app: its keys stop working within seconds")
async def app_archive(tx: WriteTx, input: AppArchiveInput, now: datetime) -> tables.App:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation(APPS, AppPayload, description="Bring an archived app back; its keys work again")
async def app_unarchive(tx: WriteTx, input: AppArchiveInput) -> tables.App:
    return await service.unarchive(tx, input.key, version=input.expected_version)


@mutation(
    APPS,
    AppKeyCreatePayload,
    description="Make a key that gives no more than the caller holds. Its secret is shown once",
)
async def app_key_create(tx: WriteTx, input: AppKeyCreateInput, now: datetime) -> dict[str, Any]:
    made, secret = await service.create_key(
        tx, app_id=key("App", input.app_id, "appId"), name=input.name, scopes=input.scopes,
        plant_id=key_or_none("Plant", input.plant_id, "plantId"), expires_at=input.expires_at, now=now,
    )  # fmt: skip
    return {"app_key": made, "secret": secret}


@mutation(APPS, AppKeyPayload, description="Revoke a key: it stops working within seconds, for good")
async def app_key_revoke(tx: WriteTx, input: AppKeyRevokeInput, now: datetime) -> tables.AppKey:
    return await service.revoke_key(tx, key("AppKey", input.id), now=now)
