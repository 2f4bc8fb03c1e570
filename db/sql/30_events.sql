-- ev.relay(batch): move committed events from the inbox to the log, in one dense order, and wake the readers once.
-- The row lock on ev.head lets one relay work at a time, so a position is only ever visible after all lower ones.
create or replace function ev.relay(batch integer) returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    newest bigint;
    stamp timestamptz;
    moved bigint;
begin
    select pos, greatest(logged_at, clock_timestamp()) into newest, stamp from ev.head for update;
    with taken as (
        -- A list, no join: an inbox that was vacuumed while it was empty is taken for one row, and a join then asks for the
        -- batch anew for each row of a backlog. That took minutes, and a relay that is stopped begins again.
        delete from ev.inbox
        where id = any (array(select id from ev.inbox order by id limit batch for update skip locked)) returning *
    ), placed as (
        select newest + row_number() over (order by id) as pos, t.* from taken t
    ), logged as (
        insert into ev.log (pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
                            from_status, to_status, actor_user_id, actor_app_id, request_id, occurred_at, logged_at,
                            recipient_user_id)
        select pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
               from_status, to_status, actor_user_id, actor_app_id, request_id, occurred_at, stamp,
               recipient_user_id
        from placed returning 1
    )
    select count(*) into moved from logged;
    if moved > 0 then
        update ev.head set pos = newest + moved, logged_at = stamp;
        perform pg_notify('ev', (newest + moved)::text);
    end if;
    return moved;
end $$;

-- ev.read_log(after, most): the events after a position, in order. One with a recipient is for that person alone.
create or replace function ev.read_log(after bigint, most integer)
returns table (pos bigint, organization_id integer, plant_id bigint, department_id bigint, topic text, entity_id bigint,
               operation text, changed_fields text[], from_status text, to_status text, actor_user_id bigint,
               actor_app_id bigint, request_id text, occurred_at timestamptz, recipient_user_id bigint)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select l.pos, l.organization_id, l.plant_id, l.department_id, l.topic, l.entity_id, l.operation,
                        l.changed_fields, l.from_status, l.to_status, l.actor_user_id, l.actor_app_id, l.request_id, l.occurred_at,
                        l.recipient_user_id
                 from ev.log l where l.pos > after order by l.pos limit most;
end $$;

-- ev.read(after, most): the same for processes of the version before, while they are being replaced.
create or replace function ev.read(after bigint, most integer)
returns table (pos bigint, organization_id integer, plant_id bigint, department_id bigint, topic text, entity_id bigint,
               operation text, changed_fields text[], from_status text, to_status text, actor_user_id bigint,
               actor_app_id bigint, request_id text, occurred_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select l.pos, l.organization_id, l.plant_id, l.department_id, l.topic, l.entity_id, l.operation,
                        l.changed_fields, l.from_status, l.to_status, l.actor_user_id, l.actor_app_id, l.request_id, l.occurred_at
                 from ev.read_log(after, most) l;
end $$;

-- ev.position(): the position of the newest event.
create or replace function ev.position() returns bigint language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return (select pos from ev.head);
end $$;

-- ev.log_days(first, last): a partition of the log for every day (UTC) from one instant to another; what the default
-- partition holds of a day moves into it.
create or replace function ev.log_days(first timestamptz, last timestamptz) returns void language plpgsql
set search_path = pg_catalog as $$
declare
    day timestamptz := date_trunc('day', first, 'UTC');
    following timestamptz;
    name text;
begin
    while day <= last loop
        following := day + interval '24 hours';
        name := 'log_' || to_char(day at time zone 'UTC', 'YYYY_MM_DD');
        if to_regclass('ev.' || name) is null then
            execute format('create table ev.%I (like ev.log including defaults including indexes)', name);
            execute format('with moved as (delete from ev.log_default where logged_at >= %L and logged_at < %L returning *)'
                           ' insert into ev.%I select * from moved', day, following, name);
            execute format('alter table ev.log attach partition ev.%I for values from (%L) to (%L)', name, day, following);
        end if;
        day := following;
    end loop;
end $$;

-- ev.forget(before): drop the days of the log that ended before an instant; answers how many.
create or replace function ev.forget(before timestamptz) returns bigint language plpgsql
security definer set search_path = pg_catalog as $$
declare
    name text;
    gone bigint := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'ev.log'::regclass and c.relname ~ '^log_\d{4}_\d\d_\d\d$'
          and (to_date(substr(c.relname, 5), 'YYYY_MM_DD') + 1)::timestamp at time zone 'UTC' <= before
        order by 1
    loop
        execute format('drop table ev.%I', name);
        gone := gone + 1;
    end loop;
    delete from ev.log_default where logged_at < before;
    return gone;
end $$;

-- ev.keep_log(days): forget what is older, prepare the week ahead. The relay is kept out first: both take ev.head before
-- the log. Readers are not made to wait: where one holds the log for long, the next hour will do.
create or replace function ev.keep_log(days integer) returns void language plpgsql
security definer set search_path = pg_catalog set lock_timeout = '2s' as $$
begin
    perform from ev.head for update;
    perform ev.forget(now() - make_interval(days => days));
    perform ev.log_days(now(), now() + interval '7 days');
exception when lock_not_available then
    raise notice 'the event log is busy';
end $$;

-- app.event_window(after): is the position one to go on from, and which is the newest. The log is dense: the position that
-- follows is there, or nothing has followed yet. The partitions seen here cannot go before the transaction ends.
create or replace function app.event_window(after bigint) returns table (resumable boolean, newest bigint)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select h.pos = after or (after < h.pos and exists (select from ev.log l where l.pos = after + 1)), h.pos
                 from ev.head h;
end $$;

-- app.oldest_event(): the position before the oldest event that is kept.
create or replace function app.oldest_event() returns bigint language plpgsql stable
security definer set search_path = pg_catalog as $$
begin
    return coalesce((select min(l.pos) - 1 from ev.log l), (select h.pos from ev.head h));
end $$;

-- app.read_events(after, upto, topics, divided, most): the transaction's organization's events of some topics between two
-- positions, in order, as far as they lie in its plants; those of a divided topic also have to lie in its departments,
-- those for one person are read by that person.
create or replace function app.read_events(after bigint, upto bigint, topics text[], divided text[], most integer)
returns table (pos bigint, plant_id bigint, department_id bigint, topic text, entity_id bigint, operation text,
               changed_fields text[], from_status text, to_status text, occurred_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query
    select l.pos, l.plant_id, l.department_id, l.topic, l.entity_id, l.operation, l.changed_fields, l.from_status,
           l.to_status, l.occurred_at
    from ev.log l
    where l.organization_id = app.org_id() and l.pos > after and l.pos <= upto and l.topic = any (topics)
      and (l.recipient_user_id is null or l.recipient_user_id = app.user_id())
      and (l.plant_id is null
           or case when l.topic = any (divided) then app.reads_department(l.plant_id, l.department_id)
                   else app.reads_plant(l.plant_id) end)
    order by l.pos limit most;
end $$;

revoke all on all functions in schema ev from public;
revoke execute on function ev.forget(timestamptz), ev.log_days(timestamptz, timestamptz), ev.keep_log(integer) from unison_events;
grant execute on function ev.relay(integer), ev.read(bigint, integer), ev.read_log(bigint, integer), ev.position() to unison_events;
revoke execute on function app.event_window(bigint), app.oldest_event(), app.read_events from public;
grant execute on function app.event_window(bigint), app.oldest_event(), app.read_events to unison_app;
