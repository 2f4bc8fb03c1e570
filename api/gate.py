"""What a request passes before it runs: is its document good, may the caller, is it within bounds, is it paid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from graphql import OperationType

from api import metrics
from api.charging import Bill, Charging
from api.client_ip import counted
from api.documents import Documents, Operation, Operations, named
from api.errors import Rejected, coded
from api.limits import Limits, Own, check_measures, check_variables
from api.throttle import Throttle
from api.trusted import Trusted, limits_of_trusted
from db.actor import Actor
from schema import permissions
from schema.faults import Fault

READING = (OperationType.QUERY,)
SINGLE = (OperationType.QUERY, OperationType.MUTATION)
STREAMED_BY_GET = (OperationType.QUERY, OperationType.SUBSCRIPTION)
EVERYTHING = tuple(OperationType)
_ELSEWHERE = {
    OperationType.QUERY: "A query cannot be sent this way",
    OperationType.MUTATION: "A mutation is sent by POST",
    OperationType.SUBSCRIPTION: "A subscription is sent over graphql-transport-ws or with Accept: text/event-stream",
}
_ELSEWHERE_STATUS = {OperationType.QUERY: 405, OperationType.MUTATION: 405, OperationType.SUBSCRIPTION: 400}


@dataclass(slots=True)
class Request:
    """What a client asked, its shape already checked."""

    query: str
    """Empty where the document is named by its hash alone."""
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    last_event_id: str | None = None
    document_hash: str | None = None
    bill: Bill = field(default_factory=Bill, compare=False)


class Gate:
    def __init__(
        self, documents: Documents, trusted: Trusted, limits: Limits, own: Own, charging: Charging, sign_ins: Throttle
    ) -> None:
        self._documents = documents
        self._trusted = trusted
        self._limits = limits
        self._own = own
        self._charging = charging
        self._sign_ins = sign_ins

    async def pass_(self, request: Request, actor: Actor, allowed: Collection[OperationType]) -> Operation:
        """The operation, or Rejected with the first thing that stands against it."""
        try:
            operation = await self._operation(request, actor)
            if operation.kind not in allowed:
                raise Rejected.because(
                    "BAD_REQUEST", _ELSEWHERE[operation.kind], status=_ELSEWHERE_STATUS[operation.kind]
                )
            purse = await self._charging.purse(actor)
            limits = self._limits
            if self._own and (own := self._own.get(actor.organization_id)) is not None:
                limits = own
                check_measures(operation.measures, limits_of_trusted(own) if operation.trusted else own)
            check_variables(request.variables, limits)
            if operation.introspects and not actor.signed_in:
                raise Fault("UNAUTHENTICATED", "Sign in to read the schema")
            permissions.check(operation.needs, actor)
            _check_key(request, operation)
            await self._charging.charge(request.bill, operation.price(request.variables), purse)
            self._check_sign_ins(operation, actor)
        except (Fault, Rejected) as refusal:
            metrics.operations.counts["unknown", "rejected"] += 1
            if isinstance(refusal, Rejected):
                refusal.extensions = request.bill.extensions
                raise
            raise Rejected([coded(**refusal.extensions, message=refusal.message)]) from None
        return operation

    async def _operation(self, request: Request, actor: Actor) -> Operation:
        """The document from a cache, or read: that is paid for besides the price, also where it is refused."""
        operations = self._known(request, actor) or await self._read(request, actor)
        return named(operations, request.operation_name)

    def _known(self, request: Request, actor: Actor) -> Operations | None:
        """By its hash; else by its text, which a client may send along with a hash nobody has registered."""
        hash, operations = request.document_hash, None
        if hash is not None:
            operations = self._trusted.known(hash, actor)
        if operations is None and request.query and not actor.documents_required:
            operations = self._documents.known(request.query)
        return operations

    async def _read(self, request: Request, actor: Actor) -> Operations:
        if request.document_hash is not None:
            await self._charging.reading(actor, 0)
            source = await self._trusted.source(request.document_hash, actor)
            if source is not None:
                await self._charging.reading(actor, len(source))
                return self._trusted.read(request.document_hash, source, actor)
            if not request.query:
                raise Rejected.because("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        if actor.documents_required:
            said = "This app may send trusted documents only, by their id"
            raise Rejected.because("FORBIDDEN", said, reason="TRUSTED_DOCUMENT_REQUIRED")
        await self._charging.reading(actor, len(request.query))
        return self._documents.known(request.query) or self._documents.read(request.query, actor.organization_id)

    def _check_sign_ins(self, operation: Operation, actor: Actor) -> None:
        """Mutations open to anybody are where passwords are guessed."""
        if operation.guesses:
            wait = self._sign_ins.wait(counted(actor.client_ip), cost=len(operation.roots))
            if wait:
                raise Rejected.because("RATE_LIMITED", "Too many attempts; wait a little", status=429, retryAfter=wait)


def _check_key(request: Request, operation: Operation) -> None:
    mutations = len(operation.roots) if operation.kind is OperationType.MUTATION else 0
    if request.idempotency_key is not None and mutations > 1:
        raise Rejected.because("BAD_REQUEST", "Idempotency-Key needs a document with exactly one mutation", status=400)
