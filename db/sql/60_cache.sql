-- app.unchanged_since(position, topics): has nothing of these topics happened in the organization since a position was
-- the newest. The inbox is asked too: it is written in the transaction of the change, so there is no moment in between.
create or replace function app.unchanged_since(p_position bigint, p_topics text[]) returns boolean language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return not exists (select from ev.inbox i where i.organization_id = app.org_id() and i.topic = any (p_topics))
       and not exists (select from ev.log l where l.organization_id = app.org_id() and l.topic = any (p_topics)
                       and l.pos > p_position);
end $$;

-- app.cached(key, topics): the kept value, if it still holds. `usable` is false on a read replica, where an unlogged table
-- cannot be read.
create or replace function app.cached(p_key text, p_topics text[])
returns table (usable boolean, value jsonb, "position" bigint) language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    if pg_is_in_recovery() then
        return query select false, null::jsonb, null::bigint;
        return;
    end if;
    return query select true, c.value, c.position from app.cache c
                 where c.organization_id = app.org_id() and c.key = p_key and c.expires_at > clock_timestamp()
                   and app.unchanged_since(c.position, p_topics);
    if not found then
        return query select true, null::jsonb, null::bigint;
    end if;
end $$;

-- app.events_position(): the position of the newest event, for the cache to remember.
create or replace function app.events_position() returns bigint language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return (select pos from ev.head);
end $$;

-- app.see(organization): for functions of the worker, whose connections have no caller: see and write every plant of an
-- organization; of none without one.
create or replace function app.see(p_organization text) returns void language plpgsql
security definer set search_path = pg_catalog as $$
begin
    perform set_config('app.org_id', coalesce(p_organization, ''), true),
            set_config('app.read_plants', case when p_organization is null then '' else 'all' end, true),
            set_config('app.write_plants', case when p_organization is null then '' else 'all' end, true);
end $$;
revoke execute on function app.see(text) from public;

-- ev.forget_cached(): take out what has expired, of all organizations; answers how many.
create or replace function ev.forget_cached() returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_organization integer;
    v_gone bigint;
    v_total bigint := 0;
begin
    for v_organization in select organization_id from app.organizations loop
        perform app.see(v_organization::text);
        delete from app.cache where organization_id = v_organization and expires_at <= clock_timestamp();
        get diagnostics v_gone = row_count;
        v_total := v_total + v_gone;
    end loop;
    perform app.see(null);
    return v_total;
end $$;

revoke execute on function app.unchanged_since(bigint, text[]), app.cached(text, text[]), app.events_position() from public;
grant execute on function app.unchanged_since(bigint, text[]), app.cached(text, text[]), app.events_position() to unison_app;
revoke execute on function ev.forget_cached() from public;
grant execute on function ev.forget_cached() to unison_events;
