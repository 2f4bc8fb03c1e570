"""Object storage of any maker, by the S3 protocol. The client blocks, so it runs in threads of its own.

Only plain requests for objects are sent: some servers take a sub-resource (`?tagging`, `?acl`) for the object itself and
overwrite it. For the same reason every key is new: a condition such as If-None-Match may be ignored.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error

from schema.faults import Fault

from .rules import disposition

T = TypeVar("T")
THREADS = 8
CHUNK = 1_048_576
BATCH = 500
TIMEOUT = urllib3.Timeout(connect=2, read=10)
FAILED = (MinioException, urllib3.exceptions.HTTPError, OSError)
_OURS = re.compile(r"[0-9]{1,9}/[0-9a-f]{32}")

log = structlog.stdlib.get_logger("platform.files")


@dataclass(frozen=True, slots=True)
class S3:
    """Where a bucket is and who we are there. `public_url` is where clients reach it, if that is somewhere else."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    secure: bool = False
    region: str = "us-east-1"
    public_url: str | None = None


def new_key(organization_id: int) -> str:
    """A key nobody can guess, under the tenant's prefix."""
    return f"{organization_id}/{uuid4().hex}"


class FileStorage:
    """One bucket. Whatever goes wrong with it is SERVICE_UNAVAILABLE to the caller, and logged with its reason."""

    def __init__(self, where: S3) -> None:
        self.where = where
        self._bucket = where.bucket
        self._client = _client(where, where.endpoint, where.secure)
        public = urlsplit(where.public_url) if where.public_url else None
        self._signer = _client(where, public.netloc, public.scheme == "https") if public else self._client
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- signing: no request is made --------------------------------------------------------------------------------

    def upload_url(self, key: str, lifetime: timedelta) -> str:
        return self._signer.presigned_put_object(self._bucket, key, expires=lifetime)

    def download_url(self, key: str, lifetime: timedelta, *, filename: str, content_type: str) -> str:
        shown: dict[str, str | list[str] | tuple[str]] = {
            "response-content-type": content_type,
            "response-content-disposition": disposition(filename),
        }
        return self._signer.presigned_get_object(self._bucket, key, expires=lifetime, response_headers=shown)

    # --- objects ----------------------------------------------------------------------------------------------------

    async def size(self, key: str) -> int | None:
        """The size of an object; nothing where there is none."""

        def size() -> int | None:
            found = self._client.stat_object(self._bucket, key)
            return found.size

        return await self._run(size, missing=None)

    async def copy(self, key: str, to: str) -> bool:
        """Copy an object within the bucket; false where there is none."""

        def copy() -> bool:
            self._client.copy_object(self._bucket, to, CopySource(self._bucket, key))
            return True

        return await self._run(copy, missing=False)

    async def read(self, key: str, each: Callable[[bytes], None], *, most: int) -> bool:
        """Pass an object by in pieces, `most` bytes of it and the piece that is more; false where there is none."""

        def read() -> bool:
            response = self._client.get_object(self._bucket, key)
            try:
                passed = 0
                for chunk in response.stream(CHUNK):
                    each(chunk)
                    passed += len(chunk)
                    if passed > most:
                        break
            finally:
                response.close()
                response.release_conn()
            return True

        return await self._run(read, missing=False)

    async def remove(self, key: str) -> None:
        """Have no object under a key; none is fine."""
        await self._run(lambda: self._client.remove_object(self._bucket, key), missing=None)

    async def discard(self, *keys: str) -> None:
        """Remove what is of no use any more; what cannot be removed now is found by the cleanup."""
        for key in keys:
            try:
                await self.remove(key)
            except Fault:
                return

    async def older_than(self, time: datetime) -> AsyncIterator[list[str]]:
        """The keys of our making last written before a time, in batches."""
        listed = self._client.list_objects(self._bucket, recursive=True)

        def some() -> list[Object]:
            return list(islice(listed, BATCH))

        nothing: list[Object] = []
        while batch := await self._run(some, missing=nothing):
            yield [
                name
                for o in batch
                if (name := o.object_name) and o.last_modified and o.last_modified < time and _OURS.fullmatch(name)
            ]

    # --- the bucket -------------------------------------------------------------------------------------------------

    async def reachable(self) -> bool:
        return await self._run(lambda: self._client.bucket_exists(self._bucket), missing=False)

    async def prepare(self) -> None:
        """Make the bucket where there is none. An unreachable storage is told and left for later."""
        try:
            if not await self.reachable():
                await self._run(lambda: self._client.make_bucket(self._bucket), missing=None)
        except Fault:
            log.warning("object storage cannot be reached; files do not work until it can")

    async def _run(self, work: Callable[[], T], *, missing: T) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except FAILED as error:
            if _no_such_key(error):
                return missing
            log.warning("object storage failed", error=type(error).__name__, reason=str(error)[:300])
            raise Fault(
                "SERVICE_UNAVAILABLE", "Object storage cannot be reached just now; try again", retryable=True
            ) from error


def _client(where: S3, endpoint: str, secure: bool) -> Minio:
    return Minio(
        endpoint,
        access_key=where.access_key,
        secret_key=where.secret_key,
        secure=secure,
        region=where.region,  # without it the client asks the server first, even to sign
        http_client=urllib3.PoolManager(
            maxsize=THREADS, timeout=TIMEOUT, retries=urllib3.Retry(total=1, read=0, redirect=0, backoff_factor=0.1)
        ),
    )


def _no_such_key(error: BaseException) -> bool:
    """Servers that answer text/xml make the client raise InvalidResponseError for what others make an S3Error."""
    if isinstance(error, S3Error):
        return error.code == "NoSuchKey"
    return isinstance(error, InvalidResponseError) and "<Code>NoSuchKey</Code>" in str(error)
