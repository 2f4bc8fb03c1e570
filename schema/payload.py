"""The one shape every mutation answers in: what it changed, and why it did not."""

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import strawberry

from db.refusal import Refused
from schema.errors import UserError, as_user_error

P = TypeVar("P", bound=type)


@strawberry.type
class Payload:
    errors: list[UserError] = strawberry.field(
        description="Why nothing was written; empty when the mutation took effect", default_factory=list
    )


def result(*, description: str) -> Any:
    """What the mutation changed; null when it was refused."""
    return strawberry.field(description=description, default=None)


@dataclass_transform(kw_only_default=True, field_specifiers=(result,))
def payload(*, description: str) -> Callable[[P], P]:
    def publish(cls: P) -> P:
        return strawberry.type(cls, description=description)

    return publish


def refused_as(payload_type: type[Payload], *refusals: Refused) -> Payload:
    return payload_type(errors=[as_user_error(refused) for refused in refusals])


def result_fields(payload_type: type[Payload]) -> list[Any]:
    """The fields of a payload besides its errors."""
    definition = payload_type.__strawberry_definition__  # type: ignore[attr-defined]
    return [f for f in definition.fields if f.python_name != "errors"]
