"""`offlineBatchApply`: what a terminal did while it was offline, over the mutations of all modules that say `offline=…`.

Every item is the mutation itself: its permission, its plants, its transaction, its receipt. So a batch that was
interrupted is sent again as a whole, and what had been applied is told apart by its key.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Annotated, Any, Union

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from db.refusal import Refused, ValidationFailed
from modules.platform.public import OfflineBatch, begin_batch, finish_batch
from schema.checks import text
from schema.context import Context, Info
from schema.enums import public_enum
from schema.errors import UserError
from schema.faults import Fault
from schema.fields import AUTHENTICATED, RootField, transactions
from schema.ids import decode
from schema.loaders import by_keys
from schema.node import NODES, Node
from schema.payload import Payload, payload, refused_as, result
from schema.registry import Module
from schema.replay import Item, ItemFault, Outcome, Replayed, refused_for, replay

MOST_ITEMS = 500
MOST_DEVICE = 100
TYPES = [ItemFault]
BEGUN_WITHIN = 0.75
"""The part of an operation's time in which items are begun: the answer has to be made as well."""

public_enum(
    Outcome,
    name="OfflineOutcome",
    description="What came of an item of an offline batch",
    values={
        "APPLIED": "It took effect now",
        "DUPLICATE": "It had taken effect before, online or in another batch; this is the first answer",
        "CONFLICT": "It was refused for what its object has become by now; `current` shows it. A person decides",
        "REJECTED": "It was refused for what it is itself. Where an error is `retryable`, send it again",
    },
)


def root_fields(modules: Sequence[Module]) -> dict[str, RootField]:
    """The mutation, where any module has something to replay."""
    fields = {
        name: root
        for module in modules
        for name, root in module.root_fields().items()
        if root.field.metadata.get("offline") is not None
    }
    return {"offline_batch_apply": _field(fields)} if fields else {}


def _field(fields: Mapping[str, RootField]) -> RootField:
    made_input, made_item = _inputs(fields), _item(fields)

    @payload(description="What came of every item of an offline batch")
    class OfflineBatchApplyPayload(Payload):
        items: list[made_item] | None = result(  # type: ignore[valid-type]
            description="One per item, in the order of the input; null when the batch itself was refused"
        )
        received_at: datetime | None = result(description="When the batch arrived, by the server's clock")
        skew_seconds: Decimal | None = result(
            description="Server's clock minus device's; negative where the device runs ahead. Recorded, never applied"
        )
        batch: OfflineBatch | None = result(description="The record of the batch")

    @transactions(
        AUTHENTICATED,
        OfflineBatchApplyPayload,
        made_input,
        description="Apply what a terminal did while it was offline, in its own order. Each item is a transaction of its "
        "own and needs the permission of its mutation. Safe to send again as a whole",
        cost=MOST_ITEMS * 10,
    )
    async def offline_batch_apply(info: Info, input: Any) -> Payload:
        context, received = info.context, datetime.now(UTC)
        try:
            device = text(input.device_id, "deviceId", max=MOST_DEVICE)
            _check_size(input.items)
        except Refused as refused:
            return refused_as(OfflineBatchApplyPayload, refused)
        async with context.write(None) as tx:
            batch = await begin_batch(
                tx, device_id=device, sent_at=input.sent_at, received_at=received, items=len(input.items)
            )
        done = await _in_order(info.context, input.items, [_read(fields, *each) for each in enumerate(input.items)])
        counts = Counter(one.outcome for one in done)
        async with context.write(None) as tx:
            await finish_batch(
                tx, batch.id, now=datetime.now(UTC),
                applied=counts[Outcome.APPLIED], duplicates=counts[Outcome.DUPLICATE],
                conflicts=counts[Outcome.CONFLICT], rejected=counts[Outcome.REJECTED],
            )  # fmt: skip
            await tx.flush()
            (shown,) = await by_keys(tx, OfflineBatch, [batch.id])
        return OfflineBatchApplyPayload(
            items=[_shown(made_item, item, one) for item, one in zip(input.items, done, strict=True)],
            received_at=received,
            skew_seconds=batch.skew_seconds,
            batch=shown,
        )

    return offline_batch_apply


def _check_size(items: Sequence[Any]) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise ValidationFailed(f"1 to {MOST_ITEMS} items", path=("items",), constraint=f"1 to {MOST_ITEMS} items")


def _read(fields: Mapping[str, RootField], index: int, item: Any) -> Item:
    """The one action of an item; GraphQL has seen to it that there is exactly one."""
    name, given = next((n, given) for n in fields if (given := getattr(item.action, n)) is not UNSET)
    public = to_camel_case(name)
    return Item(public, fields[name], given, item.recorded_at, ("items", str(index), "action", public))


async def _in_order(context: Context, given: Sequence[Any], items: Sequence[Item]) -> list[Replayed]:
    """What came of the items, tried in the device's order, answered in the list's."""
    until = None if context.deadline is None else monotonic() + BEGUN_WITHIN * (context.deadline - monotonic())
    done: dict[int, Replayed] = {}
    for index in sorted(range(len(items)), key=lambda n: given[n].sequence):
        if until is not None and monotonic() > until:
            late = Fault("OPERATION_TIMEOUT", "Its turn did not come in time; send it again", retryable=True)
            done[index] = refused_for(items[index], late)
        else:
            done[index] = await replay(context, items[index])
    return [done[index] for index in range(len(items))]


def _shown(made_item: type, given: Any, done: Replayed) -> Any:
    return made_item(
        sequence=given.sequence,
        idempotency_key=done.item.input.idempotency_key,
        outcome=done.outcome,
        result=done.payload,
        errors=done.errors,
        about=done.item.about,
    )


def _inputs(fields: Mapping[str, RootField]) -> type:
    annotations = {name: root.field.metadata["input"] | None for name, root in fields.items()}
    members = {
        name: strawberry.field(description=root.field.description, default=UNSET) for name, root in fields.items()
    }
    made = type("OfflineActionInput", (), {"__annotations__": annotations, "__module__": __name__, **members})
    choice = strawberry.input(made, one_of=True, description="What was done: exactly one of these")

    @strawberry.input(description="Something that was done at a terminal while it was offline")
    class OfflineItemInput:
        sequence: int = strawberry.field(
            description="Its place in the order of the device; items are applied by it, equal ones as they stand in the list"
        )
        recorded_at: datetime = strawberry.field(
            description="When it was done, by the device's clock; stands in for a time the action leaves out"
        )
        action: choice = strawberry.field(  # type: ignore[valid-type]
            description="What was done, with the key it is known by"
        )

    @strawberry.input(description="What a terminal did while it was offline")
    class OfflineBatchApplyInput:
        device_id: str = strawberry.field(description=f"Name of the terminal; at most {MOST_DEVICE} characters")
        sent_at: datetime = strawberry.field(description="Now, by the device's clock: its skew is recorded")
        items: list[OfflineItemInput] = strawberry.field(description=f"What was done; 1 to {MOST_ITEMS}")

    return OfflineBatchApplyInput


def _item(fields: Mapping[str, RootField]) -> type:
    payloads = tuple(dict.fromkeys(root.field.metadata["payload"] for root in fields.values()))
    answer: Any = Annotated[
        Union[payloads],  # noqa: UP007 - made from a list
        strawberry.union("OfflineResult", description="The answer of the mutation an item stands for"),
    ]

    @strawberry.type(description="What came of one item of an offline batch")
    class OfflineItemResult:
        sequence: int = strawberry.field(description="Its place in the order of the device, as it was sent")
        idempotency_key: str = strawberry.field(description="The key it was sent with")
        outcome: Outcome = strawberry.field(name="status", description="What came of it")
        result: answer | None = strawberry.field(
            description="The mutation's answer, of a duplicate the first one; null where nothing was written"
        )
        errors: list[UserError] = strawberry.field(
            description="Why nothing was written; their paths begin at the batch's input"
        )
        about: strawberry.Private[str]

        @strawberry.field(
            description="On a CONFLICT, the object the item is about as it is after the batch; null where the caller may not see it"
        )
        async def current(self, info: Info) -> Node | None:
            return await _visible(info, self.about) if self.outcome is Outcome.CONFLICT else None

    return OfflineItemResult


async def _visible(info: Info, id: str) -> Node | None:
    """The object of an id, as `node` would show it, where the caller may read its type."""
    type_name, key = decode(id)
    node = NODES[type_name]
    if node.__declared__.permission not in (None, AUTHENTICATED) and not info.context.actor.may(
        str(node.__declared__.permission)
    ):
        return None
    found: Node | None = await info.context.loaders.one(node).load(key)
    return found
