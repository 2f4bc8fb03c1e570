"""Files while the object storage comes and goes: what is ready is there, whole; what is not can be completed later."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx

from api.embedded_s3 import EmbeddedS3
from tests.faults.conftest import BUCKET, Api
from tests.modules.platform.files.desk import COMPLETE, CREATE, PNG

SECONDS = float(os.environ.get("CHAOS_SECONDS", "6")) / 2
WRITERS = 4


class Uploader:
    """A client that tries again for as long as it is told to."""

    def __init__(self, api: Api, token: str, tries: Counter[str]) -> None:
        self._client = httpx.AsyncClient(timeout=15, headers={"authorization": f"Bearer {token}"})
        self._url = f"{api.url}/graphql"
        self._tries = tries
        self.bodies: dict[str, bytes] = {}
        self.ready: set[str] = set()

    async def run(self, until: float) -> None:
        async with self._client:
            while time.monotonic() < until or self.ready != set(self.bodies):
                await self._upload()

    async def _upload(self) -> None:
        body = PNG + random.randbytes(random.choice((10, 5_000, 3_000_000)))
        known = {"filename": "a.png", "size": str(len(body)), "sha256": hashlib.sha256(body).hexdigest()}
        made = await self._ask(CREATE, {"input": {**known, "contentType": "image/png"}}, "uploadCreate")
        if made is None or made["errors"]:
            self._tries["not announced"] += 1
            return
        id = made["file"]["id"]
        self.bodies[id] = body
        while id not in self.ready:
            self._tries["tried"] += 1
            with suppress(httpx.TransportError):
                headers = {each["name"]: each["value"] for each in made["upload"]["headers"]}
                async with httpx.AsyncClient(timeout=15) as plain:
                    await plain.put(made["upload"]["url"], content=body, headers=headers)
            done = await self._ask(COMPLETE, {"id": id}, "uploadComplete")
            if done is not None and done["file"] is not None and done["file"]["status"] == "READY":
                self.ready.add(id)
            else:
                self._tries["refused"] += 1
                await asyncio.sleep(0.1)

    async def _ask(self, query: str, variables: dict[str, Any], field: str) -> dict[str, Any] | None:
        answer = (await self._client.post(self._url, json={"query": query, "variables": variables})).json()
        found: dict[str, Any] | None = (answer.get("data") or {}).get(field)
        return found


async def test_a_file_is_there_whole_or_not_yet(api: Api, token: str, objects: EmbeddedS3) -> None:
    tries: Counter[str] = Counter()
    uploaders = [Uploader(api, token, tries) for _ in range(WRITERS)]
    until = time.monotonic() + SECONDS
    uploading = [asyncio.create_task(uploader.run(until)) for uploader in uploaders]
    outages = 0
    while time.monotonic() < until or not outages:
        await asyncio.sleep(random.uniform(0.2, 0.8))
        assert objects._process is not None
        objects._process.kill()
        objects._process.wait()
        await asyncio.sleep(random.uniform(0.2, 0.6))
        await asyncio.to_thread(objects.start)
        outages += 1
    async with asyncio.timeout(60):
        await asyncio.gather(*uploading)
    bodies = {id: body for uploader in uploaders for id, body in uploader.bodies.items()}
    query = "query($id: ID!) { file(by: {id: $id}) { status sha256 download { url } } }"
    async with httpx.AsyncClient(timeout=15, headers={"authorization": f"Bearer {token}"}) as client:
        for id, body in bodies.items():
            answer = await client.post(f"{api.url}/graphql", json={"query": query, "variables": {"id": id}})
            file = answer.json()["data"]["file"]
            assert file["status"] == "READY"
            async with httpx.AsyncClient(timeout=15) as plain:
                assert (await plain.get(file["download"]["url"])).content == body
    left = sum(1 for path in (objects._folder / "data" / BUCKET).rglob("*") if path.is_file())
    print(
        f"\n{outages} outages of the object storage: {len(bodies)} files are there whole, {left} objects; {dict(tries)}"
    )
    assert bodies
    assert tries["refused"] + tries["not announced"] > 0, "it was noticed"
