"""What the database's own catalog says of isolation. Later tables are covered without being named here."""

import asyncpg
import pytest

from tests.conftest import Urls

REACHABLE = """
select c.oid, c.oid::regclass::text as name, c.relkind::text as kind, c.relrowsecurity, c.relforcerowsecurity,
       coalesce(c.reloptions::text, '') as options, pg_get_viewdef(c.oid) as definition
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and has_schema_privilege('unison_app', n.oid, 'usage')
  and (has_table_privilege('unison_app', c.oid, 'select,insert,update,delete,truncate') or has_any_column_privilege('unison_app', c.oid, 'select,insert,update'))
"""
TENANT_TABLES = """
select c.oid, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('app', 'tsdata') and c.relkind in ('r', 'p') and not c.relispartition
"""
BEFORE_SIGN_IN = {"organizations_code_lower_key", "organizations_subdomain_key"}
"""Looked up before the tenant is known, by functions of the owner alone."""


async def test_every_relation_the_application_reaches_is_isolated(admin: asyncpg.Connection):
    relations = await admin.fetch(REACHABLE)
    assert len(relations) > 10
    open_ = []
    for r in relations:
        forced = r["relrowsecurity"] and r["relforcerowsecurity"]
        barrier = r["kind"] == "v" and "security_barrier=true" in r["options"] and "org_id" in r["definition"]
        if not forced and not barrier:
            open_.append(r["name"])
    assert open_ == []


async def test_every_policy_compares_the_tenant(admin: asyncpg.Connection):
    """Each reachable table has exactly the permissive policy of the tenant for the application role; all others restrict."""
    wrong = await admin.fetch(
        """select tablename, policyname, qual from pg_policies where schemaname = 'app' and permissive = 'PERMISSIVE'
           and (roles @> '{public}' or roles @> '{unison_app}')
           and (qual is null or qual not like '%organization_id = (NULLIF(current_setting(''app.org_id''::text, true), ''''::text))::integer%')"""
    )
    assert [dict(r) for r in wrong] == []


async def test_every_tenant_foreign_key_is_composite(admin: asyncpg.Connection):
    wrong = await admin.fetch(
        """select conrelid::regclass::text as "table", conname from pg_constraint k
           where contype = 'f' and connamespace in ('app'::regnamespace, 'tsdata'::regnamespace)
             and confrelid <> 'app.organizations'::regclass
             and not exists (select 1 from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1] and a.attname = 'organization_id')"""
    )
    assert [dict(r) for r in wrong] == []


async def test_every_index_is_led_by_the_tenant(admin: asyncpg.Connection):
    rows = await admin.fetch(
        f"""select t.name as "table", i.indexrelid::regclass::text as index,
              pg_get_indexdef(i.indexrelid, 1, true) as first
            from ({TENANT_TABLES}) t join pg_index i on i.indrelid = t.oid"""
    )
    assert rows
    wrong = [
        r["index"] for r in rows
        if "organization_id" not in r["first"] and r["index"].split(".")[-1] not in BEFORE_SIGN_IN
    ]  # fmt: skip
    assert wrong == []


async def test_every_foreign_key_has_an_index(admin: asyncpg.Connection):
    """A key without one makes each delete and each join of the other side a scan."""
    wrong = await admin.fetch(
        """select k.conrelid::regclass::text as "table", k.conname from pg_constraint k
           where k.contype = 'f' and k.connamespace in ('app'::regnamespace, 'tsdata'::regnamespace) and k.conparentid = 0
             and not exists (select 1 from pg_index i where i.indrelid = k.conrelid
               and (select array_agg(a order by a) from unnest(i.indkey[0:cardinality(k.conkey) - 1]::int[]) a)
                 = (select array_agg(a order by a) from unnest(k.conkey::int[]) a))
             and not exists (select 1 from pg_index i where i.indrelid = k.conrelid and i.indnkeyatts >= 2
               and i.indkey[0] = k.conkey[1] and i.indkey[1] = any (k.conkey) and i.indkey[1] = k.conkey[cardinality(k.conkey)])"""
    )
    assert [(r["table"], r["conname"]) for r in wrong] == []


async def test_the_application_role_owns_nothing_and_bypasses_nothing(admin: asyncpg.Connection):
    role = await admin.fetchrow("select * from pg_roles where rolname = 'unison_app'")
    assert not any(role[flag] for flag in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication"))
    assert await admin.fetchval("select count(*) from pg_class where relowner = 'unison_app'::regrole") == 0
    assert await admin.fetchval("select count(*) from pg_proc where proowner = 'unison_app'::regrole") == 0
    assert await admin.fetchval("select count(*) from pg_auth_members where member = 'unison_app'::regrole") == 0


async def test_nobody_truncates_references_or_triggers(admin: asyncpg.Connection):
    rows = await admin.fetch(
        """select c.oid::regclass::text as name from pg_class c
           where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text in ('app', 'tsdata', 'auth', 'ev', 'meta')
             and has_table_privilege('unison_app', c.oid, 'truncate,references,trigger')"""
    )
    assert [r["name"] for r in rows] == []


@pytest.mark.parametrize("schema", ["tsdata", "ev", "meta"])
async def test_private_schemas_are_shut(admin: asyncpg.Connection, schema: str):
    assert not await admin.fetchval("select has_schema_privilege('unison_app', $1, 'usage')", schema)


async def test_private_tables_are_shut(admin: asyncpg.Connection):
    rows = await admin.fetch(
        """select c.oid::regclass::text as name from pg_class c
           where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text in ('tsdata', 'auth', 'ev', 'meta')
             and (has_table_privilege('unison_app', c.oid, 'select,insert,update,delete')
               or has_table_privilege('unison_events', c.oid, 'select,insert,update,delete'))"""
    )
    assert [r["name"] for r in rows] == []


async def test_functions_that_run_as_the_owner_pin_their_search_path(admin: asyncpg.Connection):
    wrong = await admin.fetch(
        """select p.oid::regprocedure::text as name from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'tsdata', 'auth', 'ev') and p.prosecdef
             and not coalesce(array_to_string(p.proconfig, ',') like '%search_path=pg_catalog%', false)"""
    )
    assert [r["name"] for r in wrong] == []


async def test_the_public_may_call_no_function_that_runs_as_the_owner(admin: asyncpg.Connection):
    """Trigger functions cannot be called; every other one is granted by name."""
    wrong = await admin.fetch(
        """select p.oid::regprocedure::text as name from pg_proc p
           where p.pronamespace::regnamespace::text in ('app', 'tsdata', 'auth', 'ev') and p.prosecdef
             and p.prorettype <> 'trigger'::regtype
             and exists (select 1 from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)"""
    )
    assert [r["name"] for r in wrong] == []


async def test_the_role_of_events_reads_no_table(urls: Urls):
    connection = await asyncpg.connect(urls.events)
    try:
        for statement in ("select * from app.users", "select * from ev.log", "select * from ev.inbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(statement)
        assert await connection.fetchval("select ev.position()") >= 0
    finally:
        await connection.close()
