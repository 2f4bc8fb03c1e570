"""Tokens: signed access tokens that carry who and for how long, and random secrets of which only hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import jwt

SYMMETRIC: Final = ("HS256",)
ASYMMETRIC: Final = ("RS256", "ES256")
REFRESH_PREFIX: Final = "unison_rt_"
RESET_PREFIX: Final = "unison_pw_"
KEY_PREFIX: Final = "unison_ak_"
LEEWAY: Final = timedelta(seconds=5)


class InvalidToken(Exception):
    """The token is not one of ours, was changed, or has expired. What exactly is not told."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who a verified token speaks for."""

    organization_id: int
    user_id: int
    session_id: str
    expires_at: datetime


class TokenSigner:
    """Issues and verifies access tokens. `key` is the secret of HS256 or the private key (PEM) of RS256 and ES256."""

    def __init__(
        self,
        key: str,
        *,
        algorithm: str = "HS256",
        public_key: str | None = None,
        lifetime: timedelta = timedelta(minutes=30),
        issuer: str = "unison",
        audience: str = "unison",
    ) -> None:
        if algorithm not in (*SYMMETRIC, *ASYMMETRIC):
            raise ValueError(f"unknown algorithm {algorithm}; there is {', '.join((*SYMMETRIC, *ASYMMETRIC))}")
        if algorithm in SYMMETRIC and len(key.encode()) < 32:
            raise ValueError("the secret of HS256 has at least 32 bytes")
        if algorithm in ASYMMETRIC and not public_key:
            raise ValueError(f"{algorithm} needs the public key as well")
        self.algorithm = algorithm
        self.lifetime = lifetime
        self.issuer = issuer
        self.audience = audience
        self._key = key
        self._verify_with = public_key or key

    def issue(self, *, organization_id: int, user_id: int, session_id: str, now: datetime) -> tuple[str, datetime]:
        """A token and when it expires."""
        expires = now.replace(microsecond=0) + self.lifetime
        claims: Mapping[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": str(user_id),
            "org": organization_id,
            "sid": session_id,
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": uuid4().hex,
        }
        return jwt.encode(dict(claims), self._key, algorithm=self.algorithm), expires

    def verify(self, token: str) -> Claims:
        """What a token says, or InvalidToken. Only the configured algorithm is accepted, whatever the header asks."""
        required: Sequence[str] = ("iss", "aud", "sub", "org", "sid", "iat", "exp", "jti")
        try:
            claims = jwt.decode(
                token, self._verify_with, algorithms=[self.algorithm], issuer=self.issuer, audience=self.audience,
                leeway=LEEWAY, options={"require": list(required)},
            )  # fmt: skip
            return Claims(
                organization_id=int(claims["org"]),
                user_id=int(claims["sub"]),
                session_id=str(claims["sid"]),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidToken("not a valid access token") from error


def new_secret(prefix: str) -> str:
    """256 random bits with a prefix that tells people and secret scanners what they found."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret. It is random, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
