-- ev.schedule_targets(): every organization, and every plant in use with its time zone.
create or replace function ev.schedule_targets()
returns table (organization_id integer, plant_id bigint, time_zone text)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_org integer;
begin
    perform set_config('app.read_plants', 'all', true);
    for v_org in select o.organization_id from app.organizations o loop
        perform set_config('app.org_id', v_org::text, true);
        organization_id := v_org;
        plant_id := null;
        time_zone := 'UTC';
        return next;
        return query select p.organization_id, p.id, p.time_zone from app.plants p
                     where p.organization_id = v_org and p.archived_at is null;
    end loop;
end $$;

-- ev.set_schedule(...): a schedule as the program says it; its next run stays unless its expression or zone has changed.
create or replace function ev.set_schedule(p_org integer, p_plant bigint, p_code text, p_description text, p_cron text, p_zone text,
                                           p_next timestamptz)
returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform set_config('app.org_id', p_org::text, true), set_config('app.read_plants', 'all', true),
            set_config('app.write_plants', 'all', true);
    insert into app.schedules as s (organization_id, plant_id, code, description, cron, time_zone, next_run_at)
    values (p_org, p_plant, p_code, p_description, p_cron, p_zone, p_next)
    on conflict (organization_id, code, plant_id) do update
    set description = p_description, cron = p_cron, time_zone = p_zone,
        next_run_at = case when (s.cron, s.time_zone) = (p_cron, p_zone) then coalesce(s.next_run_at, p_next) else p_next end
    where (s.description, s.cron, s.time_zone) is distinct from (p_description, p_cron, p_zone) or s.next_run_at is null;
end $$;

-- ev.all_schedules(): what is scheduled, in all organizations.
create or replace function ev.all_schedules()
returns table (organization_id integer, id bigint, plant_id bigint, code text, description text, cron text, time_zone text,
               next_run_at timestamptz)
language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform set_config('app.read_plants', 'all', true);
    return query select s.organization_id, s.id, s.plant_id, s.code, s.description, s.cron, s.time_zone, s.next_run_at from app.schedules s;
end $$;

-- ev.stop_schedule(organization, schedule): nothing is due any more of a schedule no module or plant stands behind.
create or replace function ev.stop_schedule(p_org integer, p_schedule bigint) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform set_config('app.org_id', p_org::text, true), set_config('app.read_plants', 'all', true),
            set_config('app.write_plants', 'all', true);
    update app.schedules set next_run_at = null where organization_id = p_org and id = p_schedule;
end $$;

-- ev.fire_schedule(...): put the job of a schedule into its queue and name the next time, unless somebody else did.
create or replace function ev.fire_schedule(p_org integer, p_schedule bigint, p_due timestamptz, p_next timestamptz,
                                            p_missed integer, p_queue text, p_kind text)
returns bigint language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_plant bigint;
    v_job bigint;
begin
    perform set_config('app.org_id', p_org::text, true), set_config('app.read_plants', 'all', true),
            set_config('app.write_plants', 'all', true);
    update app.schedules set next_run_at = p_next, last_run_at = clock_timestamp()
    where organization_id = p_org and id = p_schedule and next_run_at = p_due returning plant_id into v_plant;
    if not found then
        return null;
    end if;
    v_job := (app.enqueue(p_queue, p_kind,
                          array[jsonb_build_object('schedule', p_schedule, 'plant', v_plant, 'scheduledFor', p_due)],
                          'schedule:' || p_schedule, 0))[1];
    insert into app.schedule_runs (organization_id, plant_id, schedule_id, job_id, scheduled_for, missed)
    values (p_org, v_plant, p_schedule, v_job, p_due, p_missed);
    return v_job;
end $$;

-- ev.due_upkeep(code, cron): when work on the database itself is due; what was never done is due at once.
create or replace function ev.due_upkeep(p_code text, p_cron text) returns timestamptz language plpgsql
security definer set search_path = pg_catalog as $$
begin
    insert into ev.schedules as s (code, cron, next_run_at) values (p_code, p_cron, clock_timestamp())
    on conflict (code) do update set cron = p_cron where s.cron <> p_cron;
    return (select s.next_run_at from ev.schedules s where s.code = p_code);
end $$;

-- ev.run_upkeep(code, due, next, event days): do it and name the next time, unless somebody else did. An error is kept and shown.
create or replace function ev.run_upkeep(p_code text, p_due timestamptz, p_next timestamptz, p_event_days integer) returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_error text;
begin
    update ev.schedules set next_run_at = p_next, last_run_at = clock_timestamp(), last_error = null
    where code = p_code and next_run_at = p_due;
    if not found then
        return 'elsewhere';
    end if;
    begin
        case p_code
            when 'upkeep' then perform ev.upkeep(p_event_days);
            when 'queue_upkeep' then perform ev.queue_upkeep();
        end case;
    exception when others then
        v_error := sqlerrm;
        update ev.schedules set last_error = v_error where code = p_code;
    end;
    return v_error;
end $$;

-- ev.upkeep_state(): work on the database itself as it was last done, for `unison doctor`.
create or replace function ev.upkeep_state()
returns table (code text, cron text, next_run_at timestamptz, last_run_at timestamptz, last_error text)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select s.code, s.cron, s.next_run_at, s.last_run_at, s.last_error from ev.schedules s order by 1;
end $$;

revoke all on all functions in schema ev from public;
grant execute on function ev.schedule_targets, ev.set_schedule, ev.all_schedules, ev.stop_schedule, ev.fire_schedule,
    ev.due_upkeep, ev.run_upkeep, ev.upkeep_state to unison_events;
