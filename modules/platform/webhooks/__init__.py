"""Webhooks: programs elsewhere are told of events, by requests they can verify."""
