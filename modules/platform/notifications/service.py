"""Telling people, in the transaction of what they are told; and what people do with what they were told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, text

from db.queue import Queue, enqueue_many
from db.refusal import NotFound, NotPermitted
from db.session import ReadTx, WriteTx
from modules.identity.public import holders_of
from schema.registry import NotificationKind, registered

from . import texts
from .jobs import MAIL
from .rules import Channel
from .smtp import mail_server
from .tables import Notification

_NOTIFY = text(
    "select id, by_email from app.notify(:kind, :severity, :title, :body, :entity_type, cast(:entity_id as bigint),"
    " cast(:plant as bigint), cast(:users as bigint[]), :in_app, :email, :mailing, :once)"
)
_READ_ALL = text(
    "with unread as (select id from app.notifications where organization_id = :org and user_id = :user and read_at is null"
    " and created_at <= coalesce(cast(:until as timestamptz), 'infinity') order by id for update)"
    " update app.notifications n set read_at = :now from unread u where n.organization_id = :org and n.id = u.id"
)
_PREFERENCES = text(
    "select kind, channel, enabled from app.notification_preferences where organization_id = :org and user_id = :user"
)
_PREFER = text(
    "insert into app.notification_preferences as p (organization_id, user_id, kind, channel, enabled)"
    " values (:org, :user, :kind, :channel, :enabled)"
    " on conflict (organization_id, user_id, kind, channel) do update set enabled = :enabled, set_at = clock_timestamp()"
)


@dataclass(frozen=True, slots=True)
class Holders:
    """Everybody who holds a permission at the place a notification is about."""

    permission: str
    department_id: int | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """Where a person is told of a kind."""

    kind: str
    declared: NotificationKind
    in_app: bool
    email: bool


def kinds() -> dict[str, NotificationKind]:
    """What people are told of, from all modules."""
    return {kind: declared for module in registered() for kind, declared in module.notifications.items()}


async def notify(
    tx: WriteTx, kind: str, facts: Mapping[str, Any], *, to: Holders | Iterable[int], plant_id: int | None = None,
    about: tuple[str, int] | None = None, once: bool = False,
) -> int:  # fmt: skip
    """Tell people, if the transaction commits. `about` is an object by type and key; with `plant_id` only those are told who
    may enter the plant. Whoever does it knows it and is not told. With `once`, who has an unread one of the kind is left
    alone. Answers how many were told."""
    declared = kinds()[kind]
    wanted = await holders_of(tx, to.permission, plant_id, to.department_id) if isinstance(to, Holders) else list(to)
    users = [user for user in wanted if user != tx.actor.user_id]
    if not users:
        return 0
    title, body = texts.rendered(declared, facts)
    entity_type, entity_id = about or (None, None)
    given = {
        "kind": kind, "severity": declared.severity, "title": title, "body": body, "entity_type": entity_type,
        "entity_id": entity_id, "plant": plant_id, "users": users, "in_app": declared.in_app, "email": declared.email,
        "mailing": mail_server() is not None, "once": once,
    }  # fmt: skip
    told = await tx.rows(_NOTIFY, given)
    mails = [{"notification": row.id} for row in told if row.by_email]
    await enqueue_many(tx, Queue.EMAIL_NOTIFICATIONS, MAIL, mails)
    return len(told)


async def unread(tx: ReadTx, user_id: int | None) -> int:
    """How many the caller has not read; a program has none."""
    return int(await tx.scalar(_UNREAD, {"org": tx.org, "user": user_id}))


_UNREAD = select(func.count()).where(
    Notification.organization_id == bindparam("org"),
    Notification.user_id == bindparam("user"),
    Notification.read_at.is_(None),
    Notification.in_app,
)


async def mark_read(tx: WriteTx, ids: Sequence[int], *, now: datetime) -> list[Notification]:
    """Note that the caller has read some; what was read before keeps its time. In the order of ids, each once."""
    statement = (
        select(Notification)
        .where(Notification.organization_id == tx.org, Notification.id.in_(ids))
        .order_by(Notification.id)
        .with_for_update()
    )
    found = {row.id: row for row in await tx.scalars(statement)}
    for index, id in enumerate(ids):
        if id not in found:
            raise NotFound("There is no such object", path=("ids", str(index)))
    for row in found.values():
        row.read_at = row.read_at or now
    return list(found.values())


async def mark_all_read(tx: WriteTx, *, until: datetime | None, now: datetime) -> int:
    """Note that the caller has read all that came up to a time."""
    return await tx.execute(_READ_ALL, {"org": tx.org, "user": person(tx), "until": until, "now": now})


async def preferences(tx: ReadTx) -> list[Preference]:
    """Where the caller is told of each kind."""
    rows = await tx.rows(_PREFERENCES, {"org": tx.org, "user": tx.actor.user_id})
    chosen = {(row.kind, row.channel): row.enabled for row in rows}
    return [
        Preference(
            kind, declared, chosen.get((kind, Channel.IN_APP), declared.in_app), chosen.get((kind, Channel.EMAIL), declared.email)
        )
        for kind, declared in kinds().items()
    ]  # fmt: skip


async def prefer(tx: WriteTx, kind: str, channel: Channel, *, enabled: bool) -> Preference:
    user = person(tx)
    if kind not in kinds():
        raise NotFound("There is no such kind of notification", path=("kind",))
    await tx.execute(_PREFER, {"org": tx.org, "user": user, "kind": kind, "channel": str(channel), "enabled": enabled})
    return next(preference for preference in await preferences(tx) if preference.kind == kind)


def person(tx: ReadTx) -> int:
    if tx.actor.user_id is None:
        raise NotPermitted("Only a person has notifications")
    return tx.actor.user_id
