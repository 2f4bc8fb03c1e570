"""From a token or an API key to an Actor, and on connections that stay open, to the Actor as it is now."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import structlog
from sqlalchemy import text

from api.client_ip import counted
from api.errors import LOST, Rejected
from api.graphql import Follower
from api.guesses import Ended, Guesses
from api.recent import Recent
from api.settings import Settings
from api.tokens import BadToken, Expired, TrustedIssuer, UnknownKey, issuer_of, merely_expired
from db.actor import ANONYMOUS, Actor
from db.session import Database
from modules.identity.public import InvalidToken, TokenSigner, load_app_actor, load_user_actor

log = structlog.stdlib.get_logger("api.auth")

KEY_PREFIX = "unison_"
ACTOR_SECONDS = 3.0
"""How long an actor is believed: after this a changed role, a disabled user or a revoked session takes effect."""
RECHECK_SECONDS = 2.0
LONGEST_KEPT = 2_048
"""Characters of a header that is not taken apart anew each time; nobody has proven anything yet who sends it."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""When no key had expired."""

_USERS_BY_EMAIL = text("select * from auth.users_by_email(:organization, :email)")
_PRINCIPAL_OF_KEY = text("select auth.principal_of_key(:hash, :now)")


@dataclass(frozen=True)
class Claims:
    """What was proven, until when. A token of another issuer has no session here."""

    organization_id: int
    user_id: int
    session_id: str | None
    expires_at: datetime

    @cached_property
    def key(self) -> str:
        """Under which the caller is known for a while."""
        return f"{self.organization_id}:{self.user_id}:{self.session_id}:{self.expires_at.timestamp()}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client presented; nothing is proven yet."""

    token: str | None = None
    api_key: str | None = None


def credentials_of(heads: Mapping[bytes, bytes]) -> Credentials:
    """`Authorization: Bearer <token or key>`, or the key alone in `X-Api-Key`."""
    if (header := heads.get(b"authorization")) is not None:
        return bearer(header.decode("latin-1"))
    key = heads.get(b"x-api-key")
    return Credentials(api_key=key.decode("latin-1").strip()) if key is not None else Credentials()


def bearer(header: str) -> Credentials:
    return _bearer(header) if len(header) <= LONGEST_KEPT else _bearer.__wrapped__(header)


@lru_cache(maxsize=1_024)
def _bearer(header: str) -> Credentials:
    scheme, _, secret = header.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise unauthenticated("Send Authorization: Bearer <token>")
    return Credentials(api_key=secret) if secret.startswith(KEY_PREFIX) else Credentials(token=secret)


def unauthenticated(message: str) -> Rejected:
    return Rejected.because("UNAUTHENTICATED", message)


class _Undone(Exception):
    """Ends a transaction of which nothing is to stay."""


class Authenticator:
    def __init__(
        self, settings: Settings, database: Database, tokens: TokenSigner, rescope: Callable[[Actor, Actor], None]
    ) -> None:
        self._database = database
        self._tokens = tokens
        self.rescope = rescope
        """Told when the rights of a caller with an open connection have changed."""
        self._trusted = (
            TrustedIssuer(settings.jwt_jwks_url, issuer=settings.jwt_issuer or "", audience=settings.jwt_audience or "")
            if settings.jwt_jwks_url
            else None
        )
        self._claims: Recent[Claims] = Recent(10_000)
        self._actors: Recent[Actor] = Recent(10_000)
        self._loading: dict[str, asyncio.Task[Actor]] = {}
        self._guesses = Guesses(settings.bad_credentials_per_minute)

    async def caller(self, credentials: Credentials, *, request_id: str, client_ip: str | None) -> Caller:
        """The caller, or Rejected with UNAUTHENTICATED if what they presented is not good."""
        actor = await self.actor(credentials, client_ip)
        return Caller(self, credentials, actor.asking(request_id, client_ip))

    async def actor(self, credentials: Credentials, client_ip: str | None) -> Actor:
        if credentials.token is not None:
            return await self._user(credentials.token, client_ip)
        if credentials.api_key is not None:
            return await self._app(credentials.api_key, client_ip)
        return ANONYMOUS

    async def _verified(self, token: str, client_ip: str | None) -> Claims:
        claims = self._claims.get(token)
        if claims is None:
            key = _digest(token).hex()
            self._guesses.recall(key)
            try:
                claims = await self._proven(token, key, client_ip)
            except Expired as old:
                raise unauthenticated(str(old)) from None
            except UnknownKey as unknown:  # the issuer may be about to publish it
                self._guesses.made_up(key, client_ip, str(unknown), unknown.seconds)
                raise unauthenticated(str(unknown)) from None
            except BadToken as bad:
                self._guesses.made_up(key, client_ip, str(bad))
                raise unauthenticated(str(bad)) from None
            except InvalidToken as bad:
                said = "The token is not valid or has expired"
                if not merely_expired(bad):
                    self._guesses.made_up(key, client_ip, said)
                raise unauthenticated(said) from None
            left = (claims.expires_at - datetime.now(UTC)).total_seconds()
            if left <= 0:  # the signer allows for clocks that differ; a socket must not be closed and accepted again
                raise unauthenticated("The token has expired")
            self._claims.keep(token, claims, left)
        return claims

    async def _proven(self, token: str, key: str, client_ip: str | None) -> Claims:
        if self._trusted is None or issuer_of(token) != self._trusted.issuer:
            own = self._tokens.verify(token)
            return Claims(own.organization_id, own.user_id, own.session_id, own.expires_at)
        foreign = await self._trusted.verify(token)
        async with self._guesses.looking(key, client_ip, genuine=True), self._database.anonymous() as tx:
            found = await tx.rows(_USERS_BY_EMAIL, {"organization": foreign.organization_code, "email": foreign.email})
            if len(found) != 1:
                raise unauthenticated("The token names nobody here, or somebody in several organizations")
        return Claims(found[0].organization_id, found[0].user_id, None, foreign.expires_at)

    async def _user(self, token: str, client_ip: str | None) -> Actor:
        claims = await self._verified(token, client_ip)
        key = claims.key
        actor = self._actors.get(key)
        if actor is None:
            async with self._guesses.looking(key, client_ip, genuine=True):
                actor = await self._once(key, lambda: self._load_user(claims))
        return actor

    async def _load_user(self, claims: Claims) -> Actor:
        found = await load_user_actor(self._database, claims.organization_id, claims.user_id, claims.session_id)
        if found is None:
            raise unauthenticated("The session has ended; sign in again")
        return replace(found, expires_at=claims.expires_at, session_id=claims.session_id)

    async def _app(self, api_key: str, client_ip: str | None) -> Actor:
        key = _digest(api_key).hex()
        actor = self._actors.get(key)
        if actor is None:
            async with self._guesses.looking(key, client_ip):
                actor = self._actors.get(key) or await self._once(key, lambda: self._load_app(api_key))
        return actor

    async def _load_app(self, api_key: str) -> Actor:
        actor = await load_app_actor(self._database, api_key) if api_key.isascii() else None
        if actor is None:
            if api_key.isascii() and await self._was_good(api_key):
                raise Ended.because("UNAUTHENTICATED", "The API key has expired")
            raise unauthenticated("The API key is not valid")
        return actor

    async def _was_good(self, api_key: str) -> bool:
        """Whether it is only too late for the key. It is asked for as of long ago; that it was used then is not kept."""
        found = None
        with suppress(_Undone):
            async with self._database.anonymous() as tx:
                found = await tx.scalar(_PRINCIPAL_OF_KEY, {"hash": _digest(api_key), "now": LONG_AGO})
                raise _Undone
        return found is not None

    async def _once(self, key: str, load: Callable[[], Coroutine[Any, Any, Actor]]) -> Actor:
        """What is loaded for one request is loaded for all that wait for the same."""
        loading = self._loading.get(key)
        if loading is None:

            async def kept() -> Actor:
                try:
                    actor = await load()
                finally:
                    del self._loading[key]
                self._actors.keep(key, actor, ACTOR_SECONDS)
                return actor

            loading = self._loading[key] = asyncio.create_task(kept())
            loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(loading)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Caller:
    """Who is on the other end of a connection, now."""

    def __init__(self, authenticator: Authenticator, credentials: Credentials, actor: Actor) -> None:
        self.actor = actor
        self._authenticator = authenticator
        self._credentials = credentials
        self._followers: set[Follower] = set()
        self._found: Actor | None = None

    @property
    def key(self) -> str:
        """Under which the connections and subscriptions of a caller are counted."""
        who = self.actor
        return f"{who.organization_id}:{who.principal}" if who.signed_in else f"ip:{counted(who.client_ip)}"

    @contextmanager
    def follow(self, follower: Follower) -> Iterator[None]:
        """While this lasts, the follower's actor is the caller as it is now."""
        self._followers.add(follower)
        try:
            yield
        finally:
            self._followers.discard(follower)

    async def until_refused(self) -> str:
        """Return, with the reason, when the caller may no longer be here: expired, signed out or disabled."""
        while True:
            pause = RECHECK_SECONDS
            if self.actor.expires_at is not None:
                pause = min(pause, (self.actor.expires_at - datetime.now(UTC)).total_seconds())
                if pause <= 0:
                    return "The token has expired"
            await asyncio.sleep(pause)
            try:
                await self.refresh()
            except Rejected as rejected:
                return str(rejected)
            except LOST as error:
                log.warning("caller not rechecked", error=type(error).__name__)

    async def refresh(self) -> None:
        """Take over what was changed about the caller's rights."""
        found = await self._authenticator.actor(self._credentials, self.actor.client_ip)
        if found is self._found:
            return
        self._found = found
        now = found.asking(self.actor.request_id, self.actor.client_ip)
        if now != self.actor:
            self._authenticator.rescope(self.actor, now)
            self.actor = now
            for follower in list(self._followers):
                follower.actor = now
