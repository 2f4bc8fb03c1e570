"""The module's root fields."""

from .access.graph import (
    permissions,
    role,
    role_archive,
    role_create,
    role_unarchive,
    role_update,
    roles,
    user_plant_access_set,
    user_role_grant,
    user_role_revoke,
)
from .apps.graph import (
    app,
    app_archive,
    app_create,
    app_key_create,
    app_key_revoke,
    app_unarchive,
    app_update,
    apps,
)
from .people.graph import (
    profile_update,
    user,
    user_archive,
    user_create,
    user_password_reset_create,
    user_unarchive,
    user_update,
    users,
)
from .sessions.graph import (
    me,
    password_change,
    password_reset,
    password_reset_request,
    session_create,
    session_end,
    session_refresh,
    session_revoke,
    sessions,
)
from .sites.graph import (
    branding,
    department,
    department_archive,
    department_create,
    department_unarchive,
    department_update,
    departments,
    organization,
    organization_update,
    plant,
    plant_archive,
    plant_create,
    plant_unarchive,
    plant_update,
    plants,
)

__all__ = [
    "app", "app_archive", "app_create", "app_key_create", "app_key_revoke", "app_unarchive", "app_update", "apps",
    "branding", "department", "department_archive", "department_create", "department_unarchive", "department_update",
    "departments", "me", "organization", "organization_update", "password_change", "password_reset",
    "password_reset_request", "permissions", "plant", "plant_archive", "plant_create", "plant_unarchive", "plant_update",
    "plants", "profile_update", "role", "role_archive", "role_create", "role_unarchive", "role_update", "roles",
    "session_create", "session_end", "session_refresh", "session_revoke", "sessions", "user", "user_archive",
    "user_create", "user_password_reset_create", "user_plant_access_set", "user_role_grant", "user_role_revoke",
    "user_unarchive", "user_update", "users",
]  # fmt: skip
