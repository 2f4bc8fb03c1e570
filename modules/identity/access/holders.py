"""Who holds a right at a place: the question a notification asks."""

from __future__ import annotations

from sqlalchemy import text

from db.session import ReadTx
from modules.identity import catalogue
from schema.permissions import SYSTEM_ROLES

_HOLDERS = text(
    "select app.holders(:permission, cast(:roles as text[]), cast(:plant as bigint), cast(:department as bigint))"
)


def roles_with(permission: str) -> list[str]:
    """System roles that hold a permission."""
    return [role for role in SYSTEM_ROLES if permission in catalogue.of_role(role, True, ())]


async def holders_of(tx: ReadTx, permission: str, plant_id: int | None, department_id: int | None = None) -> list[int]:
    """Active people of the organization who hold a permission in a plant, or in one department of it, and may enter the
    plant. Without a plant those who hold it in the whole organization."""
    given = {"permission": permission, "roles": roles_with(permission), "plant": plant_id, "department": department_id}
    return list(await tx.scalar(_HOLDERS, given))
