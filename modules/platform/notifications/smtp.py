"""The mail server: where it is, and handing it one mail."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

import aiosmtplib

from .rules import one_line

SECONDS = 30.0
_FAILED = (aiosmtplib.SMTPException, OSError)  # TimeoutError and ssl.SSLError are OSErrors


class MailRefused(Exception):
    """The server refused this mail for good. The message is shown to people."""


class MailDelayed(Exception):
    """The mail could not be handed over now. The message is shown to people."""


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    sender: str
    """Address mails come from."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    reset_url: str | None = None
    """Where a person sets a new password; the token is appended."""

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


_USED: list[MailServer] = []


def use_mail(server: MailServer | None) -> None:
    """Tell the process once which server mails go to; without one nothing is mailed."""
    _USED[:] = [] if server is None else [server]


def mail_server() -> MailServer | None:
    return _USED[0] if _USED else None


async def deliver(server: MailServer, message: EmailMessage) -> None:
    """Hand over one mail. Only what the server says of this very mail can refuse it for good: a server that is away, or does
    not let us in, may be mended."""
    async with _connected(server) as client:
        try:
            await client.send_message(message, sender=server.sender)
        except _FAILED as error:
            if _for_good(error):
                raise MailRefused(f"The mail server refused it: {_told(error)}") from error
            raise MailDelayed(f"The mail server did not take it: {_told(error)}") from error


async def try_mail(server: MailServer) -> None:
    """Sign in and leave; MailDelayed says why that was not possible."""
    async with _connected(server):
        pass


@asynccontextmanager
async def _connected(server: MailServer) -> AsyncIterator[aiosmtplib.SMTP]:
    client = aiosmtplib.SMTP(
        hostname=server.host, port=server.port, timeout=SECONDS, use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls", username=server.username, password=server.password,
        tls_context=None if server.tls == "none" else ssl.create_default_context(cafile=server.ca_file),
    )  # fmt: skip
    try:
        try:
            await client.connect()
        except _FAILED as error:
            raise MailDelayed(f"The mail server could not be used: {_told(error)}") from error
        yield client
        with suppress(*_FAILED):  # it has what it was given
            await client.quit()
    finally:
        client.close()


def _for_good(error: Exception) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(_for_good(each) for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPNotSupported):  # an address with other letters than the server knows
        return True
    return isinstance(error, aiosmtplib.SMTPResponseException) and 500 <= error.code < 600


def _told(error: Exception) -> str:
    """The server's own words in one line; of other failures their kind."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        return _told(error.recipients[0])
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return one_line(f"{error.code} {error.message}")
    if isinstance(error, aiosmtplib.SMTPException):
        return one_line(str(error)) or type(error).__name__
    return type(error).__name__
