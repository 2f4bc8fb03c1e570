"""Password hashes: argon2id, made in a thread so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB and two passes: the least OWASP recommends, and little enough for many sign-ins at once at shift change.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _bytes(password: str) -> bytes:
    """The same password however it was typed: composed and decomposed characters are one."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def hash_now(password: str) -> str:
    """For tools and seeds; in the server use `hashed`."""
    return _HASHER.hash(_bytes(password))


async def hashed(password: str) -> str:
    return await asyncio.to_thread(hash_now, password)


async def matches(stored: str | None, password: str) -> bool:
    """Does the password fit the hash. Without a hash it takes as long, so that the time tells nothing."""
    if len(password) > 4_000:
        password = password[:4_000]  # longer ones cannot have been set; hashing megabytes is a way to keep us busy
    return await asyncio.to_thread(_verify, stored or _nobodys_hash(), password) and stored is not None


def outdated(stored: str) -> bool:
    """Was the hash made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return hash_now("nobody has this password")
