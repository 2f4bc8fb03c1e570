-- ev.relay(batch): move committed events from the inbox to the log, in one dense order, and wake the readers once.
-- The row lock on ev.head lets one relay work at a time, so a position is only ever visible after all lower ones.
create or replace function ev.relay(batch integer) returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    newest bigint;
    moved bigint;
begin
    select pos into newest from ev.head for update;
    with taken as (
        delete from ev.inbox i using (select id from ev.inbox order by id limit batch for update skip locked) s
        where i.id = s.id returning i.*
    ), placed as (
        select newest + row_number() over (order by id) as pos, t.* from taken t
    ), logged as (
        insert into ev.log (pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
                            from_status, to_status, actor_user_id, actor_app_id, request_id, occurred_at)
        select pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
               from_status, to_status, actor_user_id, actor_app_id, request_id, occurred_at
        from placed returning 1
    )
    select count(*) into moved from logged;
    if moved > 0 then
        update ev.head set pos = newest + moved;
        perform pg_notify('ev', (newest + moved)::text);
    end if;
    return moved;
end $$;

-- ev.read(after, most): the events after a position, in order.
create or replace function ev.read(after bigint, most integer)
returns table (pos bigint, organization_id integer, plant_id bigint, department_id bigint, topic text, entity_id bigint,
               operation text, changed_fields text[], from_status text, to_status text, actor_user_id bigint,
               actor_app_id bigint, request_id text, occurred_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select l.pos, l.organization_id, l.plant_id, l.department_id, l.topic, l.entity_id, l.operation,
                        l.changed_fields, l.from_status, l.to_status, l.actor_user_id, l.actor_app_id, l.request_id, l.occurred_at
                 from ev.log l where l.pos > after order by l.pos limit most;
end $$;

-- ev.position(): the position of the newest event.
create or replace function ev.position() returns bigint language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return (select pos from ev.head);
end $$;

-- ev.forget(before): drop events older than a time; answers how many.
create or replace function ev.forget(before timestamptz) returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    gone bigint;
begin
    delete from ev.log where occurred_at < before;
    get diagnostics gone = row_count;
    return gone;
end $$;

revoke all on all functions in schema ev from public;
grant execute on all functions in schema ev to unison_events;
