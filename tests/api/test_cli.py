"""The `unison` command as its users run it: in processes of its own, over a home of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from api.settings import REPOSITORY, Settings

SECONDS = 60


@dataclass
class Home:
    """A UNISON_HOME, and how to run a command over it."""

    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        known = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name not in known}
        return {**inherited, "UNISON_HOME": str(self.folder), "PORT": "0", "LOG_FORMAT": "json", **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            cwd=REPOSITORY, env=self.environment(**environment), capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip

    def serve(self, *arguments: str) -> Serving:
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", *arguments],
                cwd=REPOSITORY, env=self.environment(), stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        return Serving(self, process).wait()

    def server(self) -> Any:
        return json.loads((self.folder / "postgres" / "server.json").read_text())

    def sql(self, statement: str) -> Any:
        async def ask() -> Any:
            connection = await asyncpg.connect(self.server()["url"])
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        with asyncio.Runner() as runner:
            return runner.run(ask())


@dataclass
class Serving:
    home: Home
    process: subprocess.Popen[str]
    greeting: str = ""

    def wait(self) -> Serving:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.greeting += line
            if "Ctrl-C" in line:
                return self
        self.process.wait(SECONDS)
        self.process.stdout.close()
        raise AssertionError((self.home.folder / "log").read_text())

    @property
    def url(self) -> str:
        return re.findall(r"http://\S+", self.greeting)[0]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process | None:
        for child in self.children():
            with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                if "worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def eventually(condition: Any, seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return answer


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


def ask(serving: Serving, query: str, **headers: str) -> Any:
    return httpx.post(serving.url, json={"query": query}, headers=headers, timeout=10).json()


def test_a_first_start_tells_where_it_is_and_how_to_sign_in(serving: Serving) -> None:
    assert "/graphql" in serving.greeting
    assert "unison-demo" in serving.greeting
    for name in (
        "admin",
        "manager",
        "planner",
        "supervisor",
        "operator",
        "quality",
        "maintenance",
        "warehouse",
        "viewer",
    ):
        assert f"{name}@acme.example" in serving.greeting
    for name in ("admin", "operator"):
        assert f"{name}@globex.example" in serving.greeting


def test_it_is_ready_when_it_says_so(serving: Serving) -> None:
    assert httpx.get(serving.url.replace("/graphql", "/readyz"), timeout=10).status_code == 200


def test_token_prints_a_token_and_nothing_else(serving: Serving, token: str) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", token)
    answer = ask(serving, "{ me { account { email } } }", Authorization=f"Bearer {token.strip()}")
    assert answer["data"] == {"me": {"account": {"email": "admin@acme.example"}}}


def test_token_of_nobody(home: Home, serving: Serving) -> None:
    done = home.run("token", "nobody@nowhere.example")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_documents_are_registered_from_files(home: Home, serving: Serving, token: str, tmp_path: Path) -> None:
    document = tmp_path / "mine.graphql"
    document.write_text("query Mine { me { account { email } } }\n")
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"1": "query Other { me { account { id } } }"}))
    hash = hashlib.sha256(document.read_bytes()).hexdigest()
    done = home.run("documents", "register", str(document), str(manifest), "--organization", "acme")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"sha256:{hash}  Mine"), done.stderr
    assert home.run("documents", "register", str(document)).stdout == f"sha256:{hash}  Mine\n"
    answer = httpx.post(
        serving.url,
        json={"documentId": f"sha256:{hash}"},
        headers={"authorization": f"Bearer {token.strip()}"},
    )
    assert answer.json().get("data") == {"me": {"account": {"email": "admin@acme.example"}}}, answer.text
    assert "3 trusted\n" in home.run("doctor").stdout
    document.write_text("{ nothing }")
    for arguments in ((str(document),), (str(tmp_path / "none.graphql"),), (str(manifest), "--organization", "nobody")):
        failed = home.run("documents", "register", *arguments)
        assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)


def test_doctor_tells_of_documents_the_schema_has_left_behind(home: Home, serving: Serving) -> None:
    home.sql(
        "insert into meta.trusted_documents (hash, name, text) values (repeat('a', 64), 'Old', '{ nothing }') returning 1"
    )
    assert "Old of the server" in home.run("doctor").stdout
    home.sql("delete from meta.trusted_documents where name = 'Old' returning 1")


def test_doctor_finds_it_well(home: Home, serving: Serving) -> None:
    done = home.run("doctor")
    assert done.returncode == 0, done.stdout
    for word in (
        "PostgreSQL 18",
        "tier embedded",
        "pg_trgm missing",
        "connects as unison_app",
        "its relay is connected",
        "bucket unison-files: answers",
    ):
        assert word in done.stdout


def storage_of(serving: Serving) -> psutil.Process | None:
    for child in serving.children():
        with contextlib.suppress(psutil.Error):
            if "s3" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def test_files_go_up_and_come_down(home: Home, serving: Serving, token: str) -> None:
    body = b"%PDF-1.7 " + bytes(5_000)
    create = f"""mutation {{ uploadCreate(input: {{filename: "a.pdf", size: "{len(body)}", contentType: "application/pdf",
      sha256: "{hashlib.sha256(body).hexdigest()}"}}) {{ file {{ id }} upload {{ url }} errors {{ code }} }} }}"""
    headers = {"authorization": f"Bearer {token.strip()}"}
    made = ask(serving, create, **headers)["data"]["uploadCreate"]
    assert httpx.put(made["upload"]["url"], content=body).status_code == 200
    complete = f"""mutation {{ uploadComplete(input: {{id: "{made["file"]["id"]}"}}) {{
      file {{ status download {{ url }} }} errors {{ code }} }} }}"""
    file = ask(serving, complete, **headers)["data"]["uploadComplete"]["file"]
    assert httpx.get(file["download"]["url"]).content == body
    keys = home.folder / "objects" / "keys.json"
    assert keys.stat().st_mode & 0o077 == 0
    storage = storage_of(serving)
    assert storage is not None
    assert json.loads(keys.read_text())[1] not in " ".join(storage.cmdline())


def test_object_storage_that_ends_is_started_again(serving: Serving) -> None:
    first = storage_of(serving)
    assert first is not None
    first.kill()
    ready = serving.url.replace("/graphql", "/readyz")
    second = eventually(lambda: (p := storage_of(serving)) and p.pid != first.pid and p)
    assert second
    eventually(lambda: httpx.get(ready, timeout=10).json()["checks"]["files"])


def test_a_second_one_over_the_same_home_is_refused(home: Home, serving: Serving) -> None:
    done = home.run("serve")
    assert done.returncode == 1
    assert str(serving.process.pid) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told(home: Home, serving: Serving) -> None:
    done = home.run("serve", PORT=str(httpx.URL(serving.url).port))
    assert done.returncode == 2
    assert done.stderr.startswith("PORT: ")


def test_a_worker_that_ends_is_started_again(serving: Serving) -> None:
    first = eventually(serving.worker)
    first.kill()
    second = eventually(lambda: (found := serving.worker()) and found.pid != first.pid and found)
    assert second.is_running()


def test_a_stop_ends_every_process_and_a_second_start_is_warm(home: Home, serving: Serving) -> None:
    eventually(serving.worker)
    processes = [*serving.children(), psutil.Process(home.server()["pid"])]
    organizations = home.sql("select string_agg(code || created_at, ',' order by code) from app.organizations")
    assert serving.stop() == 0
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert not (home.folder / "postgres" / "server.json").exists()

    again = home.serve()
    try:
        assert (
            home.sql("select string_agg(code || created_at, ',' order by code) from app.organizations") == organizations
        )
        assert "demo data" not in again.greeting
        seconds = float(re.findall(r"ready after ([\d.]+) s", again.greeting)[0])
        assert seconds < 20, again.greeting  # below 3 on a machine that does nothing else
    finally:
        assert again.stop(signal.SIGTERM) == 0


def test_a_database_that_ends_ends_the_rest(home: Home, serving: Serving) -> None:
    if serving.process.poll() is None:
        serving.stop()
    running = home.serve("--no-worker")
    psutil.Process(home.server()["pid"]).kill()
    assert running.process.wait(SECONDS) == 1
    running.process.stdout.close()  # type: ignore[union-attr]


def test_back_to_nothing_and_forward(home: Home, serving: Serving) -> None:
    if serving.process.poll() is None:
        serving.stop()
    down = home.run("migrate", "--down", "base")
    assert (down.returncode, down.stdout.split()[-1]) == (0, "empty"), down.stderr
    early = home.run("token", "admin@acme.example")
    assert (early.returncode, early.stdout) == (1, "")
    assert "run `unison migrate`" in early.stderr
    assert "Traceback" not in early.stderr
    up = home.run("migrate")
    assert (up.returncode, up.stdout.split()[0]) == (0, "empty"), up.stderr


def test_the_committed_schema_is_current(home: Home) -> None:
    done = home.run("schema", "export", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"PORT": "x", "SECRET_KEY": "short"}, 2, "PORT: "),
        ({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/none"}, 1, "The database cannot be reached"),
        ({"UNISON_ENV": "production"}, 2, "SECRET_KEY: "),
    ],
)
def test_what_can_be_mended_is_told_in_a_sentence(
    home: Home, environment: dict[str, str], code: int, said: str
) -> None:
    done = home.run("migrate", **environment)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
