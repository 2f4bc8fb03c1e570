"""What other modules may use of platform."""

from .files.storage import S3, FileStorage
from .numbering.service import next_number
from .offline.service import begin as begin_batch
from .offline.service import finish as finish_batch
from .offline.types import OfflineBatch
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting

__all__ = [
    "S3", "DocumentType", "FileStorage", "OfflineBatch", "SettingKey", "SettingType", "begin_batch", "finish_batch",
    "get_setting", "next_number",
]  # fmt: skip
