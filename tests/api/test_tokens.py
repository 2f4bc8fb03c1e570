"""Keys of a trusted issuer that answers slowly: who waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from api.tokens import TrustedIssuer, UnknownKey

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class SlowKeys(BaseHTTPRequestHandler):
    """An issuer that has to be waited for from the second time on."""

    names: list[str]
    asked: threading.Semaphore
    may_answer: threading.Event

    def do_GET(self) -> None:
        keys = [{**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": n, "alg": "RS256"} for n in self.names]
        self.asked.release()
        self.may_answer.wait(60)
        body = json.dumps({"keys": keys}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def slow() -> Iterator[tuple[TrustedIssuer, type[SlowKeys]]]:
    class Keys(SlowKeys):
        names, asked, may_answer = ["r"], threading.Semaphore(0), threading.Event()

    server = HTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield TrustedIssuer(f"http://127.0.0.1:{server.server_port}/", issuer="sso", audience="unison"), Keys
    Keys.may_answer.set()
    server.shutdown()
    thread.join()
    server.server_close()


def signed(kid: str) -> str:
    now = datetime.now(UTC)
    said = {
        "iss": "sso",
        "aud": "unison",
        "sub": "1",
        "email": "a@b.example",
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    return jwt.encode(said, RSA, algorithm="RS256", headers={"kid": kid})


async def test_only_who_names_an_unknown_key_waits_for_the_issuer(
    slow: tuple[TrustedIssuer, type[SlowKeys]], monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, keys = slow
    keys.may_answer.set()
    assert (await issuer.verify(signed("r"))).email == "a@b.example"
    keys.asked.acquire()
    with pytest.raises(UnknownKey) as told:
        await issuer.verify(signed("made up"))
    assert 0 < told.value.seconds <= 30
    assert not keys.asked.acquire(blocking=False), "not twice within half a minute"
    monkeypatch.setattr("api.tokens.REFETCH_SECONDS", 0.0)
    keys.may_answer.clear()
    keys.names = ["r", "rotated"]
    first = asyncio.create_task(issuer.verify(signed("made up")))
    assert await asyncio.to_thread(keys.asked.acquire)
    others = [asyncio.create_task(issuer.verify(signed("rotated"))) for _ in range(3)]
    for _ in range(3):
        assert (await issuer.verify(signed("r"))).email == "a@b.example"
    assert not any(task.done() for task in (first, *others)), "the issuer has not answered yet"
    first.cancel()
    await asyncio.sleep(0)
    keys.may_answer.set()
    assert {found.email for found in await asyncio.gather(*others)} == {"a@b.example"}, "though the first one has left"
    assert not keys.asked.acquire(blocking=False), "they all waited for one"
