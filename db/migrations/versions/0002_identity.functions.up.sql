-- The doors into auth. Each runs as the owner with a fixed path; before sign-in there is no tenant, so those
-- functions take what they need as arguments; all others act within app.org_id().

-- auth.branding(subdomain): what a sign-in page may show to anyone.
create function auth.branding(p_subdomain text) returns table (name text, logo_url text, primary_color text, accent_color text)
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select coalesce(o.brand_name, o.name), o.logo_url, o.primary_color, o.accent_color
    from app.organizations o where o.subdomain = lower(p_subdomain) and o.archived_at is null
$$;

-- auth.organization_named(name): the organization of a code or, failing that, of a subdomain.
create function auth.organization_named(p_name text) returns integer
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select o.organization_id from app.organizations o
    where (o.code_lower = lower(p_name) or o.subdomain = lower(p_name)) and o.archived_at is null
    order by o.code_lower = lower(p_name) desc limit 1
$$;

-- auth.sign_in_begin(organization, email, now): the account's failures, held until the transaction ends so that
-- parallel guesses queue, and its password hash where it exists. A day without an attempt clears the count.
create function auth.sign_in_begin(p_organization text, p_email text, p_now timestamptz)
returns table (account bytea, failed integer, locked_until timestamptz,
               organization_id integer, user_id bigint, password_hash text, must_change boolean)
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
#variable_conflict use_column
declare
    v_organization integer := auth.organization_named(p_organization);
    v_account bytea := sha256(convert_to(coalesce(v_organization::text, lower(p_organization)) || E'\x1f' || lower(p_email), 'UTF8'));
    v_failed integer;
    v_locked timestamptz;
begin
    insert into auth.sign_in_attempts as a (account, failed, last_at) values (v_account, 0, p_now)
    on conflict (account) do update
        set last_at = p_now, failed = case when a.last_at < p_now - interval '1 day' then 0 else a.failed end
    returning a.failed, a.locked_until into v_failed, v_locked;
    return query
        select v_account, v_failed, v_locked, c.organization_id, c.user_id, c.password_hash, c.must_change
        from (select 1) one left join (
            select c.* from auth.credentials c join app.users u on u.organization_id = c.organization_id and u.id = c.user_id
            where u.organization_id = v_organization and u.email_lower = lower(p_email) and u.archived_at is null
        ) c on true;
end $$;

-- auth.sign_in_failed(account, locked_until): count one more failure.
create function auth.sign_in_failed(p_account bytea, p_locked_until timestamptz) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    update auth.sign_in_attempts set failed = failed + 1, locked_until = p_locked_until where account = p_account
$$;

-- auth.sign_in_cleared(account): forget the failures of an account that has just proven itself.
create function auth.sign_in_cleared(p_account bytea) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    delete from auth.sign_in_attempts where account = p_account
$$;

-- auth.session_open(...): a new session of an active user, with its first refresh token where one is given.
create function auth.session_open(p_organization integer, p_user bigint, p_now timestamptz, p_expires timestamptz, p_ip text,
                                  p_device text, p_token_hash bytea default null, p_token_expires timestamptz default null)
returns uuid language plpgsql security definer set search_path = pg_catalog, auth, app as $$
declare
    v_session uuid;
begin
    insert into auth.sessions (organization_id, user_id, created_at, last_used_at, expires_at, client_ip, device)
    select u.organization_id, u.id, p_now, p_now, p_expires, p_ip, left(p_device, 255)
    from app.users u where u.organization_id = p_organization and u.id = p_user and u.archived_at is null
    returning id into v_session;
    if v_session is not null and p_token_hash is not null then
        insert into auth.refresh_tokens (token_hash, session_id, issued_at, expires_at)
        values (p_token_hash, v_session, p_now, least(p_token_expires, p_expires));
    end if;
    return v_session;
end $$;

-- auth.session_refresh(...): exchange a refresh token for its successor. The row lock lets one caller win; a token
-- presented again ends the whole session.
create function auth.session_refresh(p_token_hash bytea, p_next_hash bytea, p_now timestamptz, p_next_expires timestamptz)
returns table (outcome text, organization_id integer, user_id bigint, session_id uuid)
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
#variable_conflict use_column
declare
    t auth.refresh_tokens;
    s auth.sessions;
begin
    select * into t from auth.refresh_tokens where token_hash = p_token_hash for update;
    if not found then
        return query select 'unknown', null::integer, null::bigint, null::uuid;
        return;
    end if;
    select * into s from auth.sessions where id = t.session_id for update;
    if s.revoked_at is not null or s.expires_at <= p_now or t.expires_at <= p_now or not exists (
        select from app.users u where u.organization_id = s.organization_id and u.id = s.user_id and u.archived_at is null
    ) then
        return query select 'ended', s.organization_id, s.user_id, s.id;
        return;
    end if;
    if t.used_at is not null then
        update auth.sessions set revoked_at = p_now, revoked_reason = 'refresh token used twice' where id = s.id;
        return query select 'reused', s.organization_id, s.user_id, s.id;
        return;
    end if;
    update auth.refresh_tokens set used_at = p_now where token_hash = p_token_hash;
    insert into auth.refresh_tokens (token_hash, session_id, issued_at, expires_at)
    values (p_next_hash, s.id, p_now, least(p_next_expires, s.expires_at));
    update auth.sessions set last_used_at = p_now where id = s.id;
    return query select 'refreshed', s.organization_id, s.user_id, s.id;
end $$;

-- auth.account(organization, user): what a person may know of their own account before any right is asked for.
create function auth.account(p_organization integer, p_user bigint)
returns table (email text, full_name text, locale text, must_change boolean)
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select u.email, u.full_name, u.locale, coalesce(c.must_change, false)
    from app.users u left join auth.credentials c on c.organization_id = u.organization_id and c.user_id = u.id
    where u.organization_id = p_organization and u.id = p_user
$$;

-- auth.principal(organization, user, session, now): what an active user with a live session holds; null otherwise.
create function auth.principal(p_organization integer, p_user bigint, p_session uuid, p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
begin
    if p_session is not null then
        if not exists (select from auth.sessions s where s.id = p_session and s.organization_id = p_organization
                       and s.user_id = p_user and s.revoked_at is null and s.expires_at > p_now) then
            return null;
        end if;
        -- To the minute is enough, and spares a write per request.
        update auth.sessions set last_used_at = p_now where id = p_session and last_used_at < p_now - interval '1 minute';
    end if;
    return (
        select jsonb_build_object(
            'all_plants', u.all_plants,
            'must_change', coalesce((select c.must_change from auth.credentials c
                                     where c.organization_id = u.organization_id and c.user_id = u.id), false),
            'grants', coalesce((
                select jsonb_agg(jsonb_build_object('role', r.code, 'system', r.is_system, 'permissions', r.permissions,
                                                    'plant', g.plant_id, 'department', g.department_id))
                from app.role_grants g join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id
                where g.organization_id = u.organization_id and g.user_id = u.id and r.archived_at is null), '[]'),
            'access', coalesce((
                select jsonb_agg(jsonb_build_object('plant', a.plant_id, 'write', a.can_write, 'delete', a.can_delete))
                from app.user_plant_access a
                where a.organization_id = u.organization_id and a.user_id = u.id and a.can_read), '[]'))
        from app.users u join app.organizations o on o.organization_id = u.organization_id
        where u.organization_id = p_organization and u.id = p_user and u.archived_at is null and o.archived_at is null);
end $$;

-- auth.grants_of(user): all grants of a user of this organization, also in plants the caller does not see.
create function auth.grants_of(p_user bigint)
returns table (code text, is_system boolean, permissions text[], plant_id bigint, department_id bigint)
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select r.code, r.is_system, r.permissions, g.plant_id, g.department_id
    from app.role_grants g join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id
    where g.organization_id = app.org_id() and g.user_id = p_user and r.archived_at is null
$$;

-- auth.principal_of_key(hash, now): what a live key of an active app holds; null otherwise.
create function auth.principal_of_key(p_key_hash bytea, p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
declare
    v_found jsonb;
begin
    select jsonb_build_object('organization', k.organization_id, 'app', k.app_id, 'key', k.id, 'scopes', k.scopes, 'plant', k.plant_id,
                              'expires_at', k.expires_at)
    into v_found
    from auth.api_keys h
    join app.app_keys k on k.organization_id = h.organization_id and k.id = h.key_id
    join app.apps a on a.organization_id = k.organization_id and a.id = k.app_id
    join app.organizations o on o.organization_id = k.organization_id
    where h.key_hash = p_key_hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > p_now)
      and a.archived_at is null and o.archived_at is null;
    if v_found is not null then
        perform set_config('app.org_id', v_found ->> 'organization', true);
        insert into app.app_key_uses as u (organization_id, id, last_used_at)
        values ((v_found ->> 'organization')::integer, (v_found ->> 'key')::bigint, p_now)
        on conflict (organization_id, id) do update set last_used_at = p_now where u.last_used_at < p_now - interval '1 minute';
        perform set_config('app.org_id', '', true);
    end if;
    return v_found;
end $$;

-- auth.api_key_put(key, hash): the secret of a key of this organization.
create function auth.api_key_put(p_key bigint, p_key_hash bytea) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    insert into auth.api_keys (key_hash, organization_id, key_id) values (p_key_hash, app.org_id(), p_key)
$$;

-- auth.sessions_of(user, now, most): live sessions of a user of this organization, newest first.
create function auth.sessions_of(p_user bigint, p_now timestamptz, p_most integer)
returns table (id uuid, created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, client_ip text, device text)
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select s.id, s.created_at, s.last_used_at, s.expires_at, s.client_ip, s.device from auth.sessions s
    where s.organization_id = app.org_id() and s.user_id = p_user and s.revoked_at is null and s.expires_at > p_now
    order by s.created_at desc, s.id limit p_most
$$;

-- auth.session_user(session): whose session of this organization it is.
create function auth.session_user(p_session uuid) returns bigint
language sql stable security definer set search_path = pg_catalog, auth, app as $$
    select s.user_id from auth.sessions s where s.organization_id = app.org_id() and s.id = p_session
$$;

-- auth.session_revoke(session, now, reason): end one session of this organization.
create function auth.session_revoke(p_session uuid, p_now timestamptz, p_reason text) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    update auth.sessions set revoked_at = p_now, revoked_reason = p_reason
    where organization_id = app.org_id() and id = p_session and revoked_at is null
$$;

-- auth.sessions_revoke(user, now, reason, except): end all sessions of a user of this organization but one.
create function auth.sessions_revoke(p_user bigint, p_now timestamptz, p_reason text, p_except uuid default null) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    update auth.sessions set revoked_at = p_now, revoked_reason = p_reason
    where organization_id = app.org_id() and user_id = p_user and revoked_at is null and id is distinct from p_except
$$;
