-- app.webhook_secret_put(endpoint, secret, now, until): a new secret of an endpoint of this organization. Those before it
-- sign along until a time; beyond the two newest of them at once no more.
create or replace function app.webhook_secret_put(p_endpoint bigint, p_secret bytea, p_now timestamptz, p_until timestamptz)
returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
    update auth.webhook_secrets set valid_until = least(coalesce(valid_until, p_until), p_until)
    where organization_id = app.org_id() and endpoint_id = p_endpoint;
    delete from auth.webhook_secrets s
    where s.organization_id = app.org_id() and s.endpoint_id = p_endpoint
      and (s.valid_until <= p_now or s.secret not in (
          select k.secret from auth.webhook_secrets k
          where k.organization_id = app.org_id() and k.endpoint_id = p_endpoint order by k.created_at desc limit 2));
    insert into auth.webhook_secrets (organization_id, endpoint_id, secret, created_at)
    values (app.org_id(), p_endpoint, p_secret, p_now);
end $$;

-- app.webhook_secrets(endpoint, now): the secrets an endpoint of this organization is signed for with, newest first.
create or replace function app.webhook_secrets(p_endpoint bigint, p_now timestamptz) returns setof bytea
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query select s.secret from auth.webhook_secrets s
                 where s.organization_id = app.org_id() and s.endpoint_id = p_endpoint
                   and (s.valid_until is null or s.valid_until > p_now)
                 order by s.created_at desc;
end $$;

-- app.event_position_at(time): the position before the first event logged at or after a time, and whether the log reaches
-- back that far.
create or replace function app.event_position_at(p_time timestamptz) returns table (pos bigint, complete boolean)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return query
    select coalesce((select min(l.pos) - 1 from ev.log l where l.logged_at >= p_time), h.pos),
           exists (select from ev.log l where l.logged_at < p_time) or coalesce((select min(l.pos) from ev.log l) = 1, h.pos = 0)
    from ev.head h;
end $$;

-- ev.webhooks_due(most): endpoints, of all organizations, with something in the log after their position. One that has nothing
-- to be told for long is moved on, so that its position does not fall behind what the log keeps.
create or replace function ev.webhooks_due(p_most integer) returns table (organization_id integer, id bigint)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_head bigint := (select h.pos from ev.head h);
begin
    update app.webhook_progress p set pos = v_head
    from (
        select w.organization_id, w.id from app.webhook_progress w
        join app.webhook_endpoints e on e.organization_id = w.organization_id and e.id = w.id
        where e.status = 'active' and e.archived_at is null and w.pos < v_head - 1000
          and exists (select from ev.log l where l.pos = w.pos + 1)
          and not exists (select from ev.log l where l.organization_id = w.organization_id and l.pos > w.pos and l.pos <= v_head
                          and l.topic = any (e.topics))
        for update of w skip locked
    ) idle
    where p.organization_id = idle.organization_id and p.id = idle.id;
    return query
    select w.organization_id, w.id from app.webhook_progress w
    join app.webhook_endpoints e on e.organization_id = w.organization_id and e.id = w.id
    where e.status = 'active' and e.archived_at is null and w.pos < v_head
      and (exists (select from ev.log l where l.organization_id = w.organization_id and l.pos > w.pos and l.pos <= v_head
                   and l.topic = any (e.topics))
           or not exists (select from ev.log l where l.pos = w.pos + 1))
    limit p_most;
end $$;

revoke execute on function app.webhook_secret_put, app.webhook_secrets, app.event_position_at, ev.webhooks_due from public;
grant execute on function app.webhook_secret_put, app.webhook_secrets, app.event_position_at to unison_app;
grant execute on function ev.webhooks_due to unison_events;
