"""PostgreSQL of the first run and of the tests: our own server process on a free loopback port, over its own folder."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from db.embedded.account import Account
from db.embedded.folder import EmbeddedError, end_orphan, is_server, locked, postmaster, write_secret
from db.embedded.ports import free_port, is_free

DATABASE = "unison"
VERSION = "18"
START_SECONDS = 60
STOP_SECONDS = 60
LOG_BYTES = 10_000_000

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",  # short statements only: compiling them costs more than running them
    "log_checkpoints": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB"}


class EmbeddedPostgres:
    """One server over one folder. What it starts it stops; a server of another live process it leaves alone."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder.expanduser().resolve()
        self._durable = durable
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._account: Account | None = None

    def start(self) -> str:
        """Make the data folder if there is none, start the server, answer the URL of its superuser."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self._folder)
        try:
            self._account = account = Account.choose(self._folder)
            end_orphan(account.data)
            if not account.data.exists():
                self._initialise(account)
            self._check_version(account)
            return self._serve(account)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server in an orderly way; its connections are closed."""
        process, self._process = self._process, None
        if process is not None:
            (self._folder / "server.json").unlink(missing_ok=True)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGQUIT)
                    process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @staticmethod
    def running_url(folder: Path) -> str | None:
        """The URL of a server that a live process runs over this folder, if there is one."""
        try:
            known = json.loads((folder.expanduser().resolve() / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return str(known["url"]) if is_server(int(known["pid"]), Path(known["data"])) else None

    def _initialise(self, account: Account) -> None:
        """Build the cluster beside its place and move it there last: an interrupted start is simply done again."""
        building = account.data.parent / "data.new"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        account.own(building)
        password_file = account.data.parent / "initdb.password"
        password_file.write_text(self._password())
        password_file.chmod(0o600)
        account.own(password_file)
        try:
            self._run(
                account.command(
                    "initdb",
                    *("-D", str(building), "-U", "postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"),
                    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *("--no-instructions", *(() if self._durable else ("--no-sync",))),
                )
            )
        finally:
            password_file.unlink()
        single = account.command("postgres", "--single", "-D", str(building), "postgres")
        self._run(single, stdin=f"create database {DATABASE};")
        building.rename(account.data)

    def _check_version(self, account: Account) -> None:
        version = (account.data / "PG_VERSION").read_text().strip()
        if version != VERSION:
            raise EmbeddedError(
                f"{self._folder} holds data of PostgreSQL {version}, the embedded server is {VERSION}: "
                "move the folder away, or dump it with its own version and restore it"
            )

    def _serve(self, account: Account) -> str:
        log = self._folder / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        settings = SETTINGS | ({} if self._durable else NOT_DURABLE)
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        for port in (self._last_port(), *(0 for _ in range(4))):  # another process may take a free port before we do
            chosen = port or free_port()
            with log.open("ab") as output:
                began = output.tell()
                self._process = subprocess.Popen(
                    account.command("postgres", "-D", str(account.data), "-p", str(chosen), *options),
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, **account.become(),
                )  # fmt: skip
            if self._ready(account.data):
                return self._remember(account, chosen)
            said = log.read_bytes()[began:].decode(errors="replace").strip()
            if "could not bind" not in said:
                break
        raise EmbeddedError(f"The embedded PostgreSQL did not start ({log}):\n{said[-2000:]}")

    def _ready(self, data: Path) -> bool:
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            if postmaster(data).get("status") == "ready" and postmaster(data).get("pid") == str(self._process.pid):
                return True
            time.sleep(0.01)
        return False

    def _remember(self, account: Account, port: int) -> str:
        """Leave the URL where `unison token` and the like find it while the server runs; the port outlives it."""
        assert self._process is not None
        url = f"postgresql://postgres:{self._password()}@127.0.0.1:{port}/{DATABASE}"
        known = {"url": url, "pid": self._process.pid, "data": str(account.data)}
        write_secret(self._folder / "server.json", json.dumps(known))
        (self._folder / "port").write_text(str(port))
        return url

    def _last_port(self) -> int:
        try:
            port = int((self._folder / "port").read_text())
        except (OSError, ValueError):
            return 0
        return port if is_free(port) else 0

    def _password(self) -> str:
        file = self._folder / "superuser.password"
        if not file.exists():
            write_secret(file, secrets.token_urlsafe(32))
        return file.read_text()

    def _run(self, command: list[str], stdin: str = "") -> None:
        assert self._account is not None
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, **self._account.become()
        )
        if done.returncode != 0:
            raise EmbeddedError(f"{Path(command[0]).name} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


@contextmanager
def temporary() -> Iterator[str]:
    """A server that is thrown away after the block, for tests: fast, and lost if the machine stops."""
    folder = Path(tempfile.mkdtemp(prefix="unison-"))
    server = EmbeddedPostgres(folder, durable=False)
    try:
        yield server.start()
    finally:
        server.stop()
        data = (folder / "data").resolve()  # may stand elsewhere, see Account
        shutil.rmtree(data if data.parent == folder.resolve() else data.parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
