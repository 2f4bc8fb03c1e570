"""Which object storage a command works on: the one MINIO_ENDPOINT names, else the embedded one of UNISON_HOME."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.embedded_s3 import EmbeddedS3, running
from api.settings import Settings
from modules.platform.public import S3


@dataclass(frozen=True, slots=True)
class Objects:
    """Where the objects are. `server` is set where this process runs the server itself."""

    where: S3
    server: EmbeddedS3 | None = None

    def environment(self) -> dict[str, str]:
        """What a worker beside us has to be told."""
        return {
            "MINIO_ENDPOINT": self.where.endpoint,
            "MINIO_ACCESS_KEY": self.where.access_key,
            "MINIO_SECRET_KEY": self.where.secret_key,
            "MINIO_BUCKET": self.where.bucket,
            "MINIO_SECURE": str(self.where.secure).lower(),
            "MINIO_REGION": self.where.region,
        }


def objects_folder(settings: Settings) -> Path:
    return settings.unison_home / "objects"


def known_objects(settings: Settings) -> S3 | None:
    """The object storage that is there without starting any."""
    if settings.minio_endpoint is not None:
        assert settings.minio_access_key is not None
        assert settings.minio_secret_key is not None
        return S3(
            settings.minio_endpoint,
            settings.minio_access_key,
            settings.minio_secret_key,
            settings.minio_bucket,
            secure=settings.minio_secure,
            region=settings.minio_region,
            public_url=settings.minio_public_url,
        )
    found = running(objects_folder(settings))
    return None if found is None else _embedded(settings, *found)


@contextmanager
def objects(settings: Settings) -> Iterator[Objects]:
    """The object storage for the length of the block; an embedded server is started before and stopped after it."""
    if settings.minio_endpoint is not None:
        where = known_objects(settings)
        assert where is not None
        yield Objects(where)
        return
    server = EmbeddedS3(objects_folder(settings), settings.minio_bucket, settings.backend_cors_origins)
    server.start()
    try:
        yield Objects(_embedded(settings, server.endpoint, server.access_key, server.secret_key), server)
    finally:
        server.stop()


def _embedded(settings: Settings, endpoint: str, access_key: str, secret_key: str) -> S3:
    return S3(endpoint, access_key, secret_key, settings.minio_bucket, public_url=settings.minio_public_url)
