"""PostgreSQL without an installation: its programs come with a Python package, its data stands in one folder."""

from db.embedded.folder import AlreadyRunning, EmbeddedError
from db.embedded.server import EmbeddedPostgres, temporary

__all__ = ["AlreadyRunning", "EmbeddedError", "EmbeddedPostgres", "temporary"]
