"""Requests to addresses others chose: where they may go, and how little of an answer they wait for."""

from __future__ import annotations

import asyncio
import datetime
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.responses import RedirectResponse, StreamingResponse

from tests.worker.receiver import HERE, Received, receiving
from worker.outbound import NOT_ALLOWED, Guard, Outbound, Outcome, Targets, is_public

PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:a00:1::", "2001:0:a00:1::", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "193.99.144.80", "2a00:1450:4001::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_our_own_networks_is_refused(address: str):
    assert not is_public(ip_address(address))
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_allowed(address: str):
    assert is_public(ip_address(address))
    assert Guard().allows(address)


def test_what_the_settings_permit_is_allowed_and_nothing_beside_it():
    guard = Guard(["10.20.0.0/16", "fd12::/16"])
    assert guard.allows("10.20.3.4")
    assert guard.allows("::ffff:10.20.3.4")
    assert guard.allows("fd12::1")
    assert not guard.allows("10.21.0.1")
    assert not guard.allows("fd13::1")


@asynccontextmanager
async def outbound(targets: Targets = HERE, **given: Any) -> AsyncIterator[Callable[[str], Any]]:
    made = Outbound(targets, **given)
    try:
        yield lambda url: made.post(url, {"content-type": "application/json"}, b"{}")
    finally:
        await made.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]"])
async def test_no_way_of_writing_it_reaches_this_machine(host: str):
    async with receiving() as receiver, outbound(Targets(http=True)) as post:
        outcome: Outcome = await post(receiver.url.replace("127.0.0.1", host))
    assert outcome.error == NOT_ALLOWED
    assert receiver.received == []


async def test_http_is_refused_unless_permitted():
    async with receiving() as receiver, outbound(Targets(["127.0.0.0/8"])) as post:
        assert (await post(receiver.url)).error == NOT_ALLOWED
    assert receiver.received == []


class Names:
    """Answers of a name server that change from one question to the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.asked = 0
        self._answers = answers
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "hooks.test":
            return self._real(host, port, *args, **kwargs)
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


async def test_a_name_that_changes_its_mind_is_called_where_it_was_checked(monkeypatch: pytest.MonkeyPatch):
    names = Names(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    async with receiving(host="127.0.0.2") as checked, outbound(Targets(["127.0.0.2/32"], http=True)) as post:
        port = checked.url.rsplit(":", 1)[1]
        assert (await post(f"http://hooks.test:{port}")).good
    assert names.asked == 1
    assert checked.received[0].headers["host"] == f"hooks.test:{port.split('/')[0]}"


async def test_a_name_with_one_address_of_ours_among_others_is_refused(monkeypatch: pytest.MonkeyPatch):
    Names(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    async with outbound(Targets(http=True)) as post:
        assert (await post("http://hooks.test/")).error == NOT_ALLOWED


async def test_a_redirect_is_not_followed():
    async with (
        receiving() as inner,
        receiving(lambda _: RedirectResponse(inner.url, 307)) as receiver,
        outbound() as post,
    ):
        outcome = await post(receiver.url)
    assert (outcome.status, outcome.error) == (307, "The receiver answered 307")
    assert inner.received == []


async def test_of_an_endless_answer_the_beginning_is_read():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"\0" + b"x" * 999
            await asyncio.sleep(0)

    async with receiving(lambda _: StreamingResponse(endless())) as receiver, outbound() as post:
        outcome = await post(receiver.url)
    assert outcome.good
    assert outcome.body is not None
    assert len(outcome.body) <= 1_024
    assert outcome.body.startswith("xxx")


async def test_a_receiver_that_drips_is_given_up():
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.05)

    async with receiving(lambda _: StreamingResponse(dripping())) as receiver, outbound(seconds=0.5) as post:
        outcome = await post(receiver.url)
    assert outcome.error == "It took longer than 0.5 seconds"


async def test_nobody_there_is_told_in_words():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with outbound() as post:
            outcome = await post(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert outcome.status is None
    assert str(outcome.error).startswith("It could not be reached")


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.mark.parametrize(("name", "trusted"), [("hooks.test", True), ("hooks.test", False), ("other.test", True)])
async def test_the_certificate_is_checked_against_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, trusted: bool
):
    Names(monkeypatch, ["127.0.0.1"])
    file, key = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    seen: list[Received] = []
    async with receiving(ssl_certfile=str(file), ssl_keyfile=str(key)) as receiver:
        async with outbound(Targets(["127.0.0.0/8"])) as post:
            outcome = await post(receiver.url.replace("http://127.0.0.1", "https://hooks.test"))
        seen += receiver.received
    assert outcome.good == (trusted and name == "hooks.test") == bool(seen), outcome
    if not outcome.good:
        assert "certificate" in str(outcome.error).lower()
