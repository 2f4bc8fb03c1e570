"""Running an operation's plan: the arguments' values, one statement in the operation's read transaction, the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import asyncpg
import orjson
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
from schema.plans.pages import PageSql, page_sql
from schema.plans.sql import Statement, statement
from schema.plans.tree import Arguments, Finish, NotPlanned, Root

MOST_STATEMENTS = 5_000
"""Kept of all operations together: orders, page sizes and shapes of conditions come from variables."""
LONGEST_STATEMENT = 16_384
"""A longer one is written each time: the driver does not keep it prepared either."""
MOST_PLANS = 32
"""Kept of one operation: directives that depend on many variables make many."""
_STATEMENTS: OrderedDict[tuple[Any, ...], Statement] = OrderedDict()


@dataclass(slots=True)
class Answered:
    """Root fields with their answers, in the document's order; what is left for the loaders as a document of its own."""

    data: dict[str, Any]
    errors: list[GraphQLError] = field(default_factory=list)
    rest: DocumentNode | None = None
    left: Collection[str] = ()
    """Root fields the rest answers."""
    statement: str = ""


@dataclass(slots=True, eq=False)
class Plan:
    """One operation, for given values of the variables its directives name and given types of the ids `node` is asked for."""

    order: list[str]
    roots: list[tuple[Root, FieldNode, Finish | None]]
    arguments: list[Arguments]
    constant: list[PageSql | None]
    permissions: list[str | None]
    rest: DocumentNode | None
    left: dict[str, str]
    """Root fields the loaders answer, and why."""

    def pages(self, variables: VariableValues) -> list[PageSql]:
        return [
            page_sql(arguments, variables) if page is None else page
            for arguments, page in zip(self.arguments, self.constant, strict=True)
        ]

    def statement(self, pages: Sequence[PageSql], alone: bool) -> Statement:
        key = (self, alone, *(page.shape for page in pages))
        made = _STATEMENTS.get(key)
        if made is None:
            made = statement([root for root, _, _ in self.roots], pages, alone=alone)
            if len(made.text) <= LONGEST_STATEMENT:
                _STATEMENTS[key] = made
                if len(_STATEMENTS) > MOST_STATEMENTS:
                    _STATEMENTS.popitem(last=False)
        else:
            _STATEMENTS.move_to_end(key)
        return made


class Prepared:
    """An operation of a document, planned when it first runs."""

    def __init__(self, schema: strawberry.Schema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._document = document
        self._operation = operation
        self._plans: dict[tuple[Any, ...], Plan] = {}

    @property
    def plans(self) -> Collection[Plan]:
        return self._plans.values()

    async def run(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        """The answer of the planned root fields; None where the loaders are to answer everything."""
        if self._operation.operation is not OperationType.QUERY or context.actor.organization_id is None:
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
            for (root, _, finish), json in zip(plan.roots, row, strict=True):
                data[root.key] = _finished(json, finish, pages)
        except Exception:  # whatever a function or a scalar has against a value is that one field's error
            return None
        return Answered(data, rest=plan.rest, left=plan.left, statement=statement.text)

    def explained(self, answered: Answered | None) -> dict[str, Any]:
        """For those who write documents: the statement that answered, and what it left to the loaders, with the reason."""
        left = {key: why for plan in self._plans.values() for key, why in plan.left.items()}
        return {"statement": None if answered is None else answered.statement, "left": left}

    def plan(self, variables: VariableValues) -> Plan:
        known = variables.coerced
        flags, ids = self._deciding
        key = (*(known.get(name) for name in flags), *(type_named(known.get(name)) for name in ids))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._made(variables)
            if len(self._plans) < MOST_PLANS:
                self._plans[key] = plan
        return plan

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


def _finished(json: str | None, finish: Finish | None, pages: Sequence[PageSql]) -> Any:
    if json is None:
        return None
    return orjson.Fragment(json) if finish is None else finish(orjson.loads(json), pages)


def _failed(plan: Plan, error: Exception) -> Answered:
    """Nothing came: every root field is null, with the same error at its own path."""
    errors = [
        GraphQLError(str(error), nodes=[node], path=[root.key], original_error=error) for root, node, _ in plan.roots
    ]
    return Answered(dict.fromkeys(plan.order), errors, plan.rest, plan.left)
