"""What other modules may use of platform."""

from .files.storage import S3, FileStorage
from .limits.settings import own_limits
from .numbering.service import next_number
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting

__all__ = ["S3", "DocumentType", "FileStorage", "SettingKey", "SettingType", "get_setting", "next_number", "own_limits"]
