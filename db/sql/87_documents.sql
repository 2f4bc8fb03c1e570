-- app.trusted_document(hash): the text of a document of this organization, else of the server; null where neither has it.
create or replace function app.trusted_document(p_hash text) returns text language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return coalesce(
        (select d.text from app.trusted_documents d where d.organization_id = app.org_id() and d.hash = p_hash),
        (select d.text from meta.trusted_documents d where d.hash = p_hash)
    );
end $$;

revoke execute on function app.trusted_document(text) from public;
grant execute on function app.trusted_document(text) to unison_app;

-- ev.trusted_documents(most): which documents there are, the newest of every organization and of the server (no organization),
-- for a process that reads them before it is asked for one. For the hub's role: who serves requests cannot call it.
create or replace function ev.trusted_documents(p_most integer)
returns table (organization_id integer, hash text, created_at timestamptz)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_organization integer;
begin
    return query select null::integer, d.hash, d.created_at from meta.trusted_documents d order by d.created_at desc limit p_most;
    for v_organization in select o.organization_id from app.organizations o where o.archived_at is null loop
        perform app.see(v_organization::text);
        return query select d.organization_id, d.hash, d.created_at from app.trusted_documents d
                     where d.organization_id = v_organization order by d.created_at desc, d.id desc limit p_most;
    end loop;
    perform app.see(null);
end $$;

-- ev.trusted_document(organization, hash): the text of one of these.
create or replace function ev.trusted_document(p_organization integer, p_hash text) returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_text text;
begin
    if p_organization is null then
        return (select d.text from meta.trusted_documents d where d.hash = p_hash);
    end if;
    perform app.see(p_organization::text);
    select d.text into v_text from app.trusted_documents d where d.organization_id = p_organization and d.hash = p_hash;
    perform app.see(null);
    return v_text;
end $$;

revoke execute on function ev.trusted_documents(integer), ev.trusted_document(integer, text) from public;
grant execute on function ev.trusted_documents(integer), ev.trusted_document(integer, text) to unison_events;
