"""The address a request really comes from: proxies in front of us are believed only if they were named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

LONGEST = 64
Network = IPv4Network | IPv6Network


def networks(named: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(name, strict=False) for name in named)


def client_ip(peer: str | None, forwarded_for: str | None, trusted: tuple[Network, ...]) -> str | None:
    """The peer, or behind trusted proxies the last address in X-Forwarded-For that is not one of them."""
    address = peer
    hops = [hop.strip() for hop in (forwarded_for or "").split(",") if hop.strip()]
    while address is not None and hops and _within(address, trusted):
        address = hops.pop()
    return address if address is None or _valid(address) else peer


@lru_cache(maxsize=10_000)
def _within(address: str, trusted: tuple[Network, ...]) -> bool:
    return _valid(address) and any(ip_address(address) in network for network in trusted)


def _valid(address: str) -> bool:
    return len(address) <= LONGEST and _parsed(address)


@lru_cache(maxsize=10_000)
def _parsed(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
