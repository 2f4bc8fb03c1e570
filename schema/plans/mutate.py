"""A mutation: the use case runs as always, and what is asked of the rows it changed is read by one statement, in its own
transaction.

What the statement cannot say the loaders complete over what was posted: refusals, first answers given again, and objects
under permissions that hold in other plants than those the transaction sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from graphql import FieldNode, GraphQLNonNull
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues

from db.refusal import Refused
from db.session import WriteTx
from schema.context import Context
from schema.faults import bad_input
from schema.idempotency import Receipt
from schema.plans.arguments import Read
from schema.plans.collect import Collector
from schema.plans.finish import finisher
from schema.plans.pages import NOTHING, PageSql, key_of, page_sql
from schema.plans.plan import Reading
from schema.plans.tree import UNFIT, Arguments, Finish, Given, NotPlanned, One, Root, Typename
from schema.write import Mutation, Posted

RETRIED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
ERRORS = "errors"
ANY = PageSql(NOTHING, NOTHING, (), False, 1)


class Unreadable(Exception):
    """What was posted could not be read in its own transaction, which is therefore undone."""


@dataclass(slots=True, eq=False)
class Posting:
    """A root field, for given values of the variables its directives name."""

    key: str
    nodes: list[FieldNode]
    mutation: Mutation
    read: Read
    members: list[tuple[str, str | Typename]]
    """Of the payload: response key and attribute, or the name of the type."""
    objects: list[tuple[str, One]]
    """Attribute of the payload and what is asked of the object."""
    reading: Reading
    """Of the objects. In their places stands nothing before they are posted."""

    def filled(self, variables: VariableValues) -> Filled:
        """Raises what is in UNFIT where a value does not fit, before anything was posted."""
        return Filled(self, self.read(variables).get("input"), [_sure(page) for page in self.reading.pages(variables)])


@dataclass(slots=True, eq=False)
class Filled:
    """A posting with the values of one request."""

    posting: Posting
    input: Any
    pages: list[PageSql]
    """Of the lists in the payload."""
    statement: str = ""
    """That read the payload."""

    async def post(self, context: Context) -> Posted:
        """Raises what the mutation raises."""
        mutation, field = self.posting.mutation, self.posting.nodes[0].name.value
        permissions = self.posting.reading.permissions | {None}  # under which a transaction that writes reads
        read = None if context.actor.sees(permissions) is None else partial(self._values, context)
        try:
            try:
                return await mutation.asked(context, field, self.input, read)
            except Unreadable:  # so nothing stands: post it again, and let the loaders find out what cannot be read
                return await mutation.asked(context, field, self.input)
        except Refused as refused:
            return mutation.refused(refused)

    async def _values(
        self, context: Context, tx: WriteTx, results: Mapping[str, Any], receipt: Receipt | None
    ) -> dict[str, Any] | None:
        if not self.posting.objects:
            if receipt is not None:
                await receipt.keep(tx)
            return {}
        pages = self._pages(results)
        statement = self.posting.reading.statement(pages, False)
        self.statement = text = statement.text
        values: list[Any] = [tx.org, *statement.values(pages)]
        if receipt is not None:
            text = f"with kept as ({receipt.statement(len(values))}), {text.removeprefix('with ')}"
            values += receipt.values(tx)
        try:
            row = await tx.fetchrow(text, values)
        except RETRIED:
            raise
        except asyncpg.PostgresError as error:
            raise Unreadable from error
        try:
            return self.posting.reading.answers(row, Given(pages, context))
        except Exception:  # that is one field's error: the loaders tell of it
            return None

    def _pages(self, results: Mapping[str, Any]) -> list[PageSql]:
        pages = list(self.pages)
        for attribute, root in self.posting.objects:
            id = getattr(results.get(attribute), "id", None)
            condition = key_of(root.target.node.__declared__.table, id)
            pages[root.page] = PageSql(condition, NOTHING, (), False, 1)
        return pages

    def answer(self, posted: Posted) -> dict[str, Any] | None:
        """The payload; None where the loaders are to complete it."""
        if posted.read is None or posted.refused:
            return None
        return {
            key: [] if member == ERRORS else member.name if isinstance(member, Typename) else posted.read[key]
            for key, member in self.posting.members
        }


def posting(collector: Collector, key: str, details: list[FieldDetails]) -> Posting:
    """Of one root field, by a collector of its own. Raises NotPlanned where it is a mutation of another kind."""
    node = details[0].node
    field, definition, parent = collector.mutation(node)
    mutation = getattr(field, "run", None)
    if not isinstance(mutation, Mutation) or not mutation.plain:
        raise NotPlanned(f"{node.name.value} needs more than its input")
    if isinstance(definition.type, GraphQLNonNull):
        raise NotPlanned(f"{node.name.value} may not be null: where it fails nothing follows")
    members: list[tuple[str, str | Typename]] = []
    objects: list[tuple[str, One]] = []
    for member, group in collector.below(parent, details).items():
        name = group[0].node.name.value
        if name == "__typename":
            members.append((member, Typename(member, parent.name)))
            continue
        attribute = parent.fields[name].extensions["strawberry-definition"].python_name
        members.append((member, attribute))
        if attribute != ERRORS:
            objects.append((attribute, collector.changed(member, parent.fields[name], group)))
    if not members:
        raise NotPlanned("nothing is asked of the payload")
    read, _ = collector.reads(field, definition, node)
    nodes = [detail.node for detail in details]
    roots: list[tuple[Root, Sequence[FieldNode], Finish | None]] = [
        (root, nodes, finisher(root)) for _, root in objects
    ]
    reading = Reading(roots, collector.permissions, collector.arguments, _constant(collector.arguments), collector.keys)
    return Posting(key, nodes, mutation, read, members, objects, reading)


def _constant(arguments: list[Arguments]) -> list[PageSql | None]:
    """Pages that are the same whatever the variables."""
    pages: list[PageSql | None] = []
    for one in arguments:
        if one.listing is None or not one.constant:
            pages.append(ANY if one.listing is None else None)
            continue
        try:
            pages.append(_sure(page_sql(one, None)))
        except UNFIT as wrong:
            raise NotPlanned(f"a list of the payload cannot be read: {wrong}") from None
    return pages


def _sure(page: PageSql) -> PageSql:
    """What PostgreSQL had against a value would undo what was posted."""
    if not page.sure:
        raise bad_input("A value is outside what can be compared")
    return page
