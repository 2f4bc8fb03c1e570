"""Mails as they are sent: multipart, with headers nothing from outside can break."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Any

from modules.identity.public import ResetMail, reset_life

from . import texts
from .rules import one_line
from .smtp import MailRefused, MailServer

COLOR = "#0b5fff"


def of_notification(server: MailServer, row: Any, *, org: int, job: int) -> EmailMessage:
    """The mail of a notification. Its Message-ID is the job's: sent a second time, it is recognised as the same mail."""
    text, html = texts.mail_parts(
        "notification",
        organization=one_line(row.organization_name), locale=row.locale, color=row.primary_color or COLOR,
        name=one_line(row.full_name), title=row.title, body=row.body, kind=row.kind,
    )  # fmt: skip
    message = _message(server, row.organization_name, row.full_name, row.email, row.title, text, html)
    message["Date"] = format_datetime(row.created_at.astimezone(UTC))
    message["Message-ID"] = f"<job.{org}.{job}@{server.domain}>"
    if row.severity == "critical":
        message["Importance"] = "high"
    return message


def of_reset(server: MailServer, mail: ResetMail) -> EmailMessage:
    """The mail with a token. Every sending has a token of its own, so every one is another mail."""
    title = "Set a new password"
    text, html = texts.mail_parts(
        "password_reset",
        organization=one_line(mail.organization_name), locale=mail.locale, color=COLOR, name=one_line(mail.full_name),
        title=title, token=mail.token, link=server.reset_url and server.reset_url + mail.token,
        minutes=int(reset_life().total_seconds() // 60),
    )  # fmt: skip
    message = _message(server, mail.organization_name, mail.full_name, mail.email, title, text, html)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid("reset", server.domain)
    return message


def _message(
    server: MailServer, organization: str, name: str, email: str, title: str, text: str, html: str
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(one_line(organization, 100), addr_spec=server.sender)
        message["To"] = Address(one_line(name, 100), addr_spec=email)
    except (
        ValueError,
        IndexError,
        AttributeError,
        MessageError,
    ) as error:  # what the standard library makes of an address it cannot write
        raise MailRefused("The address cannot be written in a mail") from error
    message["Subject"] = one_line(title)
    message["Auto-Submitted"] = "auto-generated"  # so that no out-of-office answer comes back
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message
