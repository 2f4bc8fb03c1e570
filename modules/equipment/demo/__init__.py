"""Machines of the demo factory, ninety days of their time up to now, and their meters."""

from .make import make

__all__ = ["make"]
