"""What other modules may use of platform."""

from .documents.rules import Checked, checked, problems
from .documents.service import keep as keep_documents
from .files.storage import S3, FileStorage
from .limits.settings import own_limits
from .numbering.service import next_number
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting

__all__ = [
    "S3", "Checked", "DocumentType", "FileStorage", "SettingKey", "SettingType", "checked", "get_setting",
    "keep_documents", "next_number", "own_limits", "problems",
]  # fmt: skip
