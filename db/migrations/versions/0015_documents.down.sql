-- Trusted documents go, and with them the policy of apps.
drop table meta.trusted_documents;
drop table app.trusted_documents;

-- auth.principal_of_key(hash, now): what a live key of an active app holds; null otherwise.
create or replace function auth.principal_of_key(p_key_hash bytea, p_now timestamptz) returns jsonb
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

alter table app.apps drop column document_policy;
