"""A home for the tests of one file, and a server over it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.cli.home import Home, Serving


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="unison-home-"))
    folder.chmod(0o755)
    yield Home(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def serving(home: Home) -> Iterator[Serving]:
    """`unison serve` after its very first start."""
    running = home.serve()
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="module")
def token(home: Home, serving: Serving) -> str:
    done = home.run("token", "admin@acme.example")
    assert done.returncode == 0, done.stderr
    return done.stdout
