"""Heads of answers: put together of lines that are ready, they are what uvicorn writes."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.frames import BoundedProtocol
from api.responses import WHOLE
from tests.api.test_protocols import echo, in_production, listening


async def saying(scope: Any, receive: Any, send: Any) -> None:
    """An answer with the headers the path names: `/name=value,name=value`."""
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
        return
    headers = [tuple(part.encode().split(b"=", 1)) for part in scope["path"][1:].split(",")]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    if scope["query_string"] == b"whole" and WHOLE in scope.get("extensions", ()):
        await send({**start, WHOLE: b"said"})
    else:
        await send(start)
        await send({"type": "http.response.body", "body": b"said"})


SAID = {
    "plain": "content-length=4,content-type=text/plain,x-request-id=abc,cache-control=no-store",
    "no length": "content-type=a",
    "refused": "content-length=4,retry-after=1,vary=Origin,www-authenticate=Bearer",
    "of other names": "content-length=4,x-other=1,content-type=a",
    "of a strange id": "content-length=4,x-request-id=a%0D%0Ainjected:%201",
    "that breaks the line": "content-length=4,cache-control=a%0D%0Ainjected:%201",
    "that closes": "content-length=4,connection=close",
    "in capitals": "Content-Length=4,Content-Type=a",
    "twice the length": "content-length=4,content-length=4",
    "too long": "content-length=5,content-type=a",
    "too short": "content-length=3,content-type=a",
    "no number": "content-length=four,content-type=a",
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("whole", ["", "?whole"])
async def test_heads_are_those_of_uvicorn(said: str, version: str, whole: str) -> None:
    """Twice, since the second is made of lines that are ready; and twice over one connection."""
    request = f"GET /{said}{whole} HTTP/{version}\r\nhost: x\r\n\r\n".encode() * 2

    async def heads(http: Any) -> list[bytes]:
        told = []
        async with listening(http=http, app=saying) as port:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        told.append(b"")
                        while piece := await reader.read(65_536):
                            told[-1] += piece
                writer.close()
        return [re.sub(rb"date: [^\r]*", b"date", one) for one in told]

    async def both() -> None:
        ours, theirs = await heads(BoundedProtocol), await heads(HttpToolsProtocol)
        assert ours == theirs
        assert len(theirs) == 2

    await in_production(both())
