"""Keys of access tokens: those we sign with ourselves, and those a trusted issuer publishes for single sign-on."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from api.settings import Settings
from modules.identity.public import InvalidToken, TokenSigner

log = structlog.stdlib.get_logger("api.tokens")

REFETCH_SECONDS = 30.0
LEEWAY_SECONDS = 5


class BadToken(Exception):
    """The token proves nothing. The message may be shown."""


class Expired(BadToken):
    """It was good once: nobody guesses with it."""


class UnknownKey(BadToken):
    """Signed with a key the issuer has not published, as far as we know; so many seconds later we may look again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("The token is signed with an unknown key")
        self.seconds = seconds


def merely_expired(error: InvalidToken) -> bool:
    """Whether a token of ours is well signed, and only too old."""
    return isinstance(error.__cause__, jwt.ExpiredSignatureError)


def signer(settings: Settings) -> TokenSigner:
    """Signs the tokens of sign-in with SECRET_KEY, or with JWT_PRIVATE_KEY where other services verify them too."""
    lifetime = timedelta(minutes=settings.jwt_access_token_expire_minutes)
    if settings.jwt_algorithm == "HS256":
        return TokenSigner(settings.secret_key, lifetime=lifetime)
    pem = settings.jwt_private_key or ""
    public = load_pem_private_key(pem.encode(), None).public_key()
    public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return TokenSigner(pem, algorithm=settings.jwt_algorithm, public_key=public_pem, lifetime=lifetime)


@dataclass(frozen=True, slots=True)
class Foreign:
    """Whom a trusted issuer speaks for: a person by e-mail address, in the organization of a code if it names one."""

    email: str
    organization_code: str | None
    expires_at: datetime


class TrustedIssuer:
    """Accepts tokens of one configured issuer (RS256 or ES256), whose keys are published as a JWKS."""

    def __init__(self, url: str, *, issuer: str, audience: str) -> None:
        self.issuer = issuer
        self._url = url
        self._audience = audience
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def verify(self, token: str) -> Foreign:
        header = _unverified_header(token)
        key = await self._key(str(header.get("kid", "")))
        algorithm = header.get("alg")
        if key is None:
            raise UnknownKey(max(1.0, self._fetched + REFETCH_SECONDS - monotonic()))
        if algorithm not in ("RS256", "ES256") or key.algorithm_name != algorithm:
            raise BadToken("The token is not signed as its key asks")
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                issuer=self.issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Expired("The token has expired") from None
        except jwt.PyJWTError:
            raise BadToken("The token is not valid") from None
        return _foreign(claims)

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        """A key by its name. An unknown name makes us look again, but not more often than twice a minute, and only those
        wait for that whose key is not known either."""
        if kid not in self._keys:
            if self._fetching is None and monotonic() - self._fetched > REFETCH_SECONDS:
                self._fetched = monotonic()
                self._fetching = asyncio.create_task(self._refetch())
            if self._fetching is not None:
                await asyncio.shield(self._fetching)  # who asked first may leave: the others wait for the same
        return self._keys.get(kid)

    async def _refetch(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("keys of the trusted issuer cannot be read", error=type(error).__name__)
        finally:
            self._fetching = None

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        with urllib.request.urlopen(self._url, timeout=5) as response:  # noqa: S310  an operator's setting, http(s) only
            keys = jwt.PyJWKSet.from_dict(json.load(response)).keys
        return {key.key_id or "": key for key in keys}


def issuer_of(token: str) -> str | None:
    """Who claims to have issued it; nothing is proven yet."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return None
    return issuer if isinstance(issuer, str) else None


def _foreign(claims: dict[str, Any]) -> Foreign:
    email, organization = claims.get("email"), claims.get("org")
    if not isinstance(email, str) or claims.get("email_verified") is False:
        raise BadToken("The token names no verified e-mail address")
    if organization is not None and not isinstance(organization, str):
        raise BadToken("The claim `org` must be the code of an organization")
    return Foreign(email, organization, datetime.fromtimestamp(int(claims["exp"]), UTC))


def _unverified_header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise BadToken("The token cannot be read") from None
