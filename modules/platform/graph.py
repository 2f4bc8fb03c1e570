"""The module's root fields."""

from .audit.graph import audit_entries, record_as_of
from .changes.graph import changes
from .files.graph import file, file_delete, file_events, files, upload_complete, upload_create
from .numbering.graph import numbering_scheme_set, numbering_schemes
from .settings.graph import setting_reset, setting_set, settings

__all__ = [
    "audit_entries", "changes", "file", "file_delete", "file_events", "files", "numbering_scheme_set",
    "numbering_schemes", "record_as_of", "setting_reset", "setting_set", "settings", "upload_complete", "upload_create",
]  # fmt: skip
