"""A real worker process with a mail server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from modules.platform.public import MailServer
from tests.conftest import SECRET, Urls
from tests.post import HOST, SENDER
from tests.worker.test_relay import REPOSITORY


@asynccontextmanager
async def worker(urls: Urls, server: MailServer) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"],
        cwd=REPOSITORY,
        env={
            **os.environ, "DATABASE_APP_URL": urls.app, "DATABASE_EVENTS_URL": urls.events, "SECRET_KEY": SECRET,
            "LOG_FORMAT": "json", "SMTP_HOST": HOST, "SMTP_PORT": str(server.port), "SMTP_TLS": "none", "SMTP_FROM": SENDER,
        },
        stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
