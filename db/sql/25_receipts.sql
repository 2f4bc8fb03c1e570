-- app.first_answer(principal, field, key): is the key free for this transaction, and what a request with it was answered.
-- A function of several statements sees what was committed until it had the lock; one statement would see less.
create or replace function app.first_answer(p_principal text, p_field text, p_key text)
returns table (free boolean, request_hash bytea, result jsonb) language plpgsql as $$
begin
    free := pg_try_advisory_xact_lock(
        hashtextextended(concat_ws(chr(31), app.org_id(), 'idempotency', p_principal, p_field, p_key), 0));
    if free then
        select r.request_hash, r.result into request_hash, result from app.idempotency_receipts r
        where r.organization_id = app.org_id() and r.principal = p_principal and r.field = p_field and r.key = p_key;
    end if;
    return next;
end $$;
revoke execute on function app.first_answer(text, text, text) from public;
grant execute on function app.first_answer(text, text, text) to unison_app;
