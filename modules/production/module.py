"""The manifest of production."""

from modules.equipment.public import Machine
from modules.identity.public import Department, Plant
from modules.projects.public import Project
from schema.permissions import EVERY_ROLE, INTEGRATION, OPERATOR, PLANNER, PLANT_MANAGER, SUPERVISOR
from schema.registry import Module, Permission

from . import demo, extensions, graph, settings, types
from .labor.rules import OutOfSequence
from .logs.rules import AlreadyReversed
from .operations.rules import InsufficientWip, OverCompletion, ReversalBlocked
from .orders.notices import KINDS
from .orders.rules import AlreadyReported, Incomplete, NotEditable, WorkStillRunning
from .routings.rules import RoutingNotActive, RoutingNotDraft

MODULE = Module(
    name="production",
    depends_on=["identity", "platform", "projects", "equipment"],
    graph=graph,
    types=[
        types.ScrapReason,
        types.Routing,
        types.RoutingOperation,
        types.WorkOrder,
        types.WorkOrderOperation,
        types.OperationLabor,
        types.ProductionLog,
    ],
    permissions={
        "production.read": Permission("See routings, work orders, operations and the production log", roles=EVERY_ROLE),
        "production.plan": Permission(
            "Write routings; plan, change and cancel work orders", roles={PLANT_MANAGER, PLANNER, INTEGRATION}
        ),
        "production.release": Permission(
            "Release, hold and resume work orders", roles={PLANT_MANAGER, SUPERVISOR, PLANNER, INTEGRATION}
        ),
        "production.report": Permission(
            "Report work and pieces", roles={PLANT_MANAGER, SUPERVISOR, OPERATOR, INTEGRATION}
        ),
        "production.report_for_others": Permission(
            "Report in another person's name", roles={PLANT_MANAGER, SUPERVISOR, INTEGRATION}
        ),
        "production.reverse": Permission("Reverse rows of the production log", roles={PLANT_MANAGER, SUPERVISOR}),
        "production.close": Permission(
            "Complete, short-close and close work orders", roles={PLANT_MANAGER, SUPERVISOR, PLANNER, INTEGRATION}
        ),
        "production.reopen": Permission("Reopen completed work orders", roles={PLANT_MANAGER}),
        "production.scrap_reason.manage": Permission("Manage the organization's scrap reasons", roles={PLANT_MANAGER}),
    },
    refusals=[
        RoutingNotDraft,
        RoutingNotActive,
        NotEditable,
        AlreadyReported,
        Incomplete,
        WorkStillRunning,
        InsufficientWip,
        OverCompletion,
        OutOfSequence,
        AlreadyReversed,
        ReversalBlocked,
    ],
    extends={
        Plant: extensions.PlantProduction,
        Department: extensions.DepartmentProduction,
        Machine: extensions.MachineProduction,
        Project: extensions.ProjectProduction,
    },
    settings=settings.ALL,
    notifications=KINDS,
    demo=demo.make,
)
