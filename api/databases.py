"""Which PostgreSQL a command works on: the one DATABASE_URL names, else the embedded one of UNISON_HOME."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from api.settings import Settings, SettingsError
from db.embedded import EmbeddedPostgres
from db.roles import app_url, events_url


@dataclass(frozen=True, slots=True)
class Databases:
    """URLs of one database, by role. `server` is set where this process runs the server itself."""

    url: str | None = field(repr=False)
    app_url: str = field(repr=False)
    events_url: str = field(repr=False)
    embedded: bool
    server: EmbeddedPostgres | None = None

    @property
    def privileged_url(self) -> str:
        """The URL that may migrate; replicas in production may be run without it."""
        if self.url is None:
            raise SettingsError(["DATABASE_URL: required to migrate and to seed"])
        return self.url


def embedded_folder(settings: Settings) -> Path:
    return settings.unison_home / "postgres"


@contextmanager
def databases(settings: Settings, *, own: bool = False) -> Iterator[Databases]:
    """The database for the length of the block. `own` demands to start the embedded server, rather than to share the
    one `unison serve` is running; what was started here is stopped at the end."""
    if settings.database_url or (settings.database_app_url and settings.database_events_url):
        yield _of(settings, settings.database_url, embedded=False)
        return
    folder = embedded_folder(settings)
    running = None if own else EmbeddedPostgres.running_url(folder)
    if running is not None:
        yield _of(settings, running, embedded=True)
        return
    server = EmbeddedPostgres(folder)
    url = server.start()
    try:
        yield _of(settings, url, embedded=True, server=server)
    finally:
        server.stop()


def _of(settings: Settings, url: str | None, *, embedded: bool, server: EmbeddedPostgres | None = None) -> Databases:
    app = settings.database_app_url or app_url(str(url), settings.secret_key)
    events = settings.database_events_url or events_url(str(url), settings.secret_key)
    return Databases(url, app, events, embedded, server)
