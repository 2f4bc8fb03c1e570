"""Opaque ids: base64 of `Type:key`. Another tenant's id and an unknown id are the same to the caller."""

from __future__ import annotations

import binascii

import strawberry

from schema.faults import bad_input

MOST = 2**63 - 1


def encode(type_name: str, key: int) -> strawberry.ID:
    return strawberry.ID(binascii.b2a_base64(f"{type_name}:{key}".encode(), newline=False).decode())


def decode(id: str, argument: str = "id") -> tuple[str, int]:
    """The type name and key in an id, or BAD_USER_INPUT."""
    try:
        type_name, _, key = binascii.a2b_base64(id, strict_mode=True).decode("ascii").partition(":")
    except ValueError:  # of characters that are no base64, or of bytes that are no ASCII
        raise bad_input("Not an id of this API", argument) from None
    number = int(key[:20]) if key.isdigit() else -1
    if not (0 <= number <= MOST and type_name.isalnum() and key == str(number)):
        raise bad_input("Not an id of this API", argument)
    return type_name, number


def key(type_name: str, id: str, argument: str = "id") -> int:
    """The key in an id of the named type, or BAD_USER_INPUT."""
    found, number = decode(id, argument)
    if found != type_name:
        raise bad_input(f"Not an id of the type {type_name}", argument)
    return number


def key_or_none(type_name: str, id: str | None, argument: str = "id") -> int | None:
    return None if id is None else key(type_name, id, argument)
