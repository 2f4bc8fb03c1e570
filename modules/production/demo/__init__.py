"""Routings, work orders and the production log of the demo factory."""

from .make import make

__all__ = ["make"]
