-- app.org_id(): the tenant of the running transaction; unset means no tenant, and no tenant sees no row.
create or replace function app.org_id() returns integer language sql stable parallel safe
return nullif(current_setting('app.org_id', true), '')::integer;

-- app.user_id(): the person of the running transaction; unset for programs, jobs and callers who are not signed in.
create or replace function app.user_id() returns bigint language sql stable parallel safe
return nullif(current_setting('app.user_id', true), '')::bigint;

-- app.in_list(setting, id): is the id in a setting that is 'all' or a comma-separated list; null and unset are nowhere.
-- CASE, not OR: the planner takes half of the rows to pass a CASE, and next to none to pass an OR of things it cannot know. With
-- next to none it reads all of a tenant's rows and sorts them, where it should read a page along an index.
create or replace function app.in_list(setting text, id bigint) returns boolean language sql stable parallel safe
return case when current_setting(setting, true) = 'all' then true
       else id = any (string_to_array(nullif(current_setting(setting, true), ''), ',')::bigint[]) end;

-- app.reads_plant(plant): may the caller see rows of this plant.
create or replace function app.reads_plant(plant bigint) returns boolean language sql stable parallel safe
return app.in_list('app.read_plants', plant);

-- app.writes_plant(plant): may the caller write rows of this plant.
create or replace function app.writes_plant(plant bigint) returns boolean language sql stable parallel safe
return app.in_list('app.write_plants', plant);

-- app.reads_department(plant, department): as above for rows that belong to a department.
create or replace function app.reads_department(plant bigint, department bigint) returns boolean language sql stable parallel safe
return app.reads_plant(plant) and (app.in_list('app.read_whole_plants', plant) or app.in_list('app.read_departments', department));

-- app.writes_department(plant, department): may the caller write rows of this department.
create or replace function app.writes_department(plant bigint, department bigint) returns boolean language sql stable parallel safe
return app.writes_plant(plant) and (app.in_list('app.write_whole_plants', plant) or app.in_list('app.write_departments', department));

-- app.protect(table, kind): put a table behind row-level security. Kinds: tenant; plant (plant_id not null);
-- department (plant_id not null, department_id nullable); optional_plant (plant_id null is seen by the whole tenant).
create or replace procedure app.protect(target regclass, kind text) language plpgsql as $$
declare
    reads text;
    writes text;
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('drop policy if exists tenant on %s', target);
    execute format(
        'create policy tenant on %s using (organization_id = nullif(current_setting(''app.org_id'', true), '''')::integer)'
        ' with check (organization_id = nullif(current_setting(''app.org_id'', true), '''')::integer)', target);
    case kind
        when 'tenant' then return;
        when 'plant' then
            reads := 'app.reads_plant(plant_id)';
            writes := 'app.writes_plant(plant_id)';
        when 'department' then
            reads := 'app.reads_department(plant_id, department_id)';
            writes := 'app.writes_department(plant_id, department_id)';
        when 'optional_plant' then
            reads := 'plant_id is null or app.reads_plant(plant_id)';
            writes := 'plant_id is null or app.writes_plant(plant_id)';
        else
            raise exception 'app.protect: unknown kind %', kind;
    end case;
    execute format('drop policy if exists plant_read on %s', target);
    execute format('drop policy if exists plant_insert on %s', target);
    execute format('drop policy if exists plant_update on %s', target);
    execute format('drop policy if exists plant_delete on %s', target);
    execute format('create policy plant_read on %s as restrictive for select using (%s)', target, reads);
    execute format('create policy plant_insert on %s as restrictive for insert with check (%s)', target, writes);
    execute format('create policy plant_update on %s as restrictive for update using (%s) with check (%s)', target, writes, writes);
    execute format('create policy plant_delete on %s as restrictive for delete using (%s)', target, writes);
end $$;

-- app.guard_plant_write(): row trigger for tables reached through a view, where no policy can stand: refuse a
-- write outside the caller's plants.
create or replace function app.guard_plant_write() returns trigger language plpgsql as $$
begin
    if new.organization_id is distinct from app.org_id() or app.writes_plant(new.plant_id) is not true then
        raise exception 'row outside the caller''s plants' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
