"""What the database's own catalog says of isolation. Later tables are covered without being named here.

Every guard is a query for offenders, and comes with an offence it must catch.
"""

from dataclasses import dataclass

import asyncpg
import pytest

from db.base import PersonalTable
from tests.conftest import Urls

REACHABLE = """
  select c.*, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_schema_privilege('unison_app', n.oid, 'usage')
    and (has_table_privilege('unison_app', c.oid, 'select,insert,update,delete,truncate')
      or has_any_column_privilege('unison_app', c.oid, 'select,insert,update'))"""
TENANT_TABLES = """
  select c.oid, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('app', 'tsdata') and c.relkind in ('r', 'p') and not c.relispartition"""
OURS = "('app', 'tsdata', 'auth', 'ev', 'meta')"
TABLE = "create table app.offender (organization_id integer not null, id bigint, other_id bigint, primary key (organization_id, id))"
PROTECTED = f"{TABLE}; call app.protect('app.offender', 'tenant'); grant select on app.offender to unison_app"


@dataclass(frozen=True)
class Guard:
    offenders: str
    """A query for what must not be."""
    offence: str
    """What it must catch."""
    caught: str
    """The offender's name."""


GUARDS = {
    "a reachable table has forced row-level security": Guard(
        f"select name from ({REACHABLE}) c where relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)",
        f"{TABLE}; alter table app.offender enable row level security; grant select on app.offender to unison_app",
        "app.offender",
    ),
    "a reachable view is a barrier over the tenant": Guard(
        f"""select name from ({REACHABLE}) c where relkind not in ('r', 'p')
            and not (relkind = 'v' and coalesce(reloptions::text, '') like '%security_barrier=true%'
                     and pg_get_viewdef(oid) like '%organization_id = app.org_id()%')""",
        "create view app.offender as select * from app.users; grant select on app.offender to unison_app",
        "app.offender",
    ),
    "a reachable table compares the tenant": Guard(
        f"""select name from ({REACHABLE}) c where relkind in ('r', 'p') and not exists (
              select from pg_policy p where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*'
                and pg_get_expr(p.polqual, p.polrelid) like
                  '(organization_id = (NULLIF(current_setting(''app.org_id''::text, true), ''''::text))::integer)'
                and pg_get_expr(p.polwithcheck, p.polrelid) = pg_get_expr(p.polqual, p.polrelid))""",
        f"{PROTECTED}; drop policy tenant on app.offender; create policy tenant on app.offender using (true)",
        "app.offender",
    ),
    "no other policy opens a table to the application": Guard(
        """select tablename || '.' || policyname from pg_policies where permissive = 'PERMISSIVE' and policyname <> 'tenant'
           and (roles && '{public,unison_app,unison_events}')""",
        f"{PROTECTED}; create policy loose on app.offender using (true)",
        "offender.loose",
    ),
    "a table with a plant restricts by it": Guard(
        f"""select name from ({REACHABLE}) c where relkind in ('r', 'p')
            and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'plant_id')
            and not exists (select from pg_policy p where p.polrelid = c.oid and not p.polpermissive and p.polcmd = 'r')""",
        f"{PROTECTED}; alter table app.offender add plant_id bigint",
        "app.offender",
    ),
    "a foreign key between tenants' tables starts with the tenant": Guard(
        """select conrelid::regclass || '.' || conname from pg_constraint k
           where contype = 'f' and connamespace in ('app'::regnamespace, 'tsdata'::regnamespace)
             and confrelid <> 'app.organizations'::regclass
             and not exists (select from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]
                             and a.attname = 'organization_id')""",
        "create table app.target (organization_id integer not null, id bigint unique); create table app.offender"
        " (organization_id integer not null, target_id bigint constraint loose references app.target (id))",
        "app.offender.loose",
    ),
    "an index starts with the tenant": Guard(
        f"""select i.indexrelid::regclass::text from ({TENANT_TABLES}) t join pg_index i on i.indrelid = t.oid
            where pg_get_indexdef(i.indexrelid, 1, true) not like '%organization_id%'
              and i.indexrelid::regclass::text not in  -- looked up before the tenant is known, by functions of the owner
                ('app.organizations_code_lower_key', 'app.organizations_subdomain_key')""",
        f"{TABLE}; create index loose_idx on app.offender (other_id)",
        "app.loose_idx",
    ),
    "a foreign key has an index": Guard(
        """select k.conrelid::regclass || '.' || k.conname from pg_constraint k
           where k.contype = 'f' and k.connamespace in ('app'::regnamespace, 'tsdata'::regnamespace) and k.conparentid = 0
             and not exists (select from pg_index i where i.indrelid = k.conrelid and i.indpred is null
               and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
             and not exists (select from pg_index i where i.indrelid = k.conrelid and i.indnkeyatts >= 2
               and i.indkey[0] = k.conkey[1] and i.indkey[1] = k.conkey[cardinality(k.conkey)])""",
        f"{TABLE}; alter table app.offender add constraint slow foreign key (organization_id, other_id) references app.offender",
        "app.offender.slow",
    ),
    "the application role owns nothing": Guard(
        "select relname::text from pg_class where relowner = 'unison_app'::regrole"
        " union all select proname::text from pg_proc where proowner = 'unison_app'::regrole",
        f"{TABLE}; grant create on schema app to unison_app; alter table app.offender owner to unison_app",
        "offender",
    ),
    "the application role has no attribute and no other role": Guard(
        """select a from pg_roles, unnest(array[case when rolsuper then 'super' end, case when rolbypassrls then 'bypass' end,
             case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end,
             case when rolreplication then 'replication' end]) a
           where rolname in ('unison_app', 'unison_events') and a is not null
           union all select roleid::regrole::text from pg_auth_members where member in ('unison_app'::regrole, 'unison_events'::regrole)""",
        "alter role unison_app bypassrls",
        "bypass",
    ),
    "nobody truncates, references or makes triggers": Guard(
        f"""select c.oid::regclass::text from pg_class c
            where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text in {OURS}
              and has_table_privilege('unison_app', c.oid, 'truncate,references,trigger')""",
        f"{PROTECTED}; grant truncate on app.offender to unison_app",
        "app.offender",
    ),
    "private schemas stay private": Guard(
        """select n.nspname || ' ' || r from pg_namespace n, unnest(array['unison_app', 'unison_events']) r
            where (n.nspname in ('tsdata', 'meta', 'pgmq')
                or (n.nspname, r) in (('ev', 'unison_app'), ('auth', 'unison_events'), ('app', 'unison_events')))
              and has_schema_privilege(r, n.oid, 'usage')
            union all
            select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p', 'v')
              and c.relnamespace::regnamespace::text in ('tsdata', 'auth', 'ev', 'meta', 'pgmq')
              and (has_table_privilege('unison_app', c.oid, 'select,insert,update,delete')
                or has_table_privilege('unison_events', c.oid, 'select,insert,update,delete'))""",
        "grant select on auth.credentials to unison_app",
        "auth.credentials",
    ),
    "a function that runs as the owner pins its search path": Guard(
        f"""select p.oid::regproc::text from pg_proc p where p.pronamespace::regnamespace::text in {OURS} and p.prosecdef
              and not coalesce(array_to_string(p.proconfig, ',') like '%search_path=pg_catalog%', false)""",
        "create function app.loose() returns int language sql security definer as 'select 1'",
        "app.loose",
    ),
    "the public calls no function that runs as the owner": Guard(
        f"""select p.oid::regproc::text from pg_proc p
            where p.pronamespace::regnamespace::text in {OURS} and p.prosecdef
              and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)""",
        "create function app.loose() returns int language sql security definer set search_path = pg_catalog as 'select 1'",
        "app.loose",
    ),
    "a tracked type has its version, and a versioned table is tracked": Guard(
        f"""select name from ({TENANT_TABLES}) t
            where exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'version')
              and (select count(*) from pg_trigger g where g.tgrelid = t.oid and g.tgname in ('touch', 'record_change')) <> 2""",
        f"{TABLE}; alter table app.offender add version integer",
        "app.offender",
    ),
}


@pytest.mark.parametrize("name", GUARDS)
async def test_guard(admin: asyncpg.Connection, name: str):
    guard = GUARDS[name]
    assert [r[0] for r in await admin.fetch(guard.offenders)] == []
    transaction = admin.transaction()
    await transaction.start()
    try:
        await admin.execute(guard.offence)
        assert guard.caught in [r[0] for r in await admin.fetch(guard.offenders)], "the guard does not bite"
    finally:
        await transaction.rollback()


async def test_there_is_something_to_guard(admin: asyncpg.Connection):
    assert len(await admin.fetch(REACHABLE)) > 20


async def test_the_role_of_events_reads_no_table(urls: Urls):
    connection = await asyncpg.connect(urls.events)
    try:
        for statement in ("select * from app.users", "select * from ev.log", "select * from ev.inbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(statement)
        assert await connection.fetchval("select ev.position()") >= 0
    finally:
        await connection.close()


async def test_rows_of_one_person_are_compared_with_the_caller(admin: asyncpg.Connection):
    tables = [table.__table__.fullname for table in PersonalTable.__subclasses__()]
    assert "app.notifications" in tables
    guarded = """select tablename from pg_policies where schemaname = 'app' and permissive = 'RESTRICTIVE'
                 and cmd in ('SELECT', 'ALL') and 'unison_app' = any (roles)
                 and qual like '%(user_id = (NULLIF(current_setting(''app.user_id''::text, true), ''''::text))::bigint)%'"""
    assert {t.removeprefix("app.") for t in tables} <= {r[0] for r in await admin.fetch(guarded)}
    transaction = admin.transaction()
    await transaction.start()
    try:
        await admin.execute("alter policy recipient_read on app.notifications using (true)")
        assert "notifications" not in {r[0] for r in await admin.fetch(guarded)}, "the guard does not bite"
    finally:
        await transaction.rollback()
