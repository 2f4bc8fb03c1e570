"""A root field with a function of its own: it runs as always. What is asked of its value is read from attributes, without
the library's executor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from graphql import FieldNode

from schema.context import Context
from schema.plans.arguments import Read
from schema.plans.tree import Unplanned


class Asking:
    """What the function is told of the operation: its context. One that looks for more is run by the loaders' executor, which
    has all of it."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context

    def __getattr__(self, name: str) -> Never:
        raise Unplanned(f"info.{name}")


@dataclass(slots=True, eq=False)
class Call:
    key: str
    nodes: Sequence[FieldNode]
    """Its places in the document."""
    run: Callable[..., Awaitable[Any]]
    read: Read
    complete: Callable[[Any], Any]

    async def value(self, arguments: Mapping[str, Any], context: Context) -> Any:
        """Raises what the function raises, and Unplanned where the executor has to say what is wrong with its value."""
        found = await self.run(Asking(context), **arguments)
        try:
            return self.complete(found)
        except Exception as error:
            raise Unplanned from error
