"""An operation of one mutation: the use case runs as always, and what is asked of the rows it changed is read by one
statement, in its own transaction.

What the statement cannot say, refusals and first answers given again, the loaders complete over what was posted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import FieldNode
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues

from db.refusal import Refused
from db.session import WriteTx
from schema.context import Context
from schema.idempotency import Receipt
from schema.plans.arguments import Read
from schema.plans.collect import Collector
from schema.plans.pages import NOTHING, PageSql, page_sql, source
from schema.plans.plan import Plan
from schema.plans.tree import NotPlanned, One, Root, Typename
from schema.write import Mutation, Posted

MakePlan = Callable[[FieldNode, Sequence[Root]], Plan]
ERRORS = "errors"
ANY = PageSql(NOTHING, NOTHING, (), False, 1)


@dataclass(slots=True, eq=False)
class Posting:
    """The operation's one root field, for given values of the variables its directives name."""

    key: str
    node: FieldNode
    mutation: Mutation
    read: Read
    members: list[tuple[str, str | Typename]]
    """Of the payload: response key and attribute, or the name of the type."""
    objects: list[tuple[str, One]]
    """Attribute of the payload and what is asked of the object: the plan's roots."""
    pages: list[PageSql]
    plan: Plan

    async def post(self, variables: VariableValues, context: Context) -> Posted | None:
        """None where the arguments do not fit: the loaders say how. Raises what the mutation raises."""
        try:
            input = self.read(variables).get("input")
        except Exception:  # the library has its own words for each
            return None
        scopes = {context.actor.read_scope(permission) for permission in self.plan.permissions}
        all_seen = scopes <= {context.actor.read_scope(None)}  # what a transaction that writes reads under
        try:
            return await self.mutation.asked(context, self.node.name.value, input, self._values if all_seen else None)
        except Refused as refused:
            return self.mutation.refused(refused)

    async def _values(self, tx: WriteTx, results: Mapping[str, Any], receipt: Receipt | None) -> dict[str, Any] | None:
        if not self.objects:
            if receipt is not None:
                await receipt.keep(tx)
            return {}
        pages = list(self.pages)
        for attribute, root in self.objects:
            id = getattr(results.get(attribute), "id", None)
            pages[root.page] = replace(ANY, condition=(f"{source(root.target.node.__declared__.table)}.id = $1", (id,)))
        statement = self.plan.statement(pages, False)
        text, values = statement.text, [tx.org, *statement.values(pages)]
        if receipt is not None:
            text = f"with kept as ({receipt.statement(len(values))}), {text.removeprefix('with ')}"
            values += receipt.values(tx)
        row = await tx.fetchrow(text, values)
        try:
            return self.plan.answers(row, pages)
        except Exception:  # that is one field's error: the loaders tell of it
            return None

    def answer(self, posted: Posted) -> dict[str, Any] | None:
        """The payload; None where the loaders are to complete it."""
        if posted.read is None or posted.refused:
            return None
        return {
            key: [] if member == ERRORS else member.name if isinstance(member, Typename) else posted.read[key]
            for key, member in self.members
        }


def posting(collector: Collector, grouped: Mapping[str, list[FieldDetails]], make: MakePlan) -> Posting:
    """Raises NotPlanned where the operation is of several mutations, or one of another kind."""
    if len(grouped) != 1:
        raise NotPlanned("several mutations: each is answered before the next begins")
    ((key, details),) = grouped.items()
    node = details[0].node
    field, definition, parent = collector.mutation(node)
    mutation = getattr(field, "run", None)
    if not isinstance(mutation, Mutation) or not mutation.plain:
        raise NotPlanned(f"{node.name.value} needs more than its input")
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
    plan = make(node, [root for _, root in objects])
    return Posting(key, node, mutation, read, members, objects, _pages(collector), plan)


def _pages(collector: Collector) -> list[PageSql]:
    """Of the lists in the payload. A value that does not fit must not undo what was posted, so there is none."""
    pages = []
    for arguments in collector.arguments:
        if arguments.listing is None:
            pages.append(ANY)
            continue
        if not arguments.constant:
            raise NotPlanned("a list of the payload has arguments of variables")
        page = page_sql(arguments, None)
        if page.values:
            raise NotPlanned("a list of the payload has conditions")
        pages.append(page)
    return pages
