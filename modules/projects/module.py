"""The manifest of projects."""

from modules.identity.public import Plant, User
from modules.platform.public import DocumentType
from schema.permissions import EVERY_ROLE, INTEGRATION, PLANNER, PLANT_MANAGER
from schema.registry import Module, Permission

from . import demo, graph, types

MODULE = Module(
    name="projects",
    depends_on=["identity", "platform"],
    graph=graph,
    types=[types.Project],
    permissions={
        "projects.read": Permission("See projects", roles=EVERY_ROLE),
        "projects.manage": Permission(
            "Open, change, move and archive projects", roles={PLANT_MANAGER, PLANNER, INTEGRATION}
        ),
    },
    settings=[DocumentType("project", "PRJ", "Projects")],
    extends={Plant: types.PlantProjects, User: types.UserProjects},
    demo=demo.make,
)
