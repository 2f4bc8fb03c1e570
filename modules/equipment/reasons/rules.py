"""What a reason for not producing says about the loss. Plain values in, plain values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from db.refusal import ValidationFailed
from modules.equipment.status.rules import REASON_NEEDED, MachineStatus, ReasonNeed


class BigLoss(StrEnum):
    """The six big losses of Nakajima, as far as a machine's status can show them."""

    EQUIPMENT_FAILURE = "equipment_failure"
    SETUP_AND_ADJUSTMENT = "setup_and_adjustment"
    MINOR_STOP = "minor_stop"
    REDUCED_SPEED = "reduced_speed"
    PROCESS_DEFECT = "process_defect"
    STARTUP_LOSS = "startup_loss"


class ReasonCategory(StrEnum):
    NO_DEMAND = "no_demand"
    BREAK = "break"
    PLANNED_MAINTENANCE = "planned_maintenance"
    SETUP = "setup"
    EQUIPMENT = "equipment"
    MATERIAL = "material"
    LABOR = "labor"
    QUALITY = "quality"
    PROCESS = "process"
    MINOR_STOP = "minor_stop"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Loss:
    planned: bool
    big_loss: BigLoss | None
    """None: no loss of the equipment, but time it was not asked to produce."""


LOSSES: Mapping[ReasonCategory, Loss] = {
    ReasonCategory.NO_DEMAND: Loss(True, None),
    ReasonCategory.BREAK: Loss(True, None),
    ReasonCategory.PLANNED_MAINTENANCE: Loss(True, None),
    ReasonCategory.SETUP: Loss(True, BigLoss.SETUP_AND_ADJUSTMENT),
    ReasonCategory.EQUIPMENT: Loss(False, BigLoss.EQUIPMENT_FAILURE),
    ReasonCategory.MATERIAL: Loss(False, BigLoss.MINOR_STOP),
    ReasonCategory.LABOR: Loss(False, BigLoss.MINOR_STOP),
    ReasonCategory.QUALITY: Loss(False, BigLoss.PROCESS_DEFECT),
    ReasonCategory.PROCESS: Loss(False, BigLoss.STARTUP_LOSS),
    ReasonCategory.MINOR_STOP: Loss(False, BigLoss.MINOR_STOP),
    ReasonCategory.EXTERNAL: Loss(False, None),
}


def planned(category: ReasonCategory) -> bool:
    return LOSSES[category].planned


def big_loss(category: ReasonCategory) -> BigLoss | None:
    return LOSSES[category].big_loss


def applicable(statuses: Iterable[MachineStatus]) -> list[MachineStatus]:
    """The statuses a reason may explain, each once and in the order of the shop floor's table."""
    asked = set(statuses)
    if not asked:
        raise ValidationFailed("A reason explains at least one status", path=("appliesTo",), constraint="minItems 1")
    for status in MachineStatus:
        if status in asked and REASON_NEEDED[status] is ReasonNeed.NONE:
            raise ValidationFailed(
                f"{status.name} takes no reason", path=("appliesTo",), constraint="a status that takes a reason"
            )
    return [status for status in MachineStatus if status in asked]
