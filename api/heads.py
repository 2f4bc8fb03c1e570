"""A request's headers by name, read once: most requests are asked for them at three doors."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope


def heads_of(scope: Scope) -> Mapping[bytes, bytes]:
    """The headers; of a repeated one the first."""
    state = scope.setdefault("state", {})
    heads: Mapping[bytes, bytes] | None = state.get("heads")
    if heads is None:
        heads = state["heads"] = dict(reversed(scope["headers"]))
    return heads
