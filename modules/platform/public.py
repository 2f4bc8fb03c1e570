"""What other modules may use of platform."""

from .numbering.service import next_number
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting

__all__ = ["DocumentType", "SettingKey", "SettingType", "get_setting", "next_number"]
