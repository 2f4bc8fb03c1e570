"""Apps and their keys. A key gives no more than whoever makes it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.refusal import Archived, InvalidTransition, ValidationFailed
from db.session import WriteTx
from modules.identity import catalogue, common, rules
from modules.identity.access import service as access
from modules.identity.sessions import tokens
from modules.identity.tables import App, AppKey, Plant
from schema import checks

MANAGE = "identity.apps"
FIELDS: dict[str, common.Check] = {
    "name": common.line("name"),
    "description": common.maybe_line("description", 1000),
    "document_policy": lambda policy: policy,
}


async def create(tx: WriteTx, *, code: str, name: str, description: str | None) -> App:
    access.everywhere(tx, MANAGE)
    app = App(
        code=rules.code(code), name=checks.text(name, "name"), archived_at=None,
        document_policy=rules.DocumentPolicy.OPTIONAL, description=checks.optional_text(description, "description", max=1000),
    )  # fmt: skip
    tx.add(app)
    await tx.flush(unique={"apps_organization_id_code_key": ("code",)})
    return app


async def update(tx: WriteTx, app_id: int, *, version: int, input: Any) -> App:
    access.everywhere(tx, MANAGE)
    app = await tx.locked(App, app_id, version=version)
    common.patch(app, input, FIELDS, ("name", "document_policy"))
    return app


async def archive(tx: WriteTx, app_id: int, *, version: int, now: datetime) -> App:
    """Its keys stop working at once."""
    access.everywhere(tx, MANAGE)
    return await common.archive(tx, App, app_id, version=version, now=now)


async def unarchive(tx: WriteTx, app_id: int, *, version: int) -> App:
    access.everywhere(tx, MANAGE)
    return await common.unarchive(tx, App, app_id, version=version)


async def create_key(
    tx: WriteTx, *, app_id: int, name: str, scopes: Sequence[str], plant_id: int | None, expires_at: datetime | None,
    now: datetime,
) -> tuple[AppKey, str]:  # fmt: skip
    """A key and its secret, which exists in the clear only here."""
    access.everywhere(tx, MANAGE)
    app = await tx.locked(App, app_id, path=("appId",))
    if app.archived_at is not None:
        raise Archived("An archived app gets no keys", path=("appId",))
    codes = catalogue.checked(scopes, "scopes")
    if not codes:
        raise ValidationFailed("At least one permission", path=("scopes",), constraint="minItems 1")
    if plant_id is not None:
        await tx.found(Plant, plant_id, path=("plantId",))
    if expires_at is not None and expires_at <= now:
        raise ValidationFailed("In the future", path=("expiresAt",), constraint="future")
    rules.must_hold(tx.actor.permissions, [rules.Grant(frozenset(codes), plant_id)], ("scopes",))
    for own in (tx.actor.readable, tx.actor.writable, tx.actor.deletable):
        if own is not None and plant_id not in own:
            raise rules.ExceedsOwnRights("You do not reach that far yourself", path=("plantId",), permissions=[])
    secret = tokens.new_secret(tokens.KEY_PREFIX)
    key = AppKey(
        app_id=app.id, name=checks.text(name, "name", max=100), prefix=secret[: len(tokens.KEY_PREFIX) + 6],
        scopes=codes, plant_id=plant_id, expires_at=expires_at, revoked_at=None,
    )  # fmt: skip
    tx.add(key)
    await tx.flush()
    await tx.execute(text("select auth.api_key_put(:key, :hash)"), {"key": key.id, "hash": tokens.digest(secret)})
    return key, secret


async def revoke_key(tx: WriteTx, key_id: int, *, now: datetime) -> AppKey:
    access.everywhere(tx, MANAGE)
    key = await tx.locked(AppKey, key_id)
    if key.revoked_at is not None:
        raise InvalidTransition("It is revoked already", from_="revoked", to="revoked", allowed=[])
    key.revoked_at = now
    return key
