"""The demo factory, asked through the edge with and without plans."""

from tests.isolation.conftest import factory

__all__ = ["factory"]
