"""The demo factory: the organizations acme and globex, furnished by every module in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import asyncpg

from db import demo
from modules import MODULES
from schema.registry import Module

PASSWORD = "unison-demo"  # noqa: S105
ORGANIZATIONS: dict[str, Sequence[str]] = {
    "acme": (
        *("admin", "manager", "planner", "supervisor", "operator"),
        *("quality", "maintenance", "warehouse", "viewer"),
    ),
    "globex": ("admin", "operator"),
}


class NotOnlyDemo(Exception):
    """The database holds organizations of other people."""


async def is_empty(url: str) -> bool:
    """Are there no organizations at all? Only then does a start furnish the database unasked."""
    connection = await asyncpg.connect(url)
    try:
        return not await demo.organizations(connection)
    finally:
        await connection.close()


async def is_demo(url: str) -> bool:
    """Are the demo organizations there, so that their sign-ins are worth telling?"""
    connection = await asyncpg.connect(url)
    try:
        return set(ORGANIZATIONS) <= set(await demo.organizations(connection))
    finally:
        await connection.close()


async def seed(url: str, *, scale: float = 1, now: datetime | None = None, modules: Iterable[Module] = MODULES) -> None:
    """Furnish the demo organizations; those of an earlier seed are replaced. Refuses to touch anybody else's."""
    moment = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    connection = await asyncpg.connect(url)
    try:
        present = await demo.organizations(connection)
        if strangers := set(present) - set(ORGANIZATIONS):
            raise NotOnlyDemo(f"Nothing was changed: there are other organizations, {', '.join(sorted(strangers))}")
        if present:
            await demo.clear(connection)
        for code in ORGANIZATIONS:
            async with demo.furnishing(connection, code, now=moment, scale=scale) as factory:
                for module in modules:
                    if module.demo is not None:
                        await module.demo(factory)
        await demo.analyze(connection)
    finally:
        await connection.close()


def sign_ins() -> list[str]:
    """The demo sign-ins, one organization per line."""
    return [
        f"{code:8} {'  '.join(f'{name}@{code}.example' for name in names)}" for code, names in ORGANIZATIONS.items()
    ]
