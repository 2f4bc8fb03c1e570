"""Top-level errors: what a caller did wrong before any business rule was asked, each with a code to switch on."""

from __future__ import annotations

from typing import Any

import asyncpg


class Fault(Exception):
    """An error of the request itself. It reaches the client as `errors[].extensions {code retryable …}`."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, status: int = 200, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.status = status
        """HTTP status where the whole request fails before it runs."""
        self.details = details

    @property
    def extensions(self) -> dict[str, Any]:
        return {"code": self.code, "retryable": self.retryable, **self.details}


def bad_input(message: str, argument: str | None = None, **details: Any) -> Fault:
    if argument is not None:
        details["argument"] = argument
    return Fault("BAD_USER_INPUT", message, **details)


def forbidden(permission: str) -> Fault:
    return Fault("FORBIDDEN", f"Requires the permission {permission}", permission=permission)


def unstorable(error: asyncpg.DataError) -> Fault:
    """The fault of a value PostgreSQL cannot hold or compare (SQLSTATE class 22), whatever let it through so far."""
    return bad_input("A value is outside what can be stored or compared")


def unauthenticated(message: str = "Sign in first") -> Fault:
    return Fault("UNAUTHENTICATED", message, status=401)
