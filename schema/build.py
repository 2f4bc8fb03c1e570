"""Stitch the modules into one schema. The only file of `schema` that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types import get_object_definition

from db.refusal import COMMON
from modules import MODULES
from schema import offline
from schema.context import Info
from schema.cost import ListSize
from schema.errors import error_type
from schema.faults import bad_input, forbidden
from schema.fields import AUTHENTICATED, RootField, query
from schema.ids import decode
from schema.node import NODES, Node
from schema.registry import Module
from schema.scalars import SCALARS

MOST_NODES = 100


def build(modules: Sequence[Module] = MODULES, *, suggestions: bool = True) -> strawberry.Schema:
    """The schema of the given modules, lowest first. Refuses a wrong order, a doubled name, an unknown permission."""
    known: dict[str, Module] = {}
    refusals: list[type] = []
    for module in modules:
        if missing := set(module.depends_on) - set(known):
            raise ValueError(f"{module.name} depends on {sorted(missing)}, listed after it or nowhere")
        known[module.name] = module
        for target, extra in module.extends.items():
            _extend(target, extra)
        refusals += [error_type(refused) for refused in module.refusals]
    return strawberry.Schema(
        query=_root("Query", "query", "Everything that can be read", modules, {"node": node, "nodes": nodes}),
        mutation=_root(
            "Mutation",
            "mutation",
            "Everything that can be done; each field is one transaction",
            modules,
            offline.root_fields(modules),
        ),
        subscription=_root("Subscription", "subscription", "Everything that can be watched", modules),
        types=[
            *(t for module in modules for t in module.types),
            *(error_type(refused) for refused in COMMON),
            *refusals,
            *offline.TYPES,
        ],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=not suggestions),
        schema_directives=[],
    )


def permissions(modules: Sequence[Module] = MODULES) -> dict[str, Any]:
    """The catalogue of permissions by code."""
    return {code: permission for module in modules for code, permission in module.permissions.items()}


def _root(
    name: str, kind: Literal["query", "mutation", "subscription"], description: str, modules: Sequence[Module],
    own: dict[str, RootField] | None = None,
) -> type:  # fmt: skip
    fields: dict[str, RootField] = dict(own or {})
    catalogue = permissions(modules)
    for module in modules:
        for attribute, root in module.root_fields().items():
            if root.kind != kind:
                continue
            if attribute in fields:
                raise ValueError(f"{module.name}: {name}.{attribute} is defined already")
            permission = root.field.metadata["permission"]
            if permission not in ("", AUTHENTICATED) and permission not in catalogue:
                raise ValueError(f"{module.name}: {name}.{attribute} needs {permission!r}, which no module declares")
            fields[attribute] = root
    members = {attribute: root.field for attribute, root in fields.items()}
    made = type(name, (), {"__module__": __name__, "__annotations__": {}, **members})
    return strawberry.type(made, name=name, description=description)


def _extend(target: type, extra: type) -> None:
    """Add `extra`'s fields to `target`, as GraphQL's `extend type` does."""
    have = get_object_definition(target, strict=True).fields
    added = [f for f in get_object_definition(extra, strict=True).fields if f.name not in {h.name for h in have}]
    have += added
    target.__declared__.add(added)  # type: ignore[attr-defined]


@query(AUTHENTICATED, description="Any object by its id; null where it does not exist for the caller", by_id=True)
async def node(info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id")]) -> Node | None:
    found: Node | None = (await _by_ids(info, [id]))[0]
    return found


@query(
    AUTHENTICATED,
    description="Objects by their ids, in their order; null for each that does not exist for the caller",
    priced=[ListSize(assumed_size=MOST_NODES, slicing_arguments=["ids"])],
    by_ids=MOST_NODES,
)
async def nodes(
    info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids")]
) -> list[Node | None]:
    if len(ids) > MOST_NODES:
        raise bad_input(f"At most {MOST_NODES} ids", "ids")
    return await _by_ids(info, ids)


async def _by_ids(info: Info, ids: list[strawberry.ID]) -> list[Any]:
    wanted = [decode(id, "id") for id in ids]
    loads = []
    for type_name, _ in wanted:
        if type_name not in NODES:
            raise bad_input("Not an id of this API", "id")
        permission = NODES[type_name].__declared__.permission
        if permission not in (None, AUTHENTICATED) and not info.context.actor.may(permission):
            raise forbidden(permission)
    for type_name, key in wanted:
        loads.append(info.context.loaders.one(NODES[type_name]).load(key))
    return [await load for load in loads]
