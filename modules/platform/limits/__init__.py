"""What an organization lets its callers ask for and spend."""
