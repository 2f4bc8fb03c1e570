"""What a client does with files, in short."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from db.actor import Actor
from tests.support import House

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64

CREATE = """mutation($input: UploadCreateInput!) { uploadCreate(input: $input) {
  file { id status size sha256 contentType expiresAt version download { url } }
  upload { url headers { name value } expiresAt } errors { code path } } }"""
COMPLETE = """mutation($id: ID!) { uploadComplete(input: {id: $id}) {
  file { id status version filename uploadedByUser { username } download { url expiresAt } }
  errors { code path retryable ... on UploadDiffers { expected found } } } }"""
DELETE = """mutation($id: ID!, $version: Int!) { fileDelete(input: {id: $id, expectedVersion: $version}) {
  file { status download { url } } errors { code } } }"""
FILE = "query($id: ID!) { file(by: {id: $id}) { id status version filename download { url } } }"


async def announce(house: House, actor: Actor, body: bytes = PNG, **given: Any) -> dict[str, Any]:
    known = {
        "filename": "Riß an Naht 3.png", "size": str(len(body)), "sha256": hashlib.sha256(body).hexdigest(),
        "contentType": "image/png",
    }  # fmt: skip
    made: dict[str, Any] = (await house.data(actor, CREATE, {"input": {**known, **given}}))["uploadCreate"]
    return made


async def send(upload: dict[str, Any], body: bytes) -> int:
    async with httpx.AsyncClient() as client:
        headers = {h["name"]: h["value"] for h in upload["headers"]}
        return (await client.put(upload["url"], content=body, headers=headers)).status_code


async def complete(house: House, actor: Actor, id: str) -> dict[str, Any]:
    made: dict[str, Any] = (await house.data(actor, COMPLETE, {"id": id}))["uploadComplete"]
    return made


async def uploaded(house: House, actor: Actor, body: bytes = PNG, **given: Any) -> dict[str, Any]:
    """A file that is there."""
    made = await announce(house, actor, body, **given)
    assert made["errors"] == [], made
    assert await send(made["upload"], body) == 200
    done = await complete(house, actor, made["file"]["id"])
    assert done["errors"] == [], done
    file: dict[str, Any] = done["file"]
    return file


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)
