"""Refusals as the client sees them: the interface `UserError` and one concrete type per refusal."""

import typing
from typing import Any

import strawberry

from db.refusal import COMMON, Refused
from schema.cost import Cost


@strawberry.interface(
    description="Why a mutation changed nothing; concrete types add what is needed to act on it",
    directives=[Cost(weight=0)],
)
class UserError:
    code: str = strawberry.field(description="A stable name for programs")
    message: str = strawberry.field(description="A sentence for people")
    path: list[str] = strawberry.field(description="Where in the input, list indexes included; empty for the whole")
    retryable: bool = strawberry.field(description="The same request may succeed later")


_TYPES: dict[type[Refused], type] = {}


def error_type(refused: type[Refused]) -> type:
    """The public type of a refusal."""
    if refused not in _TYPES:
        if any(other.__name__ == refused.__name__ or other.code == refused.code for other in _TYPES):
            raise TypeError(
                f"{refused.__name__} ({refused.code}) is a refusal already: share it, or name this one differently"
            )
        hints = typing.get_type_hints(refused)
        annotations: dict[str, Any] = {}
        members: dict[str, Any] = {}
        for name, description in refused.details().items():
            annotations[name] = hints[name]
            members[name] = strawberry.field(
                name=name.rstrip("_") if name.endswith("_") else None, description=description
            )
        made = type(refused.__name__, (UserError,), {"__annotations__": annotations, "__module__": __name__, **members})
        _TYPES[refused] = strawberry.type(made, description=refused.description)
    return _TYPES[refused]


def as_user_error(refused: Refused) -> Any:
    """A refusal as data. One no module has registered is a bug and is not shown."""
    made = _TYPES[type(refused)]
    details = {name: getattr(refused, name) for name in type(refused).details()}
    return made(
        code=refused.code, message=refused.message, path=list(refused.path), retryable=refused.retryable, **details
    )


for _common in COMMON:
    error_type(_common)
