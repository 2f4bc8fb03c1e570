"""A root field with a function of its own: it runs as always. What is asked of its value is read from attributes, without
the library's executor."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from graphql import FieldNode

from schema.context import Context
from schema.plans.arguments import Read
from schema.plans.tree import Unplanned


class Asking:
    """What the function is told of the operation: its context. One that looks for more is run by the loaders' executor, which
    has all of it."""

    __slots__ = ("asked", "context")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.asked = False

    def __getattr__(self, name: str) -> Never:
        self.asked = True
        raise Unplanned(f"info.{name}")


@dataclass(slots=True, eq=False)
class Call:
    key: str
    nodes: Sequence[FieldNode]
    """Its places in the document."""
    run: Callable[..., Awaitable[Any]]
    read: Read
    complete: Callable[[Any], Any]
    unfit: bool = False
    """The function was seen to look for more than its context."""

    async def value(self, arguments: Mapping[str, Any], context: Context) -> Any:
        """Raises what the function raises, and Unplanned where the executor has to answer: it says what is wrong with a value,
        and tells the function what it looks for."""
        asking = Asking(context)
        try:
            found = await self.run(asking, **arguments)
        except Exception:
            if not asking.asked:
                raise
        if asking.asked:
            self.unfit = True
            raise Unplanned
        try:
            return self.complete(found)
        except Exception as error:
            raise Unplanned from error


async def outcomes(calls: Sequence[Call], arguments: Sequence[Mapping[str, Any]], context: Context) -> list[Any]:
    """Of calls that run at once, as they do not only read: each its value, or what it raised. Raises Unplanned."""
    if any(call.unfit for call in calls):
        raise Unplanned
    running = (call.value(given, context) for call, given in zip(calls, arguments, strict=True))
    found = [await _outcome(one) for one in running] if len(calls) == 1 else await gather(*map(_outcome, running))
    if unfit := next((one for one in found if isinstance(one, Unplanned)), None):
        raise unfit
    return found


async def _outcome(running: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await running
    except Exception as error:
        return error
