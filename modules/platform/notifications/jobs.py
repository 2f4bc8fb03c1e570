"""Mailing notifications: one job, one mail to one person."""

from __future__ import annotations

from sqlalchemy import text

from schema.work import Abandon, Outside, Policy, Postpone, Work

from . import mail
from .smtp import MailDelayed, MailRefused, deliver, mail_server

MAIL = "platform.mail"
POLICY = Policy(attempts=12, shortest=10.0, longest=3600.0, seconds=120.0)
_TO_MAIL = text("select * from app.notification_to_mail(:id)")


async def send(work: Work) -> None:
    """Send the mail of a notification. Interrupted between the server's yes and the acknowledgement, it is sent again, as
    the same mail."""
    server, job = mail_server(), work.job
    if server is None:
        raise Postpone("The worker has no mail server", POLICY.delay(job.attempt) or 0)
    async with work.database.read(work.actor) as tx:
        row = await tx.first(_TO_MAIL, {"id": job.payload["notification"]})
        org = tx.org
    if row is None:
        return
    try:
        await deliver(server, mail.of_notification(server, row, org=org, job=job.id))
    except MailRefused as refused:
        raise Abandon(str(refused)) from refused
    except MailDelayed as delayed:
        raise Postpone(str(delayed), POLICY.delay(job.attempt) or 0) from delayed


JOBS = {MAIL: Outside(send, POLICY)}
