"""The folder of an embedded server: who holds it, and which process serves it."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from typing import IO, Any

import psutil

END_SECONDS = 60


class EmbeddedError(RuntimeError):
    """The embedded server cannot run; the message says why in a sentence for whoever started it."""


class AlreadyRunning(EmbeddedError):
    """Another live process runs the server of this folder."""


def locked(folder: Path) -> IO[str]:
    """Hold the folder for as long as this process lives; the kernel lets go of it however the process ends."""
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise AlreadyRunning(
            f"Process {holder} already runs the PostgreSQL of {folder}: stop it, or set UNISON_HOME to another folder"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def postmaster(data: Path) -> dict[str, str]:
    names = ("pid", "data", "started", "port", "socket", "address", "memory", "status")
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return {}
    return {name: line.strip() for name, line in zip(names, lines, strict=False)}


def is_server(pid: int, data: Path) -> bool:
    """Is this process the PostgreSQL over this folder? A process number alone may have been given to another since."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline()
    except psutil.Error:
        return False


def end_orphan(data: Path) -> None:
    """End a server whose starter was killed, and forget one that is gone: the folder's lock is ours by now."""
    if not (pid := postmaster(data).get("pid")):
        return
    if is_server(abs(int(pid)), data):
        orphan: Any = psutil.Process(abs(int(pid)))
        orphan.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs([orphan], timeout=END_SECONDS)
        if alive:
            raise EmbeddedError(f"A PostgreSQL left over from an earlier start (process {pid}) does not end")
    else:
        (data / "postmaster.pid").unlink(missing_ok=True)


def write_secret(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
