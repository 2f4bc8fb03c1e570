"""Reading and setting typed settings. Values of sensitive keys go where no query and no audit entry can show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB

from db.refusal import NotFound
from db.session import ReadTx, WriteTx
from modules.identity.public import require_everywhere
from modules.platform import rules
from modules.platform.tables import Setting
from schema.registry import registered

MANAGE = "settings.manage"
_SECRET = text("select auth.setting_secret(:key)")
_PUT = text("select auth.setting_secret_put(:key, :value)").bindparams(
    bindparam("value", type_=JSONB(none_as_null=True))
)


def declared() -> dict[str, rules.SettingKey]:
    """The settings of all modules by key."""
    return {s.key: s for module in registered() for s in module.settings if isinstance(s, rules.SettingKey)}


async def get_setting(tx: ReadTx, key: str) -> Any:
    """The value in force: what the organization has set, or the default. Sensitive ones too: keep them out of answers
    and logs. A key no module declares is a mistake in the code."""
    setting = declared()[key]
    if setting.sensitive:
        stored = await tx.scalar(_SECRET, {"key": key})
        return setting.default if stored is None else rules.from_json(setting, stored)
    row = await tx.first(
        select(Setting.value).where(Setting.organization_id == tx.org, Setting.key == key, Setting.is_set)
    )
    return setting.default if row is None else rules.from_json(setting, row.value)


async def rows(tx: ReadTx) -> dict[str, Setting]:
    """What the organization has ever set, by key."""
    return {row.key: row for row in await tx.scalars(_SET, {"org": tx.org})}


_SET = select(Setting).where(Setting.organization_id == bindparam("org"))


async def put(tx: WriteTx, key: str, value: rules.Value, *, version: int, now: datetime) -> None:
    setting = _known(tx, key)
    value = rules.checked(setting, value)
    if setting.sensitive:
        await tx.execute(_PUT, {"key": key, "value": rules.to_json(value)})
    await _write(tx, key, None if setting.sensitive else rules.to_json(value), True, version, now)


async def reset(tx: WriteTx, key: str, *, version: int, now: datetime) -> None:
    """Back to the default."""
    setting = _known(tx, key)
    if setting.sensitive:
        await tx.execute(_PUT, {"key": key, "value": None})
    await _write(tx, key, None, False, version, now)


def _known(tx: WriteTx, key: str) -> rules.SettingKey:
    require_everywhere(tx, MANAGE)
    if key not in declared():
        raise NotFound("There is no such setting", path=("key",))
    return declared()[key]


async def _write(tx: WriteTx, key: str, value: Any, is_set: bool, version: int, now: datetime) -> None:
    await tx.key_lock("platform.setting", key)
    row = await tx.one(select(Setting).where(Setting.organization_id == tx.org, Setting.key == key))
    rules.same_version(0 if row is None else row.version, version)
    if row is None:
        row = tx.add(Setting(key=key))
    row.value, row.is_set, row.set_at, row.set_by_id = value, is_set, now, tx.actor.user_id
    await tx.flush()
