"""A house with an object storage of its own: the server the first run has, over a temporary folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api.embedded_s3 import EmbeddedS3
from db.session import Database
from modules.platform.public import S3, FileStorage
from schema.build import build
from tests.support import House

BUCKET = "unison-test"


def where(server: EmbeddedS3) -> S3:
    return S3(server.endpoint, server.access_key, server.secret_key, BUCKET)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    server = EmbeddedS3(tmp_path_factory.mktemp("objects"), BUCKET, ["http://localhost:3000"])
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bucket(objects: EmbeddedS3) -> Path:
    """Where the objects are, to look at them and to put some there behind everybody's back."""
    return objects._folder / "data" / BUCKET


@pytest.fixture(scope="session")
async def storage(objects: EmbeddedS3) -> AsyncIterator[FileStorage]:
    storage = FileStorage(where(objects))
    yield storage
    storage.close()


@pytest.fixture(scope="session")
async def filed(database: Database, storage: FileStorage) -> House:
    house = House(build(), database)
    house.storage = storage
    return house
