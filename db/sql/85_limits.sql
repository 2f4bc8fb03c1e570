-- app.take_tokens(principal, wanted, bucket, restored): take so many tokens from the bucket of a caller of this
-- organization, or as many as there are. The row lock lets one process at a time have them.
create or replace function app.take_tokens(p_principal text, p_wanted double precision, p_bucket double precision,
                                           p_restored double precision)
returns table (granted double precision, remaining double precision) language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_tokens double precision;
    v_filled timestamptz;
    v_now timestamptz;
begin
    insert into app.cost_buckets (organization_id, principal, tokens, filled_at)
    values (app.org_id(), p_principal, p_bucket, clock_timestamp()) on conflict do nothing;
    select b.tokens, b.filled_at into v_tokens, v_filled from app.cost_buckets b
    where b.organization_id = app.org_id() and b.principal = p_principal for update;
    v_now := clock_timestamp();
    v_tokens := least(p_bucket, v_tokens + p_restored * greatest(extract(epoch from v_now - v_filled), 0));
    granted := greatest(least(p_wanted, v_tokens), 0);
    remaining := v_tokens - granted;
    update app.cost_buckets b set tokens = remaining, filled_at = v_now
    where b.organization_id = app.org_id() and b.principal = p_principal;
    return next;
end $$;

revoke execute on function app.take_tokens(text, double precision, double precision, double precision) from public;
grant execute on function app.take_tokens(text, double precision, double precision, double precision) to unison_app;
