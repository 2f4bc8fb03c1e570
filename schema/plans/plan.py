"""A plan: the roots of one operation, the statement that reads them, and what is made of its answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import DocumentNode, FieldNode, GraphQLError
from graphql.execution.values import VariableValues

from schema.plans.call import Call
from schema.plans.pages import PageSql, page_sql
from schema.plans.sql import Statement, statement
from schema.plans.tree import Arguments, Finish, Given, Root

MOST_STATEMENTS = 5_000
"""Kept of all operations together: orders, page sizes and shapes of conditions come from variables."""
LONGEST_STATEMENT = 16_384
"""A longer one is written each time: the driver does not keep it prepared either."""
_STATEMENTS: OrderedDict[tuple[Any, ...], Statement] = OrderedDict()


@dataclass(slots=True, eq=False)
class Reading:
    """What is read by one statement. Its statements are as many as the shapes of its pages."""

    roots: list[tuple[Root, Sequence[FieldNode], Finish | None]]
    """Each with its places in the document, and what makes its JSON the answer; None where that is the answer."""
    permissions: frozenset[str | None]
    arguments: list[Arguments]
    constant: list[PageSql | None]
    """Pages whose arguments name no variable."""
    keys: int
    """Of the answer: as many things make it."""

    def pages(self, variables: VariableValues) -> list[PageSql]:
        return [
            page_sql(arguments, variables) if page is None else page
            for arguments, page in zip(self.arguments, self.constant, strict=True)
        ]

    def answers(self, row: Sequence[str | None], given: Given) -> dict[str, Any]:
        """The roots' values. Raises whatever a function or a scalar has against a value."""
        return {
            root.key: _finished(json, finish, given) for (root, _, finish), json in zip(self.roots, row, strict=True)
        }

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

    def forget(self) -> None:
        """It will not be asked again."""
        for key in [key for key in _STATEMENTS if key[0] is self]:
            del _STATEMENTS[key]


@dataclass(slots=True, eq=False)
class Plan(Reading):
    """One query, for given values of the variables its directives name and given types of the ids that `node` and `nodes` are asked for."""

    calls: list[Call]
    """Root fields with functions of their own, that run once the statement has been read."""
    order: list[str]
    """Of all root fields in the answer."""
    rest: DocumentNode | None
    left: dict[str, str]
    """Root fields the loaders answer, and why."""


@dataclass(slots=True)
class Answered:
    """Root fields with their answers, in the document's order; what is left for the loaders as a document of its own."""

    data: dict[str, Any]
    errors: list[GraphQLError] = field(default_factory=list)
    rest: DocumentNode | None = None
    left: Mapping[str, str] = field(default_factory=dict)
    """Root fields the rest answers, and why."""
    statement: str = ""


def _finished(json: str | None, finish: Finish | None, given: Given) -> Any:
    if json is None:
        return None
    return orjson.Fragment(json) if finish is None else finish(orjson.loads(json), given)
