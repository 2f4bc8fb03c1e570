-- app.schema_version(): the revision the database stands at, for the readiness check of the application role.
create or replace function app.schema_version() returns text language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return (select version_num from meta.alembic_version);
end $$;

revoke all on function app.schema_version() from public;
grant execute on function app.schema_version() to unison_app;
