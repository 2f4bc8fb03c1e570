"""What the demo factory owns: kinds of machines, reason codes, and how long things take there."""

from __future__ import annotations

from dataclasses import dataclass

from modules.equipment.reasons.rules import ReasonCategory as C
from modules.equipment.status.rules import MachineStatus as S


@dataclass(frozen=True, slots=True)
class Kind:
    prefix: str
    name: str
    machine_type: str
    manufacturer: str
    model: str
    rate: int
    cost: int
    pattern: str
    """Key of HOURS: when such machines are manned."""
    departments: tuple[str, ...]
    """Where such machines stand; the first of these that a plant has."""


KINDS = (
    Kind("CNC", "Machining centre", "CNC mill", "DMG Mori", "CMX 600 V", 24, 185_000, "continuous", ("MCH", "ASM")),
    Kind("LAT", "Turning centre", "Lathe", "Mazak", "QT-250", 36, 142_000, "two_shifts", ("MCH", "ASM")),
    Kind("LAS", "Laser cutter", "Laser", "Trumpf", "TruLaser 3030", 90, 420_000, "continuous", ("CUT", "MCH", "ASM")),
    Kind("PRS", "Eccentric press", "Press", "Schuler", "MSD 250", 600, 310_000, "two_shifts", ("CUT", "MCH", "ASM")),
    Kind("BRK", "Press brake", "Press brake", "Bystronic", "Xpert 150", 75, 128_000, "day", ("CUT", "MCH", "ASM")),
    Kind("WLD", "Welding cell", "Welder", "Fronius", "TPS 400i", 18, 96_000, "two_shifts", ("WELD", "ASM")),
    Kind("ASM", "Assembly station", "Assembly", "Bosch Rexroth", "TS 2plus", 45, 54_000, "day", ("ASM", "WELD")),
    Kind("PKG", "Packing line", "Packaging", "Multivac", "R 245", 240, 132_000, "two_shifts", ("WH", "ASM")),
)

HOURS = {"continuous": (0, 24, 7), "two_shifts": (6, 16, 5), "day": (6, 8, 5)}
"""Local hour a manned stretch begins, its length in hours, and days of the week from Monday."""

REASONS: dict[str, tuple[str, C, tuple[S, ...]]] = {
    "UNCODED": ("Not yet classified", C.EQUIPMENT, (S.DOWN, S.IDLE)),
    "MECH": ("Mechanical failure", C.EQUIPMENT, (S.DOWN, S.MAINTENANCE)),
    "ELEC": ("Electrical failure", C.EQUIPMENT, (S.DOWN, S.MAINTENANCE)),
    "HYDR": ("Hydraulics or pneumatics", C.EQUIPMENT, (S.DOWN, S.MAINTENANCE)),
    "TOOL": ("Tool breakage", C.EQUIPMENT, (S.DOWN,)),
    "JAM": ("Jam or sensor", C.MINOR_STOP, (S.IDLE, S.DOWN)),
    "NOMAT": ("Material missing", C.MATERIAL, (S.IDLE, S.DOWN)),
    "NOOPR": ("No operator", C.LABOR, (S.IDLE, S.AVAILABLE)),
    "QSTOP": ("Stopped for quality", C.QUALITY, (S.IDLE, S.DOWN)),
    "WARM": ("Warm-up or restart", C.PROCESS, (S.SETUP, S.IDLE)),
    "CHG": ("Changeover", C.SETUP, (S.SETUP,)),
    "PM": ("Planned maintenance", C.PLANNED_MAINTENANCE, (S.MAINTENANCE,)),
    "BREAK": ("Break", C.BREAK, (S.IDLE, S.AVAILABLE)),
    "NODEM": ("No order", C.NO_DEMAND, (S.AVAILABLE, S.OFFLINE)),
    "POWER": ("Power or compressed air", C.EXTERNAL, (S.DOWN, S.OFFLINE)),
    "EOL": ("End of life", C.NO_DEMAND, (S.DECOMMISSIONED,)),
}

STOPS: tuple[tuple[int, S, tuple[str, ...], tuple[float, float]], ...] = (
    (38, S.IDLE, ("JAM", "JAM", "NOMAT", "QSTOP", "NOOPR"), (0.7, 14)),
    (22, S.SETUP, ("CHG", "CHG", "WARM"), (18, 75)),
    (14, S.IDLE, ("BREAK",), (15, 35)),
    (10, S.AVAILABLE, ("NODEM", "NODEM", "NOOPR"), (25, 200)),
    (9, S.DOWN, ("TOOL", "JAM", "NOMAT", "UNCODED"), (8, 60)),
    (5, S.DOWN, ("MECH", "ELEC", "HYDR", "POWER"), (40, 420)),
    (2, S.MAINTENANCE, ("PM",), (90, 240)),
)
"""Weight, status, reasons, and minutes from the usual to the long end of what interrupts a machine."""

REPAIRED = frozenset({"MECH", "ELEC", "HYDR"})
"""Failures that end in maintenance before the machine is handed back."""
