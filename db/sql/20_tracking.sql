-- app.touch(): row trigger: count the version and stamp the time of change.
create or replace function app.touch() returns trigger language plpgsql as $$
begin
    new.version := old.version + 1;
    new.updated_at := clock_timestamp();
    return new;
end $$;

-- app.announce(...): one event into the inbox; the relay gives it its position.
create or replace function app.announce(organization integer, plant bigint, department bigint, topic text, entity bigint,
                                        operation text, changed text[], from_status text, to_status text)
returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into ev.inbox (organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
                          from_status, to_status, actor_user_id, actor_app_id, request_id)
    values (organization, plant, department, topic, entity, operation, changed, from_status, to_status,
            nullif(current_setting('app.user_id', true), '')::bigint,
            nullif(current_setting('app.app_id', true), '')::bigint,
            nullif(current_setting('app.request_id', true), ''));
end $$;
revoke execute on function app.announce from public;

-- app.record_change(): row trigger of tracked tables: the audit row and the event, in the writer's transaction.
-- It runs as the owner, so that the application role can read the audit trail but never write it. It stands in the way of every
-- write, so it calls no other function.
create or replace function app.record_change() returns trigger language plpgsql
security definer set search_path = pg_catalog as $$
declare
    before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    row jsonb := coalesce(after, before);
    changed text[];
    organization integer := (row ->> 'organization_id')::integer;
    plant bigint := (row ->> case when tg_argv[0] = 'Plant' then 'id' else 'plant_id' end)::bigint; -- a plant is its own
    entity bigint := (row ->> 'id')::bigint;
    caller bigint := nullif(current_setting('app.user_id', true), '')::bigint;
    program bigint := nullif(current_setting('app.app_id', true), '')::bigint;
    request text := nullif(current_setting('app.request_id', true), '');
begin
    select array_agg(a.key order by a.key) into changed from jsonb_each(row) a
    where a.key not in ('version', 'updated_at') and (tg_op <> 'UPDATE' or a.value is distinct from before -> a.key);
    if tg_op = 'UPDATE' and changed is null then
        return null;
    end if;
    insert into app.audit_logs (organization_id, plant_id, entity_type, entity_id, action, before, after, changed_fields,
                                actor_user_id, actor_app_id, request_id)
    values (organization, plant, tg_argv[0], entity, lower(tg_op), before, after, changed, caller, program, request);
    insert into ev.inbox (organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields,
                          from_status, to_status, actor_user_id, actor_app_id, request_id)
    values (organization, plant, (row ->> 'department_id')::bigint, tg_argv[0], entity, lower(tg_op), changed,
            before ->> 'status', after ->> 'status', caller, program, request);
    return null;
end $$;

-- app.record_event(): row trigger of ledgers, which are their own audit trail: the event alone.
create or replace function app.record_event() returns trigger language plpgsql
security definer set search_path = pg_catalog as $$
declare
    row jsonb := to_jsonb(coalesce(new, old));
begin
    perform app.announce((row ->> 'organization_id')::integer, (row ->> 'plant_id')::bigint, (row ->> 'department_id')::bigint,
                         tg_argv[0], (row ->> 'id')::bigint, lower(tg_op), '{}', null, row ->> 'status');
    return null;
end $$;

-- Nobody hangs them on a table of their own, to write into the trail and the inbox what they like.
revoke execute on function app.record_change(), app.record_event() from public;

-- app.track(table, type): version and time of change, audit trail and events for a table of the GraphQL type.
create or replace procedure app.track(target regclass, type text) language plpgsql as $$
begin
    execute format('create or replace trigger touch before update on %s for each row execute function app.touch()', target);
    execute format('create or replace trigger record_change after insert or update or delete on %s'
                   ' for each row execute function app.record_change(%L)', target, type);
end $$;

-- app.track_ledger(table, type): events for an insert-only table of the GraphQL type.
create or replace procedure app.track_ledger(target regclass, type text) language plpgsql as $$
begin
    execute format('create or replace trigger record_event after insert on %s'
                   ' for each row execute function app.record_event(%L)', target, type);
end $$;
