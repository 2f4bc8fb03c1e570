-- Passwords: set, changed, and reset by a token that exists in the clear only where it is sent.

-- auth.password_hash(user): the hash a user of this organization must match to change the password; held.
create function auth.password_hash(p_user bigint) returns text
language sql security definer set search_path = pg_catalog, auth, app as $$
    select c.password_hash from auth.credentials c where c.organization_id = app.org_id() and c.user_id = p_user for update
$$;

-- auth.password_set(user, hash, must_change, now): a new password for a user of this organization.
create function auth.password_set(p_user bigint, p_hash text, p_must_change boolean, p_now timestamptz) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    insert into auth.credentials (organization_id, user_id, password_hash, must_change, changed_at)
    values (app.org_id(), p_user, p_hash, p_must_change, p_now)
    on conflict (organization_id, user_id) do update
        set password_hash = excluded.password_hash, must_change = excluded.must_change, changed_at = excluded.changed_at
$$;

-- auth.password_rehashed(organization, user, old, new): the same password under newer parameters.
create function auth.password_rehashed(p_organization integer, p_user bigint, p_old text, p_new text) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    update auth.credentials set password_hash = p_new
    where organization_id = p_organization and user_id = p_user and password_hash = p_old
$$;

-- auth.reset_request(organization, email, ip, now): note that a mail is wanted, at most one per account and minute.
create function auth.reset_request(p_organization text, p_email text, p_ip text, p_now timestamptz) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    insert into auth.password_resets (organization_id, user_id, requested_at, requested_ip)
    select u.organization_id, u.id, p_now, p_ip from app.users u
    where u.organization_id = auth.organization_named(p_organization) and u.email_lower = lower(p_email)
      and u.archived_at is null
      and not exists (select from auth.password_resets r where r.organization_id = u.organization_id and r.user_id = u.id
                      and r.requested_at > p_now - interval '1 minute')
$$;

-- auth.resets_to_send(most): requests still to be mailed, held by the mailer that took them.
create function auth.resets_to_send(p_most integer)
returns table (id uuid, organization_id integer, user_id bigint, email text, full_name text, locale text, organization_name text)
language sql security definer set search_path = pg_catalog, auth, app as $$
    select r.id, r.organization_id, r.user_id, u.email, u.full_name, u.locale, coalesce(o.brand_name, o.name)
    from auth.password_resets r
    join app.users u on u.organization_id = r.organization_id and u.id = r.user_id
    join app.organizations o on o.organization_id = r.organization_id
    where r.sent_at is null and u.archived_at is null
    order by r.requested_at limit p_most for update of r skip locked
$$;

-- auth.reset_sent(id, hash, expires, now): the token that was mailed for a request.
create function auth.reset_sent(p_id uuid, p_token_hash bytea, p_expires timestamptz, p_now timestamptz) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    update auth.password_resets set token_hash = p_token_hash, expires_at = p_expires, sent_at = p_now
    where id = p_id and sent_at is null
$$;

-- auth.reset_create(user, hash, expires, now): a token an administrator hands over in person.
create function auth.reset_create(p_user bigint, p_token_hash bytea, p_expires timestamptz, p_now timestamptz) returns void
language sql security definer set search_path = pg_catalog, auth, app as $$
    insert into auth.password_resets (organization_id, user_id, token_hash, requested_at, sent_at, expires_at)
    values (app.org_id(), p_user, p_token_hash, p_now, p_now, p_expires)
$$;

-- auth.reset_find(hash, now): the user a live token is for, held until the transaction ends.
create function auth.reset_find(p_token_hash bytea, p_now timestamptz) returns table (organization_id integer, user_id bigint, email text)
language sql security definer set search_path = pg_catalog, auth, app as $$
    select r.organization_id, r.user_id, u.email from auth.password_resets r
    join app.users u on u.organization_id = r.organization_id and u.id = r.user_id
    where r.token_hash = p_token_hash and r.used_at is null and r.expires_at > p_now and u.archived_at is null
    for update of r
$$;

-- auth.reset_use(hash, password, now): set the password, end every session and every other token of the user, and
-- lift the lock of the account.
create function auth.reset_use(p_token_hash bytea, p_password_hash text, p_now timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, auth, app as $$
declare
    r auth.password_resets;
begin
    select * into strict r from auth.password_resets where token_hash = p_token_hash and used_at is null;
    update auth.password_resets set used_at = p_now
    where organization_id = r.organization_id and user_id = r.user_id and used_at is null;
    insert into auth.credentials (organization_id, user_id, password_hash, must_change, changed_at)
    values (r.organization_id, r.user_id, p_password_hash, false, p_now)
    on conflict (organization_id, user_id) do update
        set password_hash = excluded.password_hash, must_change = false, changed_at = excluded.changed_at;
    update auth.sessions set revoked_at = p_now, revoked_reason = 'password reset'
    where organization_id = r.organization_id and user_id = r.user_id and revoked_at is null;
    delete from auth.sign_in_attempts a using app.users u
    where u.organization_id = r.organization_id and u.id = r.user_id
      and a.account = sha256(convert_to(u.organization_id::text || E'\x1f' || u.email_lower, 'UTF8'));
end $$;
