"""The embedded server: cold and warm, alone and in company, after every kind of sudden end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from db.embedded import AlreadyRunning, EmbeddedError, EmbeddedPostgres, account, temporary

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="unison-embedded-"))
    made.chmod(0o755)
    yield made
    end_server(made)
    shutil.rmtree(made, ignore_errors=True)


def end_server(folder: Path) -> None:
    """A test that failed half-way must not leave a server behind."""
    try:
        known = json.loads((folder / "server.json").read_text())
        process = psutil.Process(known["pid"])
        if known["data"] in process.cmdline():
            process.kill()
    except (OSError, psutil.Error):
        pass


def server(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, durable=False)


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_it_speaks_utf8_in_the_same_order_everywhere(folder: Path) -> None:
    running = server(folder)
    url = running.start()
    try:
        assert await ask(url, "show server_encoding") == "UTF8"
        assert await ask(url, "show timezone") == "UTC"
        assert (
            await ask(url, "select datlocale from pg_database where datname = 'unison' and datlocprovider = 'b'")
            == "C.UTF-8"
        )
        assert await ask(url, "select upper('ö')") == "Ö"
        assert url.startswith("postgresql://postgres:")
    finally:
        running.stop()


async def test_a_warm_start_keeps_the_data_and_the_port(folder: Path) -> None:
    first = server(folder)
    url = first.start()
    await ask(url, "create table kept as select 7 as seven")
    first.stop()
    second = server(folder)
    try:
        assert second.start() == url
        assert await ask(url, "select seven from kept") == 7
    finally:
        second.stop()


async def test_the_superuser_needs_its_password(folder: Path) -> None:
    running = server(folder)
    url = running.start()
    try:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url, password="guess")
        for secret in ("superuser.password", "server.json"):
            assert (folder / secret).stat().st_mode & 0o077 == 0
    finally:
        running.stop()


def test_a_second_server_over_the_same_folder_is_refused(folder: Path) -> None:
    running = server(folder)
    url = running.start()
    try:
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            server(folder).start()
        assert running.alive()
        assert EmbeddedPostgres.running_url(folder) == url
    finally:
        running.stop()
    assert EmbeddedPostgres.running_url(folder) is None


def test_it_stops_only_what_it_started(folder: Path) -> None:
    running = server(folder)
    running.start()
    try:
        server(folder).stop()
        assert running.alive()
    finally:
        running.stop()
    assert not running.alive()


async def test_it_recovers_from_a_server_that_was_killed(folder: Path) -> None:
    first = EmbeddedPostgres(folder)
    url = first.start()
    await ask(url, "create table kept as select 7 as seven")
    psutil.Process(json.loads((folder / "server.json").read_text())["pid"]).kill()
    first.stop()
    second = EmbeddedPostgres(folder)
    try:
        assert await ask(second.start(), "select seven from kept") == 7
    finally:
        second.stop()


async def test_it_takes_over_from_a_starter_that_was_killed(folder: Path) -> None:
    program = f"""
        import os, pathlib
        from db.embedded import EmbeddedPostgres
        print(EmbeddedPostgres(pathlib.Path({str(folder)!r}), durable=False).start(), flush=True)
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    """
    starter = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    url = starter.stdout.strip()
    assert EmbeddedPostgres.running_url(folder) == url, starter.stderr
    heir = server(folder)
    try:
        assert await ask(heir.start(), "select 1") == 1
    finally:
        heir.stop()
    assert EmbeddedPostgres.running_url(folder) is None


def test_a_process_number_that_now_means_another_process_does_not_matter(folder: Path) -> None:
    first = server(folder)
    first.start()
    pid_file = first._account.data / "postmaster.pid"  # type: ignore[union-attr]
    stale = pid_file.read_text().splitlines()
    first.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *stale[1:]]))
    pid_file.chmod(0o644)
    second = server(folder)
    second.start()
    second.stop()


def test_an_interrupted_first_start_is_done_again(folder: Path) -> None:
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    running = server(folder)
    running.start()
    running.stop()


def test_data_of_another_version_is_told_and_left_alone(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("15\n")
    for _ in range(2):  # the second time shows that the folder was let go of
        with pytest.raises(EmbeddedError, match="PostgreSQL 15"):
            server(folder).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_root_may_keep_its_data_where_nobody_else_can_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "ELSEWHERE", folder / "elsewhere")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "home"
    running = server(home)
    url = running.start()
    assert closed.stat().st_mode & 0o777 == 0o700
    running.stop()
    again = server(home)
    assert again.start() == url
    again.stop()
    shutil.rmtree(home)
    anew = server(home)
    anew.start()
    anew.stop()


def test_a_temporary_server_leaves_nothing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with temporary() as url:
        assert url
    assert list(folder.iterdir()) == []
