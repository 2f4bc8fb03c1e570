"""What people are told of machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from db.session import WriteTx
from modules.equipment.tables import Machine, ReasonCode
from modules.platform.public import Holders, notify
from schema.registry import NotificationKind

MACHINE_DOWN: Final = "equipment.machine_down"
TOLD_OF_DOWN: Final = "equipment.status.correct"
"""Held by those who answer for a machine's time: managers, supervisors, maintenance."""

KINDS: Final = {
    MACHINE_DOWN: NotificationKind(
        description="A machine is down, in a plant or department one answers for",
        title="{{ code }} is down: {{ reason }}",
        body="{{ code }} {{ name }} is down since {{ since }} UTC."
        "{% if location %}\nWhere: {{ location }}{% endif %}{% if notes %}\n{{ notes }}{% endif %}",
        severity="critical",
        email=True,
    )
}


def facts(row: Mapping[str, Any], *, reason: str | None, notes: str | None = None) -> dict[str, Any]:
    """What the words of the kind are made of, from the columns of a machine."""
    return {
        "code": row["code"], "name": row["name"], "location": row["location"], "notes": notes,
        "since": f"{row['status_since']:%Y-%m-%d %H:%M}", "reason": reason or "no reason given",
    }  # fmt: skip


async def tell_down(tx: WriteTx, machine: Machine, notes: str | None) -> None:
    reason = None if machine.status_reason_id is None else await tx.get(ReasonCode, machine.status_reason_id)
    given = facts(vars(machine), reason=None if reason is None else reason.name, notes=notes)
    await notify(
        tx, MACHINE_DOWN, given, to=Holders(TOLD_OF_DOWN, machine.department_id), plant_id=machine.plant_id,
        about=("Machine", machine.id),
    )  # fmt: skip
