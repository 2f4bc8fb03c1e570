"""Roles, grants and plant access: what a user may do, and where."""
