"""What other modules may use of platform."""

from .documents.rules import Checked, checked, problems
from .documents.service import keep as keep_documents
from .files.storage import S3, FileStorage
from .limits.settings import LIMITS, own_limits
from .notifications.demo import tell_past
from .notifications.jobs import MAIL
from .notifications.mail import of_reset
from .notifications.service import Holders, notify
from .notifications.smtp import MailDelayed, MailRefused, MailServer, deliver, mail_server, try_mail, use_mail
from .numbering.service import next_number
from .offline.service import begin as begin_batch
from .offline.service import finish as finish_batch
from .offline.types import OfflineBatch
from .rules import DocumentType, SettingKey, SettingType
from .settings.service import get_setting
from .webhooks import deliveries as webhook_deliveries
from .webhooks import rules as webhook_rules
from .webhooks import sending as webhook_sending

__all__ = [
    "LIMITS",
    "MAIL",
    "S3",
    "Checked",
    "DocumentType",
    "FileStorage",
    "Holders",
    "MailDelayed",
    "MailRefused",
    "MailServer",
    "OfflineBatch",
    "SettingKey",
    "SettingType",
    "begin_batch",
    "checked",
    "deliver",
    "finish_batch",
    "get_setting",
    "keep_documents",
    "mail_server",
    "next_number",
    "notify",
    "of_reset",
    "own_limits",
    "problems",
    "tell_past",
    "try_mail",
    "use_mail",
    "webhook_deliveries",
    "webhook_rules",
    "webhook_sending",
]  # fmt: skip
