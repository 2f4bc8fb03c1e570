"""Reason codes: why a machine was not producing."""
