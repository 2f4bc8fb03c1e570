"""Typed settings of an organization."""
