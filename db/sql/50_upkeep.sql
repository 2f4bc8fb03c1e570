-- ev.upkeep(): what the worker does every hour: events, receipts and sessions that nobody can ask for any more are
-- forgotten, and the months ahead have their partition of the production log.
create or replace function ev.upkeep() returns void language plpgsql
security definer set search_path = pg_catalog as $$
begin
    perform ev.forget(now() - interval '7 days');
    perform app.purge_idempotency_receipts(now() - interval '7 days');
    perform auth.purge(now() - interval '30 days');
    perform tsdata.production_log_partitions(now()::date, (now() + interval '12 months')::date);
end $$;

revoke execute on function ev.upkeep() from public;
grant execute on function ev.upkeep() to unison_events;
