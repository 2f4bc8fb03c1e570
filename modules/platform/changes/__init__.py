"""The event log as a query."""
