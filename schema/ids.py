"""Opaque ids: base64 of `Type:key`. Another tenant's id and an unknown id are the same to the caller."""

from __future__ import annotations

import base64
import binascii

import strawberry

from schema.faults import bad_input

MOST = 2**63 - 1


def encode(type_name: str, key: int) -> strawberry.ID:
    return strawberry.ID(base64.b64encode(f"{type_name}:{key}".encode()).decode())


def decode(id: str, argument: str = "id") -> tuple[str, int]:
    """The type name and key in an id, or BAD_USER_INPUT."""
    try:
        type_name, _, key = base64.b64decode(id, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise bad_input("Not an id of this API", argument) from None
    if not (type_name.isalnum() and key.isdigit() and key == str(int(key[:20])) and int(key) <= MOST):
        raise bad_input("Not an id of this API", argument)
    return type_name, int(key)


def key(type_name: str, id: str, argument: str = "id") -> int:
    """The key in an id of the named type, or BAD_USER_INPUT."""
    found, number = decode(id, argument)
    if found != type_name:
        raise bad_input(f"Not an id of the type {type_name}", argument)
    return number


def key_or_none(type_name: str, id: str | None, argument: str = "id") -> int | None:
    return None if id is None else key(type_name, id, argument)
