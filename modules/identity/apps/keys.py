"""What others do with the keys of apps: act with the rights of one, or lend them to something that lasts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from db.actor import EVERYWHERE, Actor, Scope
from db.refusal import ValidationFailed
from db.session import ReadTx
from modules.identity import catalogue, rules
from modules.identity.tables import App, AppKey, Organization


async def actor_of_key(tx: ReadTx, key_id: int, *, now: datetime) -> Actor | None:
    """Who calls with a key of the organization; None where it was revoked or has expired, or its app is archived."""
    key = await tx.get(AppKey, key_id)
    if key is None or not _in_use(key, now):
        return None
    in_use = (
        select(App.id)
        .join(Organization, Organization.organization_id == App.organization_id)
        .where(
            App.organization_id == tx.org, App.id == key.app_id, App.archived_at.is_(None), Organization.archived_at.is_(None)
        )
    )  # fmt: skip
    if await tx.first(in_use) is None:
        return None
    held, plants = (
        (EVERYWHERE, None) if key.plant_id is None else (Scope.of_plants([key.plant_id]), frozenset({key.plant_id}))
    )
    known = catalogue.permissions()
    return Actor(
        tx.org, app_id=key.app_id, permissions={code: held for code in key.scopes if code in known},
        readable=plants, writable=plants, deletable=plants, expires_at=key.expires_at,
    )  # fmt: skip


async def key_to_lend(tx: ReadTx, key_id: int, *, now: datetime, path: tuple[str, ...]) -> AppKey:
    """A key in use whose rights the caller holds as well: nobody comes by more rights through a key of others."""
    key = await tx.found(AppKey, key_id, path=path)
    app = await tx.found(App, key.app_id, path=path)
    if not _in_use(key, now) or app.archived_at is not None:
        raise ValidationFailed("A key that is in use", path=path, constraint="inUse")
    rules.must_hold(tx.actor.permissions, [rules.Grant(frozenset(key.scopes), key.plant_id)], path)
    own = tx.actor.readable
    if own is not None and key.plant_id not in own:
        raise rules.ExceedsOwnRights("You do not reach that far yourself", path=path, permissions=[])
    return key


def _in_use(key: AppKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
