"""Whose address it is, and what is counted by it."""

from __future__ import annotations

import pytest

from api.client_ip import client_ip, counted, networks


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_what_an_address_counts_as(address: str | None, key: str) -> None:
    assert counted(address) == key


def test_a_trusted_proxy_is_known_on_a_socket_for_both_families() -> None:
    trusted = networks(["10.0.0.0/8"])
    assert client_ip("::ffff:10.0.0.1", "2001:db8::7", trusted) == "2001:db8::7"
    assert client_ip("::ffff:11.0.0.1", "2001:db8::7", trusted) == "::ffff:11.0.0.1"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.7:5678", "192.0.2.7"),
        ("[2001:db8::7]:5678", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("198.51.100.1, 192.0.2.7:5678, 10.0.0.2:443", "192.0.2.7"),
        ("192.0.2.7:5678, [::ffff:10.0.0.2]:443", "192.0.2.7"),
        ("unknown", "10.0.0.1"),
        ("_hidden:80", "10.0.0.1"),
        ("[", "10.0.0.1"),
        ("9" * 70_000, "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_a_proxy_may_write_the_port_as_well(entry: str, address: str) -> None:
    assert client_ip("10.0.0.1", entry, networks(["10.0.0.0/8"])) == address
