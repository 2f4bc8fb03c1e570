"""The manifest of identity."""

from schema.permissions import EVERY_ROLE
from schema.registry import Module, Permission

from . import demo, graph, rules, types

MODULE = Module(
    name="identity",
    graph=graph,
    types=[
        types.Organization, types.Plant, types.Department, types.User, types.Role, types.RoleGrant, types.PlantAccess,
        types.App, types.AppKey, types.AppKeyUse,
    ],
    permissions={
        "identity.read": Permission("See the organization, its plants, departments, people and roles", EVERY_ROLE),
        "identity.manage": Permission("Change the organization, plants, departments, people, roles and who holds them"),
        "identity.apps": Permission("Register apps and make keys for them"),
    },
    refusals=rules.REFUSALS,
    demo=demo.make,
)  # fmt: skip
