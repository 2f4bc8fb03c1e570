-- ev.upkeep(event_days): what the worker does every hour: events, receipts and sessions that nobody can ask for any more are
-- forgotten; the days ahead have their partition of the event log, the months ahead theirs of the production log.
drop function if exists ev.upkeep();
create or replace function ev.upkeep(event_days integer default 7) returns void language plpgsql
security definer set search_path = pg_catalog as $$
begin
    perform ev.keep_log(event_days);
    perform app.purge_idempotency_receipts(now() - interval '7 days');
    perform auth.purge(now() - interval '30 days');
    perform tsdata.production_log_partitions(now()::date, (now() + interval '12 months')::date);
end $$;

revoke execute on function ev.upkeep(integer) from public;
grant execute on function ev.upkeep(integer) to unison_events;
