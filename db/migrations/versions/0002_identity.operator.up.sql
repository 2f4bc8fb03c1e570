-- What the operator and the worker do across organizations.

-- auth.users_by_email(organization, email): active users with an address, for the operator's own tool.
create function auth.users_by_email(p_organization text, p_email text) returns table (organization_id integer, user_id bigint)
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select u.organization_id, u.id from app.users u
    where u.email_lower = lower(p_email) and u.archived_at is null
      and (p_organization is null or u.organization_id = auth.organization_named(p_organization))
$$;

-- auth.purge(before): forget what expired before a time; answers how many rows went.
create function auth.purge(p_before timestamptz) returns bigint
language sql security definer set search_path = pg_catalog, auth, app as $$
    with s as (delete from auth.sessions where least(expires_at, coalesce(revoked_at, expires_at)) < p_before returning 1),
         r as (delete from auth.password_resets where coalesce(expires_at, requested_at) < p_before returning 1),
         a as (delete from auth.sign_in_attempts where last_at < p_before returning 1)
    select (select count(*) from s) + (select count(*) from r) + (select count(*) from a)
$$;

revoke execute on all functions in schema auth from public;
grant execute on all functions in schema auth to unison_app;
revoke execute on function auth.purge(timestamptz) from unison_app;

-- auth.seed_roles(organization): the system roles, so that grants can name them. Their permissions stand in the code.
create function auth.seed_roles(p_organization integer) returns void
language sql set search_path = pg_catalog, auth, app as $$
    insert into app.roles (organization_id, code, name, description, is_system)
    select p_organization, r.code, r.name, r.description, true from (values
        ('admin', 'Administrator', 'Holds every permission'),
        ('plant_manager', 'Plant manager', 'Runs a plant: people, orders, machines and their figures'),
        ('supervisor', 'Supervisor', 'Leads a shift or a department'),
        ('operator', 'Operator', 'Works at a machine and reports what was made'),
        ('quality_inspector', 'Quality inspector', 'Inspects, records findings and decides on them'),
        ('maintenance_technician', 'Maintenance technician', 'Keeps the machines running'),
        ('planner', 'Planner', 'Plans work orders and their dates'),
        ('warehouse', 'Warehouse', 'Receives, stores and ships'),
        ('integration', 'Integration', 'A program that exchanges data with other systems'),
        ('viewer', 'Viewer', 'Sees, and changes nothing')
    ) r (code, name, description)
    on conflict (organization_id, code) do nothing
$$;

-- auth.organization_create(...): a new tenant with its system roles and first administrator; for the operator alone.
create function auth.organization_create(p_code text, p_subdomain text, p_name text, p_email text, p_full_name text,
                                         p_password_hash text, p_now timestamptz)
returns table (organization_id integer, user_id bigint)
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
#variable_conflict use_column
declare
    v_organization integer := nextval(pg_get_serial_sequence('app.organizations', 'organization_id'));
    v_user bigint;
begin
    perform set_config('app.org_id', v_organization::text, true);
    insert into app.organizations (organization_id, code, subdomain, name) values (v_organization, p_code, p_subdomain, p_name);
    perform auth.seed_roles(v_organization);
    insert into app.users (organization_id, email, username, full_name, all_plants)
    values (v_organization, p_email, split_part(p_email, '@', 1), p_full_name, true) returning id into v_user;
    insert into app.role_grants (organization_id, user_id, role_id)
    select v_organization, v_user, r.id from app.roles r where r.organization_id = v_organization and r.code = 'admin';
    if p_password_hash is not null then
        perform auth.password_set(v_user, p_password_hash, false, p_now);
    end if;
    perform set_config('app.org_id', '', true);
    return query select v_organization, v_user;
end $$;
revoke execute on function auth.seed_roles(integer) from public;
revoke execute on function auth.organization_create(text, text, text, text, text, text, timestamptz) from public;
