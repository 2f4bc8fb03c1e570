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

-- ev.trusted_documents(most): the documents a process reads before it is asked for one, of every organization and of the
-- server (no organization): at most so many of all, the newest of each, and of none more than of another that has as many.
-- The newest of everybody come first. For the hub's role: who serves requests cannot call it.
create or replace function ev.trusted_documents(p_most integer)
returns table (organization_id integer, hash text, created_at timestamptz)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_organization integer;
    v_organizations integer[] := '{null}';
    v_counts integer[];
    v_count integer;
    v_share integer := 1;
    v_too_many integer := p_most + 1;
    v_all integer[] := '{}';
    v_hashes text[] := '{}';
    v_times timestamptz[] := '{}';
    v_places integer[] := '{}';
    v_found record;
begin
    v_counts := array[(select count(*) from (select from meta.trusted_documents limit p_most) d)];
    for v_organization in select o.organization_id from app.organizations o where o.archived_at is null loop
        perform app.see(v_organization::text);
        select count(*) into v_count
        from (select from app.trusted_documents d where d.organization_id = v_organization limit p_most) d;
        if v_count > 0 then
            v_organizations := v_organizations || v_organization;
            v_counts := v_counts || v_count;
        end if;
    end loop;
    while v_too_many - v_share > 1 loop  -- the largest share of which there is enough for all
        v_count := (v_share + v_too_many) / 2;
        if (select sum(least(c, v_count)) from unnest(v_counts) c) <= p_most then
            v_share := v_count;
        else
            v_too_many := v_count;
        end if;
    end loop;
    foreach v_organization in array v_organizations loop
        perform app.see(v_organization::text);
        select array_agg(f.hash order by f.place) as hashes, array_agg(f.created_at order by f.place) as times,
               array_agg(f.place::integer order by f.place) as places into v_found
        from (
            select n.hash, n.created_at, row_number() over (order by n.created_at desc, n.id desc) as place
            from (
                (select d.hash, d.created_at, d.id from app.trusted_documents d where d.organization_id = v_organization
                 order by d.created_at desc, d.id desc limit v_share)
                union all
                (select d.hash, d.created_at, 0 from meta.trusted_documents d where v_organization is null
                 order by d.created_at desc limit v_share)
            ) n
        ) f;
        v_all := v_all || array_fill(v_organization, array[coalesce(cardinality(v_found.places), 0)]);
        v_hashes := v_hashes || v_found.hashes;
        v_times := v_times || v_found.times;
        v_places := v_places || v_found.places;
    end loop;
    perform app.see(null);
    return query select u.o, u.h, u.t from unnest(v_all, v_hashes, v_times, v_places) as u (o, h, t, p)
                 order by u.p, u.t desc limit p_most;
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
