"""What an organization may have of its own instead of the server's limits: one table. See docs/limits.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from db.session import ReadTx
from modules.platform.rules import SettingKey, SettingType, from_json
from modules.platform.tables import Setting


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as a whole number, set as `limits.<name>`."""

    says: str
    least: int
    """What may be set at least: no value keeps an organization from changing it again."""
    bound: str
    """The server's setting. It holds where the organization has set nothing, and bounds what it has set."""
    times: int = 1
    """So many times the server's at most; what is set above that counts as that."""


LIMITS: Final = {
    "operation_cost": Limit("The highest price of one operation", 100, "COST_LIMIT", times=10),
    "bucket": Limit("What one user or app can spend at once", 1_000, "COST_BUCKET", times=10),
    "restore_per_second": Limit("What one user or app gets back per second", 10, "COST_RESTORE_PER_SECOND", times=10),
    "operation_seconds": Limit("Seconds an operation may run", 1, "OPERATION_TIMEOUT_SECONDS"),
    "statement_milliseconds": Limit("Milliseconds one statement may run", 100, "STATEMENT_TIMEOUT_MS"),
    "tokens": Limit("Tokens of a document, a tenth of those of a trusted one", 100, "MAX_DOCUMENT_TOKENS"),
    "depth": Limit("Levels of fields in a document", 3, "MAX_DEPTH"),
    "aliases": Limit("Aliases in a document", 0, "MAX_ALIASES"),
    "directives": Limit("Directives in one place of a document", 0, "MAX_DIRECTIVES"),
    "root_mutations": Limit("Mutations in one operation", 1, "MAX_ROOT_MUTATIONS"),
    "list_variable": Limit("Entries of a list in the variables", 1, "MAX_LIST_VARIABLE"),
    "operations_at_once": Limit("Operations that run at once in each process", 1, "MAX_OPERATIONS_AT_ONCE"),
    "operations_waiting": Limit("Operations that wait for their turn in each process", 0, "MAX_OPERATIONS_WAITING"),
    "subscriptions": Limit("Subscriptions of one user or app in each process", 1, "MAX_SUBSCRIPTIONS_PER_PRINCIPAL"),
    "sockets": Limit("Sockets of one user or app in each process", 1, "MAX_SOCKETS_PER_PRINCIPAL"),
}


def _key(name: str, limit: Limit) -> SettingKey:
    most = "that" if limit.times == 1 else f"{limit.times} times that"
    return SettingKey(
        key=f"limits.{name}",
        type=SettingType.INTEGER,
        default=None,
        description=f"{limit.says}; the server's unless set, and at most {most}",
        least=limit.least,
    )


_KEYS: Final = {name: _key(name, limit) for name, limit in LIMITS.items()}
ALL: Final = tuple(_KEYS.values())


async def own_limits(tx: ReadTx) -> dict[str, int]:
    """What the organization has set, by name."""
    set_here = select(Setting.key, Setting.value).where(
        Setting.organization_id == tx.org, Setting.key.in_([setting.key for setting in ALL]), Setting.is_set
    )
    stored = {row.key: row.value for row in await tx.rows(set_here)}
    values = {name: from_json(key, stored[key.key]) for name, key in _KEYS.items() if key.key in stored}
    return {name: value for name, value in values.items() if isinstance(value, int)}
