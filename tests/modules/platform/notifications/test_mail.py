"""Mails as a real server receives them, and what becomes of its answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from modules.identity.public import ResetMail
from modules.platform.notifications import mail
from modules.platform.notifications.smtp import MailDelayed, MailRefused, deliver, try_mail
from tests.post import SENDER, Post, authenticator, certificate


def told(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "email": "ada@acme.example", "full_name": "Ada Lovelace", "locale": "en", "organization_name": "Acme",
            "primary_color": "#123456", "kind": "sample.told", "severity": "info", "title": "M-1 is down", "body": "Hall A\nBay 3",
            "created_at": datetime(2026, 3, 1, 8, tzinfo=UTC), **given,
        }
    )  # fmt: skip


async def sent(post: Post, **given: Any) -> Any:
    server = post.server()
    await deliver(server, mail.of_notification(server, told(**given), org=7, job=42))
    return post.mails[-1]


async def test_both_parts_arrive_under_the_organizations_name(post: Post):
    found = await sent(post)
    assert post.envelopes == [(SENDER, ["ada@acme.example"])]
    assert (found["From"], found["To"]) == (f"Acme <{SENDER}>", "Ada Lovelace <ada@acme.example>")
    assert (found["Subject"], found["Message-ID"]) == ("M-1 is down", "<job.7.42@factory.example>")
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Date"].datetime == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert found.get_content_type() == "multipart/alternative"
    text, html = (found.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Hello Ada Lovelace," in text
    assert "Hall A\nBay 3" in text.replace("\r\n", "\n")
    assert "Bay 3</p>" in html
    assert "background:#123456" in html


HOSTILE = [
    "Eve\r\nBcc: all@acme.example",
    "Eve\nSubject: other\n\n<b>text</b>",
    "Eve\x00\x1b\x7f\u2028Bcc: x@y.example\u202eevil",
    '"Eve" <eve@evil.example>, x',
    "=?utf-8?q?Bcc=3A_x?= \\",
    "Ünïcødé 名前 😀 " * 20,
    "a" * 500,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_text_becomes_a_header_or_a_tag(post: Post, text: str):
    found = await sent(
        post, full_name=text, organization_name=text, title=text, body=f"{text}\n<script>alert(1)</script>"
    )
    expected = {"from", "to", "subject", "auto-submitted", "mime-version", "content-type", "date", "message-id"}
    assert {name.lower() for name in found} == expected
    assert [len(found.get_all(name)) for name in expected] == [1] * len(expected)
    assert [a.addr_spec for a in found["To"].addresses] == ["ada@acme.example"]
    assert [a.addr_spec for a in found["From"].addresses] == [SENDER]
    assert post.envelopes[-1][1] == ["ada@acme.example"]
    html = found.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "address", ["a,b@acme.example", "a<b@acme.example", "ä@acme.example", "a@acme.example\nRCPT TO:<x@y.example>"]
)
async def test_an_address_that_cannot_be_written_is_refused(post: Post, address: str):
    with pytest.raises(MailRefused):
        await sent(post, email=address)
    assert post.mails == []


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("550 5.1.1 No such\tuser", MailRefused), ("452 4.2.2 Mailbox full", MailDelayed), ("421 4.3.2 Later", MailDelayed)],
)  # fmt: skip
@pytest.mark.parametrize("where", ["recipient", "data"])
async def test_the_servers_answer_decides(post: Post, answer: str, outcome: type[Exception], where: str):
    if where == "recipient":
        post.at_recipient = lambda _address: answer
    else:
        post.at_data = [answer]
    with pytest.raises(outcome, match=answer[:3]):
        await sent(post)
    post.at_recipient = lambda _address: None
    await sent(post)
    assert len(post.mails) == 1


async def test_a_server_that_is_away_or_silent_delays(monkeypatch: pytest.MonkeyPatch):
    async with Post().open() as post:
        server = post.server()
    message = mail.of_notification(server, told(), org=1, job=1)
    with pytest.raises(MailDelayed, match="could not be used"):
        await deliver(server, message)
    monkeypatch.setattr("modules.platform.notifications.smtp.SECONDS", 0.3)

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(wait, "127.0.0.1", server.port)
    try:
        with pytest.raises(MailDelayed):
            await deliver(server, message)
    finally:
        silent.close()


async def test_starttls_with_a_password(tmp_path: Path):
    context, trusted = certificate(tmp_path)
    options = {
        "tls_context": context, "require_starttls": True, "auth_required": True, "auth_require_tls": True,
        "authenticator": authenticator("unison", "hunter22"),
    }  # fmt: skip
    async with Post().open(**options) as post:
        server = post.server(tls="starttls", username="unison", password="hunter22", ca_file=str(trusted))
        message = mail.of_notification(server, told(), org=1, job=1)
        await deliver(server, message)
        assert post.secure == [True]
        wrong = post.server(tls="starttls", username="unison", password="wrong", ca_file=str(trusted))
        with pytest.raises(MailDelayed) as refused:
            await deliver(wrong, message)
        assert "wrong" not in str(refused.value)
        with pytest.raises(MailDelayed):  # nobody knows whose certificate it is
            await deliver(post.server(tls="starttls"), message)
        assert len(post.mails) == 1


async def test_a_server_without_starttls_gets_nothing(post: Post):
    server = post.server(tls="starttls", username="unison", password="hunter22")
    with pytest.raises(MailDelayed):
        await deliver(server, mail.of_notification(server, told(), org=1, job=1))
    assert post.mails == []


async def test_tls_from_the_start(tmp_path: Path):
    context, trusted = certificate(tmp_path)
    post = Post()
    async with post.open() as inner:  # a terminator before it, as providers have
        port = inner.port

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)

            async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
                target.close()

            await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
            passed.set()

        passed = asyncio.Event()

        front = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
        post.port = front.sockets[0].getsockname()[1]
        server = post.server(tls="tls", ca_file=str(trusted))
        await deliver(server, mail.of_notification(server, told(), org=1, job=1))
        assert len(post.mails) == 1
        await passed.wait()
        front.close()


async def test_the_mail_with_a_token(post: Post):
    asked = ResetMail(uuid4(), 1, "Acme", 2, "ada@acme.example", "Ada", "en", "upr_secret")
    assert "upr_secret" not in repr(asked)
    await deliver(post.server(), mail.of_reset(post.server(), asked))
    linked = post.server(reset_url="https://app.example/reset#token=")
    await deliver(linked, mail.of_reset(linked, asked))
    plain, link = post.mails
    for found, words in ((plain, "upr_secret"), (link, "https://app.example/reset#token=upr_secret")):
        for kind in ("plain", "html"):
            assert words in found.get_body((kind,)).get_content()
        assert "upr_secret" not in str(found["Subject"]) + str(found["Message-ID"])
    assert plain["Message-ID"] != link["Message-ID"], "another token is another mail"


async def test_trying_the_server_sends_nothing(post: Post):
    await try_mail(post.server())
    assert post.envelopes == []
    async with Post().open() as gone:
        pass
    with pytest.raises(MailDelayed):
        await try_mail(gone.server())
