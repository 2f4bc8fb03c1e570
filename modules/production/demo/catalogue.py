"""What the demo factory makes, by which steps, and why it scraps pieces."""

from __future__ import annotations

from dataclasses import dataclass

from modules.production.orders.rules import WorkOrderStatus as S
from modules.production.scrap.rules import ScrapCategory as C


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    machine_type: str | None
    """None is done by hand."""
    setup: int
    run: int
    """Seconds per piece."""
    scrap: float
    """Share that usually fails here."""


@dataclass(frozen=True, slots=True)
class Product:
    code: str
    name: str
    operation_type: str
    lot: tuple[int, int]
    works: tuple[Work, ...]


SAW_OUT = Work("Wash and deburr", None, 0, 25, 0.004)
PACK = Work("Pack", "Packaging", 600, 15, 0.0)
PRODUCTS = (
    Product("BRK-210", "Mounting bracket", "fabrication", (60, 240), (
        Work("Cut by laser", "Laser", 900, 40, 0.012), Work("Deburr", None, 0, 20, 0.003),
        Work("Bend", "Press brake", 1_200, 48, 0.02), Work("Weld nuts", "Welder", 600, 75, 0.015), PACK,
    )),
    Product("HSG-100", "Gearbox housing", "machining", (8, 40), (
        Work("Mill side A", "CNC mill", 2_700, 420, 0.02), Work("Mill side B", "CNC mill", 1_800, 360, 0.015),
        SAW_OUT, Work("Assemble bearings", "Assembly", 300, 240, 0.006), PACK,
    )),
    Product("SHF-320", "Drive shaft", "machining", (20, 90), (
        Work("Turn", "Lathe", 1_800, 150, 0.015), Work("Mill keyway", "CNC mill", 1_200, 110, 0.012),
        Work("Balance by hand", None, 300, 90, 0.004), Work("Final inspection", None, 0, 60, 0.006),
    )),
    Product("CAB-400", "Control cabinet", "assembly", (4, 16), (
        Work("Cut panels", "Laser", 900, 300, 0.01), Work("Bend panels", "Press brake", 1_500, 360, 0.02),
        Work("Weld frame", "Welder", 900, 900, 0.01), Work("Paint", None, 1_800, 420, 0.015),
        Work("Fit and wire", "Assembly", 600, 1_800, 0.005), PACK,
    )),
    Product("CLP-055", "Pipe clamp", "fabrication", (200, 800), (
        Work("Stamp", "Press", 2_400, 6, 0.008), Work("Form", "Press", 1_800, 8, 0.01),
        Work("Coat", None, 900, 10, 0.006), PACK,
    )),
    Product("FLG-080", "Flange", "machining", (25, 120), (
        Work("Turn", "Lathe", 1_500, 95, 0.014), Work("Drill", "CNC mill", 900, 70, 0.01), SAW_OUT,
        Work("Test for leaks", None, 300, 45, 0.008),
    )),
)  # fmt: skip

SCRAP_REASONS = {
    "DIM": ("Out of dimension", C.METHOD), "BURR": ("Burr or sharp edge", C.MACHINE),
    "POR": ("Pores in the material", C.MATERIAL), "SCR": ("Scratched or dented", C.HANDLING),
    "WELD": ("Weld seam faulty", C.METHOD), "TOOL": ("Tool broke in the piece", C.MACHINE),
    "SETP": ("Set-up piece", C.METHOD), "TEST": ("Destroyed by testing", C.MEASUREMENT),
    "DRAW": ("Drawing unclear", C.DESIGN), "MISC": ("Other", C.OTHER),
}  # fmt: skip
SCRAPPED_AT: dict[str | None, tuple[str, ...]] = {
    "Laser": ("DIM", "BURR", "SETP", "POR"), "Press brake": ("DIM", "SCR", "SETP"), "Welder": ("WELD", "DIM", "DRAW"),
    "CNC mill": ("DIM", "BURR", "TOOL", "POR", "SETP"), "Lathe": ("DIM", "BURR", "TOOL", "SETP"),
    "Press": ("DIM", "BURR", "SETP"), "Assembly": ("SCR", "DRAW", "MISC"), "Packaging": ("SCR",),
    None: ("SCR", "TEST", "MISC"),
}  # fmt: skip
"""Why pieces fail on each kind of machine, and by hand."""
DEPARTMENTS = {"fabrication": ("CUT", "MCH", "ASM"), "machining": ("MCH", "ASM"), "assembly": ("ASM", "WELD")}
"""Who does a kind of work: the first of these that a plant has."""
ISSUES = (
    "Chuck jaws are worn", "Drawing does not show the chamfer", "Coolant is low", "Waiting for the crane",
    "Material is marked with another batch", "Fixture does not clamp evenly",
)  # fmt: skip
HOLDS = ("Material blocked by quality", "Customer is changing the drawing", "Tool is being reground")

STATES: tuple[S, ...] = (
    *(S.CLOSED,) * 19, *(S.COMPLETED,) * 9, *(S.IN_PROGRESS,) * 8, *(S.RELEASED,) * 4, *(S.PLANNED,) * 6,
    *(S.ON_HOLD,) * 2, *(S.CANCELLED,) * 2,
)  # fmt: skip
"""What fifty orders are meant to be; one whose work is not through yet is still in progress."""
