"""What other modules may use of platform."""

from .files.storage import S3, FileStorage
from .numbering.service import next_number
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting
from .webhooks import deliveries as webhook_deliveries
from .webhooks import rules as webhook_rules
from .webhooks import sending as webhook_sending

__all__ = [
    "S3",
    "DocumentType",
    "FileStorage",
    "SettingKey",
    "SettingType",
    "get_setting",
    "next_number",
    "webhook_deliveries",
    "webhook_rules",
    "webhook_sending",
]
