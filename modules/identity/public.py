"""What other modules may use of identity."""

from . import tables
from .access.holders import holders_of, roles_with
from .access.service import everywhere as require_everywhere
from .actors import issue_token_for, load_app_actor, load_user_actor
from .apps.keys import actor_of_key, key_to_lend
from .sessions.passwords import hash_now
from .sessions.resets import ResetMail, mail_not_sent, reset_life, take_mails
from .sessions.tokens import KEY_PREFIX, Claims, InvalidToken, TokenSigner
from .tables import AppKey as AppKeyRow
from .tables import Department as DepartmentRow
from .tables import Organization as OrganizationRow
from .tables import Plant as PlantRow
from .tables import User as UserRow
from .types import App, AppKey, Department, Organization, Plant, User

__all__ = [
    "KEY_PREFIX",
    "App",
    "AppKey",
    "AppKeyRow",
    "Claims",
    "Department",
    "DepartmentRow",
    "InvalidToken",
    "Organization",
    "OrganizationRow",
    "Plant",
    "PlantRow",
    "ResetMail",
    "TokenSigner",
    "User",
    "UserRow",
    "actor_of_key",
    "hash_now",
    "holders_of",
    "issue_token_for",
    "key_to_lend",
    "load_app_actor",
    "load_user_actor",
    "mail_not_sent",
    "require_everywhere",
    "reset_life",
    "roles_with",
    "tables",
    "take_mails",
]  # fmt: skip
