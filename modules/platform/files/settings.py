"""What an organization may set for files."""

from __future__ import annotations

from db.session import ReadTx
from modules.platform.rules import SettingKey, SettingType
from modules.platform.settings.service import get_setting

from .rules import SIGNS

MEGABYTE = 1_048_576


def _known(value: str) -> bool:
    return all(name in SIGNS for name in _names(value)) and bool(_names(value))


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


LARGEST = SettingKey(
    key="files.max_megabytes",
    type=SettingType.INTEGER,
    default=100,
    description="The largest file, in megabytes of 1,048,576 bytes; 1 to 2,000",
    least=1,
    most=2_000,
)
TYPES = SettingKey(
    key="files.content_types",
    type=SettingType.TEXT,
    default=", ".join(sorted(SIGNS)),
    description="Types of files that are taken, separated by commas: some of those taken unless set",
    check=_known,
)
ALL = (LARGEST, TYPES)


async def largest(tx: ReadTx) -> int:
    return int(await get_setting(tx, LARGEST.key)) * MEGABYTE


async def types(tx: ReadTx) -> list[str]:
    return _names(await get_setting(tx, TYPES.key))
