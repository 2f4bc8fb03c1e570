"""Root fields of settings."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.session import ReadTx, WriteTx
from modules.identity.public import User
from modules.platform import rules
from modules.platform.tables import Setting as Row
from schema.context import Info
from schema.enums import public_enum
from schema.fields import mutation, query
from schema.payload import Payload, payload, result

from . import service

public_enum(
    rules.SettingType,
    name="SettingType",
    description="What kind of value a setting takes",
    values={
        "TEXT": "Text of at most 4,000 characters",
        "INTEGER": "A whole number",
        "DECIMAL": "A decimal number",
        "BOOLEAN": "Yes or no",
    },
)


@strawberry.type(description="A value of a setting: exactly the field of its type is filled")
class SettingValue:
    text: str | None = strawberry.field(description="A text", default=None)
    integer: int | None = strawberry.field(description="A whole number", default=None)
    decimal: Decimal | None = strawberry.field(description="A decimal number", default=None)
    boolean: bool | None = strawberry.field(description="Yes or no", default=None)


@strawberry.input(one_of=True, description="A value of a setting, in the field of its type")
class SettingValueInput:
    text: str | None = strawberry.field(description="A text", default=UNSET)
    integer: int | None = strawberry.field(description="A whole number", default=UNSET)
    decimal: Decimal | None = strawberry.field(description="A decimal number", default=UNSET)
    boolean: bool | None = strawberry.field(description="Yes or no", default=UNSET)


@strawberry.type(description="A setting of the organization")
class Setting:
    key: str = strawberry.field(description="Name of the setting, for example numbering.time_zone")
    description: str = strawberry.field(description="What it does")
    type: rules.SettingType = strawberry.field(description="What kind of value it takes")
    choices: list[str] = strawberry.field(description="The only values it takes; empty where any")
    sensitive: bool = strawberry.field(description="Can be set, but is never shown")
    is_set: bool = strawberry.field(description="The organization has set a value of its own")
    value: SettingValue | None = strawberry.field(description="The value in force; null where sensitive or without one")
    default_value: SettingValue | None = strawberry.field(description="The value in force when none is set")
    version: int = strawberry.field(description="Pass it as `expectedVersion`; 0 where it was never set")
    set_at: datetime | None = strawberry.field(description="When it was last set or reset")
    set_by_id: strawberry.Private[int | None]

    @strawberry.field(description="Who last set or reset it")
    async def set_by(self, info: Info) -> User | None:
        found: Any = None if self.set_by_id is None else await info.context.loaders.one(User).load(self.set_by_id)
        return found  # type: ignore[no-any-return]


@strawberry.input(description="A new value for a setting")
class SettingSetInput:
    key: str = strawberry.field(description="The setting")
    value: SettingValueInput = strawberry.field(description="The value")
    expected_version: int = strawberry.field(description="Version that was read; 0 where it was never set")


@strawberry.input(description="A setting to put back to its default")
class SettingResetInput:
    key: str = strawberry.field(description="The setting")
    expected_version: int = strawberry.field(description="Version that was read")


@payload(description="Result of changing a setting")
class SettingPayload(Payload):
    setting: Setting | None = result(description="The setting as it is now")


@query("settings.read", description="Every setting, by key")
async def settings(
    info: Info,
    prefix: Annotated[
        str | None, strawberry.argument(description="Only keys that start with this, for example `sap.`")
    ] = None,
) -> list[Setting]:
    async with info.context.read("settings.read") as tx:
        found = await service.rows(tx)
    wanted = sorted(k for k in service.declared() if k.startswith(prefix or ""))
    return [_shown(service.declared()[key], found.get(key)) for key in wanted]


@mutation(service.MANAGE, SettingPayload, description="Set a setting")
async def setting_set(tx: WriteTx, input: SettingSetInput, now: datetime) -> dict[str, Any]:
    given = (input.value.text, input.value.integer, input.value.decimal, input.value.boolean)
    value = next(v for v in given if v is not UNSET)
    await service.put(tx, input.key, value, version=input.expected_version, now=now)
    return {"setting": await _read(tx, input.key)}


@mutation(service.MANAGE, SettingPayload, description="Put a setting back to its default")
async def setting_reset(tx: WriteTx, input: SettingResetInput, now: datetime) -> dict[str, Any]:
    await service.reset(tx, input.key, version=input.expected_version, now=now)
    return {"setting": await _read(tx, input.key)}


async def _read(tx: ReadTx, key: str) -> Setting:
    return _shown(service.declared()[key], (await service.rows(tx)).get(key))


def _shown(setting: rules.SettingKey, row: Row | None) -> Setting:
    is_set = row is not None and row.is_set
    value = rules.from_json(setting, row.value) if row is not None and row.is_set else setting.default
    return Setting(
        key=setting.key, description=setting.description, type=setting.type, choices=list(setting.choices),
        sensitive=setting.sensitive, is_set=is_set, value=None if setting.sensitive else _value(setting, value),
        default_value=None if setting.sensitive else _value(setting, setting.default),
        version=0 if row is None else row.version, set_at=None if row is None else row.set_at,
        set_by_id=None if row is None else row.set_by_id,
    )  # fmt: skip


def _value(setting: rules.SettingKey, value: Any) -> SettingValue | None:
    return None if value is None else SettingValue(**{str(setting.type): value})
