"""The module's root fields."""

from .audit.graph import audit_entries, record_as_of
from .changes.graph import changes
from .files.graph import file, file_delete, file_events, files, upload_complete, upload_create
from .numbering.graph import numbering_scheme_set, numbering_schemes
from .offline.graph import offline_batch, offline_batches
from .settings.graph import setting_reset, setting_set, settings
from .work.graph import dead_letters, job, job_discard, job_events, job_retry, jobs, schedule_runs, schedules

__all__ = [
    "audit_entries", "changes", "dead_letters", "file", "file_delete", "file_events", "files", "job", "job_discard",
    "job_events", "job_retry", "jobs", "numbering_scheme_set", "numbering_schemes", "offline_batch", "offline_batches",
    "record_as_of", "schedule_runs", "schedules", "setting_reset", "setting_set", "settings", "upload_complete",
    "upload_create",
]  # fmt: skip
