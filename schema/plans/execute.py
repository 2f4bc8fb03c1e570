"""Running an operation's plan: the arguments' values, one statement in the operation's read transaction, the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain, product
from typing import Any, ClassVar

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
)
from graphql.error import located_error
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues

from db.actor import Scope
from schema.context import Context
from schema.faults import Fault
from schema.plans.arguments import Variables
from schema.plans.call import Call, outcomes
from schema.plans.collect import Collector
from schema.plans.deciding import Deciding, deciding
from schema.plans.finish import finisher
from schema.plans.mutate import Filled, Posting, posting
from schema.plans.pages import PageSql, page_sql
from schema.plans.plan import Answered, Plan
from schema.plans.tree import UNFIT, Finish, Given, NotPlanned, Root, Unplanned
from schema.write import Posted

MOST_PLANS = 32
"""Kept of one operation: directives that depend on many variables make many."""
PLAN_CHARACTERS = 100
"""A plan takes about as much as so many characters of a document,"""
KEY_CHARACTERS = 4
"""and each key of its answer as so many."""
MOST_AHEAD = 3
"""More variables of directives have too many plans to make any before they are needed."""


class Prepared:
    """An operation of a document, planned when it first runs."""

    made: ClassVar = 0
    """Plans by now, of all operations together."""

    def __init__(self, schema: strawberry.Schema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._document = document
        self._operation = operation
        self._plans: OrderedDict[tuple[Any, ...], Plan] = OrderedDict()
        self._postings: OrderedDict[tuple[Any, ...], list[Posting] | NotPlanned] = OrderedDict()

    @property
    def plans(self) -> Collection[Plan]:
        return self._plans.values()

    @property
    def weight(self) -> int:
        """Of its plans, those of mutations among them, in characters of a document."""
        postings = (one for made in self._postings.values() if not isinstance(made, NotPlanned) for one in made)
        readings = chain(self._plans.values(), (posting.reading for posting in postings))
        return sum(PLAN_CHARACTERS + KEY_CHARACTERS * reading.keys for reading in readings)

    async def run(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        """The answer of the planned root fields, with what is left to the loaders; None where nothing was done and they
        are to answer everything."""
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
        except UNFIT:
            return None
        if not plan.roots and not plan.calls:
            return None
        scope = context.actor.sees(plan.permissions) if plan.roots else None
        if plan.roots and scope is None:
            return None  # an id told the type, and the loaders say what may not be read; or each sees its own plants
        try:
            pages = plan.pages(variables)
            arguments = [call.read(variables) for call in plan.calls]
        except UNFIT:
            return None
        answered = Answered(dict.fromkeys(plan.order), rest=plan.rest, left=plan.left)
        if scope is not None and not await self._read(plan, scope, pages, context, answered):
            return None
        try:
            found = await outcomes(plan.calls, arguments, context)
        except Unplanned:
            return None
        for call, value in zip(plan.calls, found, strict=True):
            if isinstance(value, Exception):
                answered.errors.append(located_error(value, call.nodes, [call.key]))
            else:
                answered.data[call.key] = value
        return answered

    async def _read(
        self, plan: Plan, scope: Scope, pages: Sequence[PageSql], context: Context, answered: Answered
    ) -> bool:
        """Answer what one statement reads; False where the loaders are to answer everything."""
        alone = plan.rest is None and not plan.calls and context.fresh
        statement = plan.statement(pages, alone)
        values = statement.values(pages)
        answered.statement = statement.text
        try:
            if alone:
                row = await context.database.fetchrow(context.actor, scope, statement.text, values)
            else:
                async with context.read(next(iter(plan.permissions))) as tx:
                    row = await tx.fetchrow(statement.text, [tx.org, *values])
        except (Fault, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            return False
        except Exception as error:  # nothing came: every root field is null, with the same error at its own path
            answered.errors += [located_error(error, nodes, [root.key]) for root, nodes, _ in plan.roots]
            return True
        assert row is not None
        try:
            answered.data |= plan.answers(row, Given(pages, context))
        except Exception:  # whatever a function or a scalar has against a value is that one field's error
            return False
        return True

    async def _post(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        """As `run`, of mutations: one after the other, each committed before the next begins. From the first on that the
        loaders complete, they answer what follows too."""
        try:
            variables = self._declared.values(given)
            postings = NotPlanned() if variables is None else self._postings_of(variables)
            if variables is None or isinstance(postings, NotPlanned):
                return None
            asked = [one.filled(variables) for one in postings]
        except UNFIT:
            return None
        answered = Answered(dict.fromkeys(one.key for one in postings))
        for place, filled in enumerate(asked):
            key, nodes = filled.posting.key, filled.posting.nodes
            try:
                posted = await self.posted(filled, context)
            except Exception as error:
                answered.errors.append(GraphQLError(str(error), nodes=nodes, path=[key], original_error=error))
                continue
            answer = filled.answer(posted)
            if answer is None:
                context.posted = {key: posted}
                left = postings[place:]
                answered.rest = self._only([node for one in left for node in one.nodes])
                answered.left = dict.fromkeys(
                    (one.key for one in left), "completed over what was posted, or after that"
                )
                break
            answered.data[key] = answer
        answered.statement = ";\n".join(filled.statement for filled in asked if filled.statement)
        return answered

    async def posted(self, filled: Filled, context: Context) -> Posted:
        """One mutation. Who compares the executors looks on here."""
        return await filled.post(context)

    def _postings_of(self, variables: VariableValues) -> list[Posting] | NotPlanned:
        key = self._key(variables)
        if (known := self._postings.get(key)) is not None:
            self._postings.move_to_end(key)
            return known
        try:
            made: list[Posting] | NotPlanned = [
                posting(self._collector(variables), *root) for root in self._collector(variables).roots().items()
            ]
            if not made:
                raise NotPlanned("nothing is asked")
        except NotPlanned as why:
            made = why
        self._postings[key] = made
        Prepared.made += 1
        if len(self._postings) > MOST_PLANS:
            _, oldest = self._postings.popitem(last=False)
            for one in [] if isinstance(oldest, NotPlanned) else oldest:
                one.reading.forget()
        return made

    def _collector(self, variables: VariableValues) -> Collector:
        return Collector(self._schema, self._operation, self._fragments, variables)

    def explained(self, given: Mapping[str, Any], answered: Answered | None) -> dict[str, Any]:
        """For those who write documents: the statement that answered, and what it left to the loaders, with the reason."""
        if answered is not None:
            return {"statement": answered.statement, "left": dict(answered.left)}
        return {"statement": None, "left": self._reasons(given)}

    def _reasons(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Why nothing was planned, as far as that is known before an operation runs."""
        try:
            variables = self._declared.values(given)
            if variables is None or self._operation.operation is OperationType.SUBSCRIPTION:
                return {}
            if self._operation.operation is OperationType.QUERY:
                return dict(self.plan(variables).left)
            why = self._postings_of(variables)
            keys = self._collector(variables).roots()
        except UNFIT:
            return {}
        return dict.fromkeys(keys, str(why)) if isinstance(why, NotPlanned) else {}

    def plan(self, variables: VariableValues) -> Plan:
        key = self._key(variables)
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
            return plan
        self._plans[key] = plan = self._made(variables)
        Prepared.made += 1
        if len(self._plans) > MOST_PLANS:
            _, oldest = self._plans.popitem(last=False)
            oldest.forget()
        return plan

    def _key(self, variables: VariableValues) -> tuple[Any, ...]:
        return self._deciding.key(variables.coerced)

    def ahead(self) -> None:
        """Plan before it runs: for each way in which a few variables of @skip and @include can stand. What an id decides is
        not known before."""
        flags = self._deciding.flags
        if self._operation.operation is OperationType.SUBSCRIPTION or self._deciding.ids or len(flags) > MOST_AHEAD:
            return
        make = self.plan if self._operation.operation is OperationType.QUERY else self._postings_of
        for values in product((True, False), repeat=len(flags)):
            with suppress(*UNFIT):
                make(VariableValues({}, dict(zip(flags, values, strict=True))))

    def _made(self, variables: VariableValues) -> Plan:
        collector = self._collector(variables)
        grouped = collector.roots()
        roots: list[tuple[Root, Sequence[FieldNode], Finish | None]] = []
        calls: list[Call] = []
        rest: list[FieldNode] = []
        left: dict[str, str] = {}
        for key, details in grouped.items():
            nodes = [detail.node for detail in details]
            try:
                root = collector.root(key, details)
                if isinstance(root, Call):
                    calls.append(root)
                else:
                    roots.append((root, nodes, finisher(root)))
            except NotPlanned as why:
                left[key] = str(why)
                rest += nodes
        constant: list[PageSql | None] = []
        try:
            constant = [page_sql(one, variables) if one.constant else None for one in collector.arguments]
        except UNFIT:  # the document itself is wrong: the loaders say how
            roots, calls, rest = [], [], []
        return Plan(
            roots, collector.permissions, collector.arguments, constant, collector.keys, calls, list(grouped),
            self._only(rest) if rest else None, left,
        )  # fmt: skip

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
    def _deciding(self) -> Deciding:
        return deciding(self._operation, self._fragments)
