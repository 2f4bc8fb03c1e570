"""What holds for every field of the public schema, whichever module it comes from."""

from pathlib import Path

import asyncpg
import graphql
import pytest
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLNonNull, GraphQLObjectType
from sqlalchemy.dialects import postgresql
from strawberry.printer import print_schema

from db.base import Table
from db.refusal import Refused
from modules import MODULES
from schema.build import build, permissions
from schema.errors import _TYPES
from schema.node import NODES as ALL_NODES
from schema.node import ToMany

ROOT = Path(__file__).parents[2]
SCHEMA = build()
CORE = SCHEMA._schema
TYPES = [
    t for name, t in CORE.type_map.items() if not name.startswith("__") and not graphql.is_specified_scalar_type(t)
]
NODES = {name: node for name, node in ALL_NODES.items() if name in CORE.type_map}
ROOTS = {"query": CORE.query_type, "mutation": CORE.mutation_type, "subscription": CORE.subscription_type}


def _strawberry(field):
    return field.extensions["strawberry-definition"]


def test_the_committed_sdl_is_the_schema():
    committed = (ROOT / "schema" / "schema.graphql").read_text()
    assert committed.strip() == print_schema(SCHEMA).strip(), "run `unison schema export`"


def test_everything_is_described():
    missing = []
    for t in TYPES:
        if not t.description and t not in ROOTS.values():
            missing.append(t.name)
        for name, field in getattr(t, "fields", {}).items():
            if not field.description:
                missing.append(f"{t.name}.{name}")
            missing += [f"{t.name}.{name}({a})" for a, arg in getattr(field, "args", {}).items() if not arg.description]
        if graphql.is_enum_type(t):
            missing += [f"{t.name}.{v}" for v, value in t.values.items() if not value.description]
    assert missing == []


@pytest.mark.parametrize("kind", ROOTS)
def test_every_root_field_names_a_known_permission(kind):
    known = set(permissions()) | {"", "authenticated"}
    for name, field in ROOTS[kind].fields.items():
        assert _strawberry(field).metadata["permission"] in known, name


def test_every_declared_permission_is_used_and_described():
    used = {
        _strawberry(f).metadata.get("permission")
        for t in TYPES
        if isinstance(t, GraphQLObjectType)
        for f in t.fields.values()
    }
    used |= {n.__declared__.permission for n in NODES.values()}
    asked_by_services = "\n".join(
        p.read_text() for p in (ROOT / "modules").rglob("*.py") if p.name in ("service.py", "references.py")
    )
    catalogue = permissions()
    assert all(p.description and code.count(".") >= 1 for code, p in catalogue.items())
    assert [code for code in set(catalogue) - used if f'"{code}"' not in asked_by_services] == []


def test_root_fields_of_query_and_mutation_are_nullable():
    """A failed field must not take the answers of the others with it, nor hide that a mutation beside it committed."""
    for kind in ("query", "mutation"):
        for name, field in ROOTS[kind].fields.items():
            assert not isinstance(field.type, GraphQLNonNull), name


def test_mutations_have_one_input_and_a_payload_with_errors():
    for name, field in ROOTS["mutation"].fields.items():
        payload = graphql.get_named_type(field.type)
        assert payload.name.endswith("Payload"), name
        assert str(payload.fields["errors"].type) == "[UserError!]!", name
        assert set(field.args) <= {"input"}, name
        for arg in field.args.values():
            assert isinstance(arg.type, GraphQLNonNull), name
            assert graphql.get_named_type(arg.type).name.endswith("Input"), name


def test_mutations_that_post_a_fact_require_a_key():
    for name, field in ROOTS["mutation"].fields.items():
        if _strawberry(field).metadata.get("posts_fact"):
            key = graphql.get_named_type(field.args["input"].type).fields["idempotencyKey"]
            assert str(key.type) == "String!", name


def test_updates_state_the_version_they_were_decided_on():
    for name, field in ROOTS["mutation"].fields.items():
        if name.endswith("Update"):
            assert "expectedVersion" in graphql.get_named_type(field.args["input"].type).fields, name


def test_ids_are_ids():
    """No key of the database shows through."""
    for t in TYPES:
        if isinstance(t, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in t.fields.items():
                if (name == "id" or name.endswith("Id")) and name not in ("requestId", "deviceId"):
                    assert graphql.get_named_type(field.type).name in ("ID", "IDFilter"), f"{t.name}.{name}"


def test_lists_are_pages():
    """A list of objects is a connection; plain lists are of values or bounded by their nature."""
    for t in NODES.values():
        declared = t.__strawberry_definition__.fields
        for field in declared:
            if isinstance(getattr(field, "source", None), ToMany):
                public = CORE.type_map[t.__declared__.name].fields[SCHEMA.config.name_converter.from_field(field)]
                assert graphql.get_named_type(public.type).name.endswith("Connection")


def _all_refusals(cls=Refused):
    for sub in cls.__subclasses__():
        yield sub
        yield from _all_refusals(sub)


def test_every_refusal_has_a_public_type():
    ours = [r for r in _all_refusals() if r.__module__.startswith(("modules.", "db.", "schema."))]
    assert [r.__name__ for r in ours if r not in _TYPES] == []


KINDS = {
    "bigint": {"BIGINT"}, "integer": {"INTEGER", "BIGINT"}, "smallint": {"SMALLINT", "INTEGER", "BIGINT"},
    "text": {"TEXT", "VARCHAR"}, "boolean": {"BOOLEAN"}, "jsonb": {"JSONB"},
    "timestamp with time zone": {"TIMESTAMP"}, "date": {"DATE"}, "numeric": {"NUMERIC"}, "bytea": {"BYTEA"},
    "ARRAY": {"ARRAY"}, "uuid": {"UUID"}, "interval": {"INTERVAL"},
}  # fmt: skip


async def test_columns_agree(admin: asyncpg.Connection):
    wrong = []
    for table in Table.metadata.tables.values():
        if table.name in ("boxes", "widgets"):
            continue
        rows = await admin.fetch(
            "select column_name, is_nullable, data_type, is_generated from information_schema.columns"
            " where table_schema = $1 and table_name = $2",
            table.schema, table.name,
        )  # fmt: skip
        is_view = await admin.fetchval(
            "select relkind = 'v' from pg_class where oid = $1::text::regclass", table.fullname
        )
        have = {r["column_name"]: r for r in rows}
        for column in table.columns:
            found = have.get(column.name)
            if found is None:
                wrong.append(f"{table.fullname}.{column.name} is missing")
                continue
            kind = column.type.compile(postgresql.dialect())
            if not any(
                kind.upper().startswith(k) or (k == "ARRAY" and kind.endswith("[]")) for k in KINDS[found["data_type"]]
            ):
                wrong.append(f"{table.fullname}.{column.name}: {kind} against {found['data_type']}")
            # A view tells nothing of nulls, and a generated column is never declared NOT NULL.
            says = not is_view and found["is_generated"] == "NEVER"
            if says and column.nullable != (found["is_nullable"] == "YES"):
                wrong.append(f"{table.fullname}.{column.name}: nullable {column.nullable} in Python alone")
    assert wrong == []


def _listings():
    found = {}
    for t in NODES.values():
        for field in t.__strawberry_definition__.fields:
            if isinstance(getattr(field, "source", None), ToMany):
                found[field.source.listing.name, field.source.listing.table] = field.source.listing
    for module in MODULES:
        for root in module.root_fields().values():
            listing = root.field.metadata.get("listing")
            if listing is not None:
                found[listing.name, listing.table] = listing
    return list(found.values())


async def test_every_filter_and_order_is_led_by_an_index(admin: asyncpg.Connection):
    missing = []
    for listing in _listings():
        table = listing.table.__table__
        base = await admin.fetchval(
            "select coalesce(to_regclass('tsdata.' || $1), ($2)::text::regclass)::oid", table.name, table.fullname
        )
        second = {
            r["column"]
            for r in await admin.fetch(
                """select pg_get_indexdef(indexrelid, 2, true) as column from pg_index
                   where indrelid = $1 and pg_get_indexdef(indexrelid, 1, true) = 'organization_id' and indpred is null""",
                base,
            )
        }
        for name, column in {**listing.where, **listing.orders}.items():
            stored = column.property.columns[0].name
            if stored not in second:
                missing.append(f"{listing.name}.{name}: index (organization_id, {stored}, …)")
    assert missing == []


def test_every_document_of_the_client_examples_validates():
    documents = sorted((ROOT / "client-examples").rglob("*.graphql"))
    documents = [d for d in documents if "node_modules" not in d.parts]
    assert documents
    for folder in {d.parent for d in documents}:  # the files of one application share their fragments
        parsed = graphql.parse("\n".join(d.read_text() for d in documents if d.parent == folder))
        assert graphql.validate(CORE, parsed) == [], folder.name


def test_a_wrong_order_of_modules_is_refused():
    if len(MODULES) > 1:
        with pytest.raises(ValueError, match="depends on"):
            build(tuple(reversed(MODULES)))
