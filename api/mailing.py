"""Which mail server a process hands mails to, as the settings say."""

from __future__ import annotations

from api.settings import Settings
from modules.platform.public import MailServer


def known_mail_server(settings: Settings) -> MailServer | None:
    if settings.smtp_host is None:
        return None
    assert settings.smtp_from is not None
    return MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_from,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password,
        ca_file=None if settings.smtp_ca_file is None else str(settings.smtp_ca_file),
        reset_url=settings.password_reset_url,
    )
