"""Requests to addresses others chose: never into networks of our own, never redirected, bounded in time and size."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpcore

from modules.platform.public import webhook_sending

Outcome = webhook_sending.Outcome

SECONDS = 10.0
MOST_BODY = 1_024
CONNECTIONS = 100
KEPT_SECONDS = 15.0
LOOKUPS = 32
"""Names looked up at once: the resolver blocks, and somebody's name server may never answer."""
NAT64 = ip_network("64:ff9b::/96")
NOT_ALLOWED = "The address is not one that may be called from here"


class NotAllowed(Exception):
    """The target is one that the settings of this server do not permit."""


def within(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address and those it carries: of IPv4 in IPv6 both count."""
    inner: list[IPv4Address | None] = []
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64 or int(address) < 2**32:
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(found for found in inner if found is not None)]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Is it, and is what it carries, an address of the internet at large."""
    for one in within(address):
        mapped = isinstance(one, IPv6Address) and (one.ipv4_mapped is not None or one in NAT64)
        local = isinstance(one, IPv6Address) and (one.is_site_local or one.scope_id is not None)
        if one.is_multicast or local or not (one.is_global or mapped):
            return False
    return True


class Guard(httpcore.AsyncNetworkBackend):
    """Connects to addresses, not to names: the one that was checked is the one that is called, whatever the name says a
    moment later. TLS and the Host header keep the name."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(name, strict=False) for name in networks]
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        self._backend = httpcore.AnyIOBackend()

    def allows(self, address: str) -> bool:
        found = ip_address(address)
        return is_public(found) or any(
            one in network for one in within(found) for network in self._networks if one.version == network.version
        )

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        addresses = await self._addresses(host, port)
        if not all(self.allows(address) for address in addresses):
            raise NotAllowed
        failed: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("the name has no address")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise NotAllowed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _addresses(self, host: str, port: int) -> list[str]:
        def looked_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(entry[4][0]) for entry in found))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, looked_up)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name is not known") from None


@dataclass(frozen=True, slots=True)
class Targets:
    """What the settings permit besides https to the internet at large."""

    networks: Sequence[str] = ()
    http: bool = False


class Outbound:
    """Posts to webhook receivers."""

    def __init__(self, targets: Targets, *, seconds: float = SECONDS) -> None:
        self._http = targets.http
        self._seconds = seconds
        self._guard = Guard(targets.networks)
        trusted = ssl.create_default_context(cafile=certifi.where())
        trusted.load_default_certs()  # also those of the company, where the system or SSL_CERT_FILE has them
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted, network_backend=self._guard, max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS // 2, keepalive_expiry=KEPT_SECONDS,
        )  # fmt: skip

    async def close(self) -> None:
        await self._pool.aclose()
        self._guard.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """What came of it; it raises nothing on the receiver's account."""
        began = time.monotonic()
        status, start, error = None, None, None
        try:
            if urlsplit(url).scheme != "https" and not self._http:
                raise NotAllowed
            async with asyncio.timeout(self._seconds):
                status, start = await self._exchanged(url, headers, body)
            if not 200 <= status < 300:
                error = f"The receiver answered {status}"
        except NotAllowed:
            error = NOT_ALLOWED
        except (TimeoutError, httpcore.TimeoutException):
            error = f"It took longer than {self._seconds:g} seconds"
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            ssl.SSLError,
            OSError,
        ) as failed:
            error = f"It could not be reached: {str(failed)[:200] or type(failed).__name__}"
        return Outcome(int((time.monotonic() - began) * 1_000), status, start, error)

    async def _exchanged(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        start = b""
        async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as response:
            async for part in response.aiter_stream():
                start += part
                if len(start) >= MOST_BODY:  # the rest is nobody's business; the connection is closed
                    break
            return response.status, start[:MOST_BODY].decode("utf-8", "replace").replace("\0", "")
