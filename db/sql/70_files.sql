-- ev.expire_files(quarantine): give up uploads nobody confirmed in time and what stood in quarantine for so long, of all
-- organizations and plants; answers how many.
create or replace function ev.expire_files(p_quarantine interval) returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_organization integer;
    v_gone bigint;
    v_total bigint := 0;
begin
    for v_organization in select organization_id from app.organizations loop
        perform app.see(v_organization::text);
        update app.files set status = 'deleted', status_at = now(), expires_at = null
        where organization_id = v_organization
          and (status = 'pending' and expires_at < now() or status = 'quarantined' and status_at < now() - p_quarantine);
        get diagnostics v_gone = row_count;
        v_total := v_total + v_gone;
    end loop;
    perform app.see(null);
    return v_total;
end $$;

-- ev.files_to_remove(most): keys of deleted files whose objects may still be there.
create or replace function ev.files_to_remove(p_most integer) returns table (organization_id integer, id bigint, key text)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_organization integer;
begin
    for v_organization in select o.organization_id from app.organizations o loop
        perform app.see(v_organization::text);
        return query select f.organization_id, f.id, f.key from app.files f
                     where f.organization_id = v_organization and f.status = 'deleted' and f.removed_at is null
                     order by f.id limit p_most;
    end loop;
    perform app.see(null);
end $$;

-- ev.file_removed(organization, id): the object of a deleted file is gone.
create or replace function ev.file_removed(p_organization integer, p_id bigint) returns void language plpgsql
security definer set search_path = pg_catalog as $$
begin
    perform app.see(p_organization::text);
    update app.files set removed_at = now()
    where organization_id = p_organization and id = p_id and status = 'deleted' and removed_at is null;
    perform app.see(null);
end $$;

-- ev.unknown_files(keys): those keys of objects that no file in use has.
create or replace function ev.unknown_files(p_keys text[]) returns setof text language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_organization text;
begin
    for v_organization in select distinct split_part(k, '/', 1) from unnest(p_keys) k loop
        perform app.see(v_organization);
        return query select k from unnest(p_keys) k
                     where split_part(k, '/', 1) = v_organization and not exists (
                         select from app.files f where f.organization_id = v_organization::integer and f.key = k
                           and f.status <> 'deleted');
    end loop;
    perform app.see(null);
end $$;

revoke execute on function ev.expire_files(interval), ev.files_to_remove(integer), ev.file_removed(integer, bigint),
    ev.unknown_files(text[]) from public;
grant execute on function ev.expire_files(interval), ev.files_to_remove(integer), ev.file_removed(integer, bigint),
    ev.unknown_files(text[]) to unison_events;
