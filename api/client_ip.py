"""The address a request really comes from, and what is counted by it. Proxies in front of us are believed only if named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

LONGEST = 64
ONE_SITE = 64
"""Bits of an IPv6 address that are one customer's: the other half each device chooses as it likes."""
Network = IPv4Network | IPv6Network


def networks(named: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(name, strict=False) for name in named)


def client_ip(peer: str | None, forwarded_for: str | None, trusted: tuple[Network, ...]) -> str | None:
    """The peer, or behind trusted proxies the last address in X-Forwarded-For that is not one of them."""
    if not forwarded_for:
        return peer
    address = peer
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    while address is not None and hops and _valid(address) and _within(address, trusted):
        address = _without_port(hops.pop())
    return address if address is None or _valid(address) else peer


def _without_port(hop: str) -> str:
    """Some proxies write the port as well: `192.0.2.7:5678`, `[2001:db8::7]:5678`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(maxsize=10_000)
def counted(address: str | None) -> str:
    """The key under which everything is counted that is counted by address: an IPv4 address, or an IPv6 network."""
    if address is None or not _valid(address):
        return "unknown"
    plain = _plain(address)
    return str(plain if plain.version == 4 else IPv6Network((int(plain), ONE_SITE), strict=False))


def _plain(address: str) -> IPv4Address | IPv6Address:
    """A socket for both families shows IPv4 as IPv6."""
    found = ip_address(address)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


@lru_cache(maxsize=10_000)
def _within(address: str, trusted: tuple[Network, ...]) -> bool:
    return any(_plain(address) in network for network in trusted)


def _valid(address: str) -> bool:
    return len(address) <= LONGEST and _parsed(address)


@lru_cache(maxsize=10_000)
def _parsed(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
