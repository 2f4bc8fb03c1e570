"""What an organization lets its callers spend."""
