"""Notifications of the demo factory, for the modules whose occasions they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from db.demo import Demo
from modules.identity.public import roles_with

from . import texts
from .service import Holders, kinds

READ_AFTER = timedelta(hours=6)


async def tell_past(
    demo: Demo, kind: str, facts: Mapping[str, Any], *, to: Holders, at: datetime, plant_id: int | None = None,
    about: tuple[str, int] | None = None,
) -> None:  # fmt: skip
    """As `notify`, in the past; what was told long ago was read."""
    declared = kinds()[kind]
    title, body = texts.rendered(declared, facts)
    users = await demo.connection.fetchval(
        "select app.holders($1, $2, $3, $4)", to.permission, roles_with(to.permission), plant_id, to.department_id
    )
    entity_type, entity_id = about or (None, None)
    read_at = at + timedelta(minutes=20) if at < demo.now - READ_AFTER else None
    await demo.insert("app.notifications", [
        {
            "user_id": user, "plant_id": plant_id, "kind": kind, "severity": declared.severity, "title": title, "body": body,
            "entity_type": entity_type, "entity_id": entity_id, "in_app": True, "by_email": False, "read_at": read_at,
            "created_at": at,
        }
        for user in users
    ])  # fmt: skip
