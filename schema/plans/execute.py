"""Running an operation's plan: the arguments' values, one statement in the operation's read transaction, the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import asyncpg
import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues
from graphql.language import Visitor, visit

from schema.context import Context
from schema.faults import Fault
from schema.permissions import AUTHENTICATED
from schema.plans.arguments import Variables
from schema.plans.collect import Collector, type_named
from schema.plans.finish import finisher
from schema.plans.mutate import Posting, posting
from schema.plans.pages import PageSql, page_sql
from schema.plans.plan import Plan
from schema.plans.tree import Finish, NotPlanned, Root
from schema.write import Posted

MOST_PLANS = 32
"""Kept of one operation: directives that depend on many variables make many."""
MOST_AHEAD = 3
"""More variables of directives have too many plans to make any before they are needed."""


@dataclass(slots=True)
class Answered:
    """Root fields with their answers, in the document's order; what is left for the loaders as a document of its own."""

    data: dict[str, Any]
    errors: list[GraphQLError] = field(default_factory=list)
    rest: DocumentNode | None = None
    left: Collection[str] = ()
    """Root fields the rest answers."""
    statement: str = ""
    posted: Posted | None = None
    """Of a mutation: what it did."""


class Prepared:
    """An operation of a document, planned when it first runs."""

    def __init__(self, schema: strawberry.Schema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._document = document
        self._operation = operation
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._postings: dict[tuple[Any, ...], Posting | None] = {}

    @property
    def plans(self) -> Collection[Plan]:
        return self._plans.values()

    async def run(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        """The answer of the planned root fields; None where the loaders are to answer everything."""
        if context.actor.organization_id is None:
            return None
        if self._operation.operation is OperationType.MUTATION:
            return await self._post(given, context)
        if self._operation.operation is not OperationType.QUERY:
            return None
        try:
            variables = self._declared.values(given)
            if variables is None:
                return None
            plan = self.plan(variables)
        except GraphQLError:  # of the variables, or of what @skip and @include are given
            return None
        if not plan.roots:
            return None
        if not all(one in (None, AUTHENTICATED) or context.actor.may(one) for one in plan.permissions):
            return None  # an id told the type: the loaders say what may not be read
        scopes = {context.actor.read_scope(permission) for permission in plan.permissions}
        if len(scopes) > 1:  # one statement sees the plants of one permission
            return None
        try:
            pages = plan.pages(variables)
        except (Fault, GraphQLError):
            return None
        alone = plan.rest is None and context.fresh
        statement = plan.statement(pages, alone)
        values = statement.values(pages)
        try:
            if alone:
                row = await context.database.fetchrow(context.actor, scopes.pop(), statement.text, values)
            else:
                async with context.read(plan.permissions[0]) as tx:
                    row = await tx.fetchrow(statement.text, [tx.org, *values])
        except (asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            return None
        except Exception as error:
            return _failed(plan, error)
        assert row is not None
        data: dict[str, Any] = dict.fromkeys(plan.order)
        try:
            data |= plan.answers(row, pages)
        except Exception:  # whatever a function or a scalar has against a value is that one field's error
            return None
        return Answered(data, rest=plan.rest, left=plan.left, statement=statement.text)

    async def _post(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        """As `run`, of a mutation. Where it was posted and the loaders are to answer, the context has what was posted."""
        try:
            variables = self._declared.values(given)
            posting = None if variables is None else self._posting(variables)
        except GraphQLError:
            return None
        if variables is None or posting is None:
            return None
        try:
            posted = await posting.post(variables, context)
        except Exception as error:
            located = GraphQLError(str(error), nodes=[posting.node], path=[posting.key], original_error=error)
            return Answered({posting.key: None}, [located])
        answer = None if posted is None else posting.answer(posted)
        if answer is None:
            context.posted = posted
            return None
        return Answered({posting.key: answer}, posted=posted)

    def _posting(self, variables: VariableValues) -> Posting | None:
        key = self._key(variables)
        if key not in self._postings:
            collector = Collector(self._schema, self._operation, self._fragments, variables)

            def plan(node: FieldNode, roots: Sequence[Root]) -> Plan:
                permissions = list(dict.fromkeys(one.__declared__.permission for one in collector.nodes))
                return Plan([], [(root, node, finisher(root)) for root in roots], [], [], permissions, None, {})

            try:
                made: Posting | None = posting(collector, collector.roots(), plan)
            except NotPlanned:
                made = None
            if len(self._postings) >= MOST_PLANS:
                return made
            self._postings[key] = made
        return self._postings[key]

    def explained(self, answered: Answered | None) -> dict[str, Any]:
        """For those who write documents: the statement that answered, and what it left to the loaders, with the reason."""
        left = {key: why for plan in self._plans.values() for key, why in plan.left.items()}
        return {"statement": None if answered is None else answered.statement, "left": left}

    def plan(self, variables: VariableValues) -> Plan:
        key = self._key(variables)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._made(variables)
            if len(self._plans) < MOST_PLANS:
                self._plans[key] = plan
        return plan

    def _key(self, variables: VariableValues) -> tuple[Any, ...]:
        known = variables.coerced
        flags, ids = self._deciding
        return (*(known.get(name) for name in flags), *(type_named(known.get(name)) for name in ids))

    def ahead(self) -> None:
        """Plan before it runs: for each way in which a few variables of @skip and @include can stand. What an id decides is
        not known before."""
        flags, ids = self._deciding
        if self._operation.operation is OperationType.SUBSCRIPTION or ids or len(flags) > MOST_AHEAD:
            return
        make = self.plan if self._operation.operation is OperationType.QUERY else self._posting
        for values in product((True, False), repeat=len(flags)):
            with suppress(GraphQLError):
                make(VariableValues({}, dict(zip(flags, values, strict=True))))

    def _made(self, variables: VariableValues) -> Plan:
        collector = Collector(self._schema, self._operation, self._fragments, variables)
        grouped = collector.roots()
        roots: list[tuple[Root, FieldNode, Finish | None]] = []
        rest: list[FieldNode] = []
        left: dict[str, str] = {}
        for key, details in grouped.items():
            try:
                root = collector.root(key, details)
                roots.append((root, details[0].node, finisher(root)))
            except NotPlanned as why:
                left[key] = str(why)
                rest += [detail.node for detail in details]
        constant: list[PageSql | None] = []
        try:
            constant = [page_sql(one, variables) if one.constant else None for one in collector.arguments]
        except (Fault, GraphQLError):  # the document itself is wrong: the loaders say how
            roots, rest = [], []
        permissions = list(dict.fromkeys(node.__declared__.permission for node in collector.nodes))
        return Plan(
            list(grouped), roots, collector.arguments, constant, permissions, self._only(rest) if rest else None, left
        )

    def _only(self, fields: list[FieldNode]) -> DocumentNode:
        """The document with some of the operation's root fields."""
        kept = OperationDefinitionNode(
            operation=self._operation.operation,
            name=self._operation.name,
            variable_definitions=self._operation.variable_definitions,
            directives=self._operation.directives,
            selection_set=SelectionSetNode(selections=tuple(fields)),
        )
        fragments = [one for one in self._document.definitions if isinstance(one, FragmentDefinitionNode)]
        return DocumentNode(definitions=(kept, *fragments))

    @cached_property
    def _declared(self) -> Variables:
        return Variables(self._schema._schema, self._operation.variable_definitions or ())

    @cached_property
    def _fragments(self) -> dict[str, FragmentDetails]:
        found = (one for one in self._document.definitions if isinstance(one, FragmentDefinitionNode))
        return {one.name.value: FragmentDetails(one) for one in found}

    @cached_property
    def _deciding(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Variables named by @skip and @include, and those whose ids tell the type of `node(id)`."""
        visitor = _Deciding()
        visit(self._document, visitor)
        return tuple(dict.fromkeys(visitor.flags)), tuple(dict.fromkeys(visitor.ids))


class _Deciding(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.flags: list[str] = []
        self.ids: list[str] = []

    def enter_directive(self, node: Any, *_: Any) -> None:
        self.flags += _variables(node)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value == "node":
            self.ids += _variables(node)


def _variables(node: Any) -> list[str]:
    return [one.value.name.value for one in node.arguments or () if isinstance(one.value, VariableNode)]


def _failed(plan: Plan, error: Exception) -> Answered:
    """Nothing came: every root field is null, with the same error at its own path."""
    errors = [
        GraphQLError(str(error), nodes=[node], path=[root.key], original_error=error) for root, node, _ in plan.roots
    ]
    return Answered(dict.fromkeys(plan.order), errors, plan.rest, plan.left)
