"""Meters of machines and the readings that never run backwards."""
