"""Mails with a token to set a new password. They are no jobs: a token is nowhere but in its mail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from api.logs import log
from db.connections import PoolTimeout
from db.outage import unavailable
from db.session import Database
from modules.identity.public import ResetMail, mail_not_sent, take_mails
from modules.platform.public import MailDelayed, MailRefused, MailServer, deliver, of_reset
from worker.relay import LOST

EVERY_SECONDS = 2.0
ATTEMPTS = 10

logger = log("worker.mails")


class _NotSent(Exception):
    """Rolls back the taking of a mail; its token was never anybody's."""

    def __init__(self, mail: ResetMail, attempts: int) -> None:
        super().__init__()
        self.mail = mail
        self.attempts = attempts


async def send_one(database: Database, server: MailServer) -> bool:
    """Take one request and send its mail; the token is kept if the mail was handed over. False where none waits."""
    try:
        async with database.anonymous() as tx:
            found = await take_mails(tx, now=datetime.now(UTC), most=1)
            if not found:
                return False
            try:
                await deliver(server, of_reset(server, found[0]))
            except MailRefused as refused:
                raise _NotSent(found[0], 1) from refused
            except MailDelayed as delayed:
                raise _NotSent(found[0], ATTEMPTS) from delayed
            except Exception as unforeseen:  # one mail must not keep the others back
                if unavailable(unforeseen):
                    raise
                raise _NotSent(found[0], ATTEMPTS) from unforeseen
    except _NotSent as failed:
        async with database.anonymous() as tx:
            waits = await mail_not_sent(tx, failed.mail.id, attempts=failed.attempts)
        logger.warning(
            "a mail for a new password was not sent", organization_id=failed.mail.organization_id,
            user_id=failed.mail.user_id, reason=_reason(failed.__cause__), again=waits,
        )  # fmt: skip
    return True


def _reason(cause: BaseException | None) -> str:
    """What the mail server said; of anything else only its kind, for it may hold an address."""
    return str(cause) if isinstance(cause, MailRefused | MailDelayed) else type(cause).__name__


async def keep_mailing(database: Database, server: MailServer, *, every: float = EVERY_SECONDS) -> None:
    """Send what waits, for ever; several workers at it send each mail once."""
    while True:
        try:
            while await send_one(database, server):
                pass
        except (*LOST, PoolTimeout) as error:
            logger.warning("mailing interrupted", error=type(error).__name__)
        await asyncio.sleep(every)
