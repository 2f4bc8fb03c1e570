"""The module's root fields."""

from .audit.graph import audit_entries, record_as_of
from .changes.graph import changes
from .documents.graph import trusted_documents, trusted_documents_register
from .files.graph import file, file_delete, file_events, files, upload_complete, upload_create
from .notifications.graph import (
    notification,
    notification_events,
    notification_mark_all_read,
    notification_mark_read,
    notification_preference_set,
    notification_preferences,
    notification_unread_count,
    notifications,
)
from .numbering.graph import numbering_scheme_set, numbering_schemes
from .offline.graph import offline_batch, offline_batches
from .settings.graph import setting_reset, setting_set, settings
from .webhooks.graph import (
    webhook_deliveries,
    webhook_delivery,
    webhook_delivery_redeliver,
    webhook_endpoint,
    webhook_endpoint_archive,
    webhook_endpoint_create,
    webhook_endpoint_events,
    webhook_endpoint_pause,
    webhook_endpoint_replay,
    webhook_endpoint_resume,
    webhook_endpoint_test,
    webhook_endpoint_update,
    webhook_endpoints,
    webhook_secret_rotate,
)
from .work.graph import dead_letters, job, job_discard, job_events, job_retry, jobs, schedule_runs, schedules

__all__ = [
    "audit_entries", "changes", "dead_letters", "file", "file_delete", "file_events", "files", "job", "job_discard",
    "job_events", "job_retry", "jobs", "notification", "notification_events", "notification_mark_all_read",
    "notification_mark_read", "notification_preference_set", "notification_preferences", "notification_unread_count",
    "notifications", "numbering_scheme_set", "numbering_schemes", "offline_batch", "offline_batches", "record_as_of",
    "schedule_runs", "schedules", "setting_reset", "setting_set", "settings", "trusted_documents",
    "trusted_documents_register", "upload_complete", "upload_create", "webhook_deliveries", "webhook_delivery",
    "webhook_delivery_redeliver", "webhook_endpoint", "webhook_endpoint_archive", "webhook_endpoint_create",
    "webhook_endpoint_events", "webhook_endpoint_pause", "webhook_endpoint_replay", "webhook_endpoint_resume",
    "webhook_endpoint_test", "webhook_endpoint_update", "webhook_endpoints", "webhook_secret_rotate",
]  # fmt: skip
