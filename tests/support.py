"""What tests stand on: fresh organizations in a real database, and one way to ask the schema."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import graphql
import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, execute, parse
from strawberry.types import ExecutionResult

from api.graphql import is_awaitable
from api.responses import dumps
from db.actor import EVERYWHERE, Actor, Scope
from db.session import Database
from schema.build import permissions
from schema.context import Context
from schema.faults import Fault
from schema.permissions import ADMIN, SYSTEM_ROLES, check, needs
from schema.plans.execute import Prepared
from schema.plans.mutate import Filled
from schema.plans.plan import Answered
from schema.registry import registered
from schema.write import Posted

_number = itertools.count(1)


@dataclass
class Tenant:
    """An organization of its own for one test: two plants, a department in each, a user of every system role."""

    organization_id: int
    code: str
    plants: list[int] = field(default_factory=list)
    departments: list[int] = field(default_factory=list)
    users: dict[str, int] = field(default_factory=dict)

    def actor(self, role: str = ADMIN, *, plants: list[int] | None = None, only: set[str] | None = None) -> Actor:
        """The user of a role, in every plant or in some; `only` narrows the permissions."""
        held = {
            code: EVERYWHERE
            for code, p in permissions(registered()).items()
            if role in p.roles and (only is None or code in only)
        }
        actor = Actor(
            self.organization_id, user_id=self.users[role], permissions=held,
            readable=None, writable=None, deletable=None, request_id=f"test-{next(_number)}",
        )  # fmt: skip
        if plants is not None:
            ids = frozenset(plants)
            scope = Scope(ids, ids)
            actor = replace(actor, readable=ids, writable=ids, deletable=ids, permissions=dict.fromkeys(held, scope))
        return actor

    def in_department(self, role: str = ADMIN, *, number: int = 0) -> Actor:
        """The user of a role in one department, with access to that department's plant alone."""
        actor = self.actor(role, plants=[self.plants[number]])
        scope = Scope.of_department(self.plants[number], self.departments[number])
        return replace(actor, permissions=dict.fromkeys(actor.permissions, scope))


async def new_tenant(admin: asyncpg.Connection) -> Tenant:
    """Rows are written as superuser: a test's arrangement; what the test asks runs as the application role."""
    code = f"t{secrets.token_hex(6)}"
    async with admin.transaction():
        org = await admin.fetchval(
            "insert into app.organizations (code, name, subdomain) values ($1, $2, $1) returning organization_id",
            code,
            f"Org {code}",
        )
        await admin.execute(f"set local app.org_id = '{int(org)}'")
        tenant = Tenant(org, code)
        for n, zone in enumerate(("Europe/Berlin", "Australia/Sydney")):
            plant = await admin.fetchval(
                "insert into app.plants (organization_id, code, name, plant_type, time_zone)"
                " values ($1, $2, $3, 'production', $4) returning id",
                org, f"P{n + 1}", f"Plant {n + 1}", zone,
            )  # fmt: skip
            tenant.plants.append(plant)
            department = await admin.fetchval(
                "insert into app.departments (organization_id, plant_id, code, name) values ($1, $2, $3, $4) returning id",
                org, plant, f"D{n + 1}", f"Department {n + 1}",
            )  # fmt: skip
            tenant.departments.append(department)
        for role, name in SYSTEM_ROLES.items():
            role_id = await admin.fetchval(
                "insert into app.roles (organization_id, code, name, is_system) values ($1, $2, $3, true)"
                " on conflict (organization_id, code) do update set name = excluded.name returning id",
                org, role, name,
            )  # fmt: skip
            user = await admin.fetchval(
                "insert into app.users (organization_id, email, username, full_name, all_plants)"
                " values ($1, $2, $3, $4, true) returning id",
                org, f"{role}@{code}.example", role, name,
            )  # fmt: skip
            tenant.users[role] = user
            await admin.execute(
                "insert into app.role_grants (organization_id, user_id, role_id) values ($1, $2, $3)",
                org,
                user,
                role_id,
            )
    return tenant


class NoHub:
    """For operations without subscriptions."""

    def listen(self, actor: Actor, topic: str, permission: str | None) -> Any:
        raise AssertionError("this test has no hub; use the fixture `hub`")

    def poke(self) -> None: ...


class NoTokens:
    def issue(self, **_: Any) -> Any:
        raise AssertionError("this test issues no tokens")


def _retryable(error: Exception) -> bool:
    return isinstance(error, Fault) and error.retryable


def _told(error: GraphQLError) -> tuple[Any, ...]:
    cause = error.original_error
    code = cause.code if isinstance(cause, Fault) else type(cause)
    return code, str(cause) if isinstance(cause, Fault) else None, error.path, error.locations


SIGNED = re.compile(rb'"download":{[^}]*}')
"""A link tells when it was signed."""


class Compared(Prepared):
    """After each mutation the loaders complete the same, over what it posted, before the next begins."""

    _given: Mapping[str, Any]

    async def run(self, given: Mapping[str, Any], context: Context) -> Answered | None:
        self._given, self._results = given, dict[str, Any]()
        return await super().run(given, context)

    async def posted(self, filled: Filled, context: Context) -> Posted:
        key, document = filled.posting.key, self._only(filled.posting.nodes)
        try:
            posted = await super().posted(filled, context)
        except Exception as error:
            if not _retryable(error):  # a moment later it is another answer
                self._results[key] = await self._loaded(document, context)
            raise
        context.posted = {key: posted}
        self._results[key] = await self._loaded(document, context)
        return posted

    async def completed(self, planned: Answered, context: Context) -> Any:
        """What the loaders answer to the whole operation."""
        results = [self._results.get(key) for key in planned.data if key not in planned.left]
        if planned.rest is not None:
            results.append(await self._loaded(planned.rest, context))
        data, errors = dict(planned.data), [e for e in planned.errors if e.path and e.path[0] not in self._results]
        for result in results:
            if result is not None:
                data |= result.data
                errors += result.errors or []
        return ExecutionResult(data, errors or None)

    async def _loaded(self, document: DocumentNode, context: Context) -> Any:
        result: Any = execute(
            self._schema._schema,
            document,
            context_value=context,
            variable_values=dict(self._given),
            is_awaitable=is_awaitable,
        )
        return result if isinstance(result, graphql.ExecutionResult) else await result


class House:
    """The schema over a database, asked in-process as the application role."""

    def __init__(self, schema: strawberry.Schema, database: Database, hub: Any = None, tokens: Any = None) -> None:
        self.schema = schema
        self.database = database
        self.hub = hub or NoHub()
        self.tokens = tokens or NoTokens()
        self.storage: Any = None
        self.cache: Any = None

    async def ask(
        self, actor: Actor, document: str, variables: dict[str, Any] | None = None, *, key: str | None = None,
        operation: str | None = None,
    ) -> ExecutionResult:  # fmt: skip
        """Run one operation. Permissions are checked as the edge does it; the rest is the real thing."""
        parsed = parse(document)
        asked = next(
            d for d in parsed.definitions
            if isinstance(d, OperationDefinitionNode) and operation in (None, d.name and d.name.value)
        )  # fmt: skip
        check(needs(self.schema._schema, parsed, asked), actor)
        context = Context(
            actor, self.database, self.hub, self.tokens, storage=self.storage, cache=self.cache, idempotency_key=key
        )
        try:
            if actor.signed_in:
                async with context.read(None):  # both executors see one state
                    pass
            prepared = Compared(self.schema, parsed, asked)
            planned = await prepared.run(variables or {}, context)
            result: Any
            if planned is not None and asked.operation is OperationType.MUTATION:
                result = await prepared.completed(planned, context)
            else:
                result = await self.schema.execute(
                    document, variable_values=variables, context_value=context, operation_name=operation
                )
        finally:
            await context.close()
        if planned is not None:
            self._compare(planned, result)
        return result  # type: ignore[no-any-return]

    @staticmethod
    def _compare(planned: Answered, result: ExecutionResult) -> None:
        """Both executors read the same state: what the plan answers is what the loaders answer, byte for byte."""
        assert result.data is not None
        fast = {key: value for key, value in planned.data.items() if key not in planned.left}
        slow = {key: result.data[key] for key in fast}
        assert list(planned.data) == list(result.data)
        assert SIGNED.sub(b"", dumps(fast)) == SIGNED.sub(b"", dumps(slow)), planned.statement
        errors = [e for e in result.errors or () if e.path is not None and e.path[0] not in planned.left]
        assert [_told(e) for e in planned.errors] == [_told(e) for e in errors]

    async def data(
        self, actor: Actor, document: str, variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The answer's data; an error fails the test with its cause."""
        result = await self.ask(actor, document, variables, **kwargs)
        if result.errors:
            raise AssertionError(result.errors) from result.errors[0].original_error
        assert result.data is not None
        return result.data

    async def code(self, actor: Actor, document: str, variables: dict[str, Any] | None = None, **kwargs: Any) -> str:
        """The code of the first error the operation answers."""
        try:
            result = await self.ask(actor, document, variables, **kwargs)
        except Fault as fault:
            return fault.code
        assert result.errors, result.data
        cause = result.errors[0].original_error
        return cause.code if isinstance(cause, Fault) else "GRAPHQL_VALIDATION_FAILED" if cause is None else repr(cause)


class Statements:
    """The statements sent to the database while it is entered."""

    def __init__(self, database: Database) -> None:
        self._connections = database.connections
        self._connect = database.connections.connect
        self._watched: list[Any] = []
        self.seen: list[str] = []

    def _note(self, record: Any) -> None:
        if not record.query.startswith(("begin", "commit", "rollback")):
            self.seen.append(record.query)

    def _watch(self, connection: Any) -> Any:
        connection.add_query_logger(self._note)
        self._watched.append(connection)
        return connection

    async def _connected(self) -> Any:
        return self._watch(await self._connect())

    def __enter__(self) -> Statements:
        for connection in self._connections._free:
            self._watch(connection)
        self._connections.connect = self._connected
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.connect = self._connect
        for connection in self._watched:
            connection.remove_query_logger(self._note)

    def of(self, words: str) -> int:
        """How many of them have these words in them."""
        return sum(words in statement for statement in self.seen)

    @property
    def selects(self) -> list[str]:
        return [s for s in self.seen if s.lstrip().lower().startswith("select") and "set_config" not in s]
