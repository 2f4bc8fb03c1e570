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
