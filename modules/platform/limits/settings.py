"""What an organization may set for the price of operations; see docs/limits.md."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from db.session import ReadTx
from modules.platform.rules import SettingKey, SettingType, from_json
from modules.platform.tables import Setting

_SERVER = "; the server's unless set, and at most ten times that"
OPERATION = SettingKey(
    key="limits.operation_cost",
    type=SettingType.INTEGER,
    default=None,
    description=f"The highest price of one operation{_SERVER}",
    least=100,
)
BUCKET = SettingKey(
    key="limits.bucket",
    type=SettingType.INTEGER,
    default=None,
    description=f"What one user or app can spend at once{_SERVER}",
    least=1_000,
)
RESTORED = SettingKey(
    key="limits.restore_per_second",
    type=SettingType.INTEGER,
    default=None,
    description=f"What one user or app gets back per second{_SERVER}",
    least=10,
)
ALL = (OPERATION, BUCKET, RESTORED)


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """What the organization has set; None where it has not."""

    operation: int | None
    bucket: int | None
    restored: int | None


async def own_limits(tx: ReadTx) -> OwnLimits:
    keys = {setting.key: setting for setting in ALL}
    found = await tx.rows(
        select(Setting.key, Setting.value).where(
            Setting.organization_id == tx.org, Setting.key.in_(keys), Setting.is_set
        )
    )
    values = {row.key: from_json(keys[row.key], row.value) for row in found}
    operation, bucket, restored = (values.get(setting.key) for setting in ALL)
    return OwnLimits(_whole(operation), _whole(bucket), _whole(restored))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
