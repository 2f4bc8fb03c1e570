-- app.announce_jobs(): statement trigger of jobs: one event for each that was made or whose state or progress changed.
create or replace function app.announce_jobs() returns trigger language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_user bigint := nullif(current_setting('app.user_id', true), '')::bigint;
    v_app bigint := nullif(current_setting('app.app_id', true), '')::bigint;
begin
    if tg_op = 'INSERT' then
        insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields, to_status, actor_user_id,
                              actor_app_id, request_id)
        select organization_id, 'Job', id, 'insert', '{}', status, v_user, v_app, request_id from changed;
    else
        insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields, from_status, to_status,
                              actor_user_id, actor_app_id, request_id)
        select c.organization_id, 'Job', c.id, 'update',
               array_remove(array[case when b.status <> c.status then 'status' end,
                                  case when b.progress is distinct from c.progress then 'progress' end], null),
               b.status, c.status, v_user, v_app, c.request_id
        from changed c join before b using (organization_id, id)
        where b.status <> c.status or b.progress is distinct from c.progress;
    end if;
    return null;
end $$;

-- app.enqueue(...): put a message for each payload into a queue, and a job for each message into the caller's
-- organization, in the caller's transaction. Writers of one key wait for each other, so that the order in the queue is
-- the order of their commits. Answers the jobs, in the order of the payloads.
create or replace function app.enqueue(p_queue text, p_kind text, p_payloads jsonb[], p_key text, p_delay double precision)
returns bigint[] language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_org integer := app.org_id();
    v_request text := nullif(current_setting('app.request_id', true), '');
    v_run_at timestamptz := clock_timestamp() + make_interval(secs => coalesce(p_delay, 0));
    v_headers jsonb := jsonb_strip_nulls(jsonb_build_object('org', v_org::text, 'kind', p_kind, 'x-pgmq-group', p_key));
    v_most integer := cardinality(p_payloads);
    v_jobs bigint[];
begin
    if v_org is null then
        raise exception 'a job belongs to an organization' using errcode = 'insufficient_privilege';
    end if;
    if p_key is not null then
        perform pg_advisory_xact_lock(hashtextextended(concat_ws(chr(31), 'queue', p_queue, v_org, p_key), 0));
    end if;
    v_jobs := array(select nextval('app.jobs_id_seq') from generate_series(1, v_most));
    insert into app.jobs (organization_id, id, queue, kind, key, message_id, run_at, created_by_user_id, created_by_app_id, request_id)
    select v_org, v_jobs[n], p_queue, p_kind, p_key, message_id, v_run_at,
           nullif(current_setting('app.user_id', true), '')::bigint,
           nullif(current_setting('app.app_id', true), '')::bigint, v_request
    from pgmq.send_batch(
        p_queue,
        array(select jsonb_build_object('job', v_jobs[n], 'org', v_org, 'kind', p_kind, 'request', v_request, 'payload', p_payloads[n])
              from generate_series(1, v_most) n order by n),
        array_fill(v_headers, array[v_most]), v_run_at) with ordinality as sent (message_id, n);
    return v_jobs;
end $$;

-- app.jobs_done(queue, messages, reads, jobs): acknowledge, in the transaction of the effect. A message that was read
-- again meanwhile is not ours any more: fewer are answered than were given, and the caller rolls back.
create or replace function app.jobs_done(p_queue text, p_messages bigint[], p_reads integer[], p_jobs bigint[])
returns integer language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_done integer;
begin
    execute format('delete from pgmq.%I q using unnest($1, $2) as d (msg_id, read_ct)'
                   ' where q.msg_id = d.msg_id and q.read_ct = d.read_ct and q.headers ->> ''org'' = $3', 'q_' || p_queue)
        using p_messages, p_reads, app.org_id()::text;
    get diagnostics v_done = row_count;
    update app.jobs j
    set status = 'succeeded', attempts = d.read_ct, last_error = null, progress = 100,
        started_at = case when status = 'running' then started_at else now() end, finished_at = clock_timestamp()
    from unnest(p_jobs, p_reads) as d (id, read_ct)
    where j.organization_id = app.org_id() and j.id = d.id;
    return v_done;
end $$;

-- app.job_progress(job, percent): how far a running job has come.
create or replace function app.job_progress(p_job bigint, p_percent integer) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update app.jobs set progress = p_percent
    where organization_id = app.org_id() and id = p_job and status = 'running' and progress is distinct from p_percent;
end $$;

-- app.job_retry(job): run a job as soon as there is room: a dead one with all its attempts again, a failed one now.
-- False where it is neither.
create or replace function app.job_retry(p_job bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_job record;
    v_message jsonb;
    v_headers jsonb;
    v_id bigint;
begin
    select * into v_job from app.jobs where organization_id = app.org_id() and id = p_job for update;
    if v_job.status = 'dead' then
        if v_job.key is not null then
            perform pg_advisory_xact_lock(
                hashtextextended(concat_ws(chr(31), 'queue', v_job.queue, v_job.organization_id, v_job.key), 0));
        end if;
        execute format('delete from pgmq.%I where msg_id = $1 returning message, headers', 'q_' || v_job.queue || '_dlq')
            into v_message, v_headers using v_job.message_id;
        if v_message is null then
            return false;
        end if;
        select pgmq.send(v_job.queue, v_message, v_headers) into v_id;
    elsif v_job.status = 'failed' then
        execute format('update pgmq.%I set vt = clock_timestamp() where msg_id = $1 and read_ct = $2 returning msg_id', 'q_' || v_job.queue)
            into v_id using v_job.message_id, v_job.attempts;
        if v_id is null then
            return false;
        end if;
    else
        return false;
    end if;
    update app.jobs
    set status = 'queued', message_id = v_id, run_at = clock_timestamp(), started_at = null, finished_at = null, progress = null,
        attempts = case when v_job.status = 'dead' then 0 else attempts end
    where organization_id = app.org_id() and id = p_job;
    return true;
end $$;

-- app.job_discard(job): never run a job again. False where it is over already or a worker has it.
create or replace function app.job_discard(p_job bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_job record;
    v_gone bigint;
begin
    select * into v_job from app.jobs where organization_id = app.org_id() and id = p_job for update;
    if v_job.status = 'dead' then
        execute format('delete from pgmq.%I where msg_id = $1', 'q_' || v_job.queue || '_dlq') using v_job.message_id;
    elsif v_job.status in ('queued', 'failed') then
        execute format('delete from pgmq.%I where msg_id = $1 and (vt <= clock_timestamp() or read_ct = $2) returning msg_id',
                       'q_' || v_job.queue) into v_gone using v_job.message_id, v_job.attempts;
        if v_gone is null then
            return false;
        end if;
    else
        return false;
    end if;
    update app.jobs set status = 'discarded', finished_at = clock_timestamp() where organization_id = app.org_id() and id = p_job;
    return true;
end $$;

-- app.forget_jobs(before): jobs that are over and runs of schedules older than a time go; how many jobs went.
create or replace function app.forget_jobs(p_before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_gone bigint;
begin
    delete from app.jobs
    where organization_id = app.org_id() and status in ('succeeded', 'discarded') and created_at < p_before;
    get diagnostics v_gone = row_count;
    delete from app.schedule_runs where organization_id = app.org_id() and created_at < p_before;
    return v_gone;
end $$;

-- ev.take_jobs(...): read messages for `p_seconds`, from the organizations whose turn it is: those after `p_after` first,
-- none of `p_skip`. Of each up to `p_size` messages, but one only of those that run alone: kinds not in `p_together`, and
-- whatever was read before. Of a key only the first message in the queue, whatever it waits for. Takes follow each other, so
-- that two workers never hold two messages of a key.
create or replace function ev.take_jobs(p_queue text, p_seconds integer, p_orgs integer, p_size integer, p_together text[],
                                        p_after text, p_skip text[])
returns table (org text, msg_id bigint, read_ct integer, message jsonb, headers jsonb, enqueued_at timestamptz)
language plpgsql security definer set search_path = pg_catalog set enable_seqscan = off
set enable_bitmapscan = off set jit = off as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('take ' || p_queue, 0));
    return query execute format($q$
        with recursive orgs as (
            (select coalesce(q.headers ->> 'org', '') as org from pgmq.%1$I q order by 1 limit 1)
            union all
            select (select coalesce(q.headers ->> 'org', '') from pgmq.%1$I q
                    where coalesce(q.headers ->> 'org', '') > o.org order by coalesce(q.headers ->> 'org', '') limit 1)
            from orgs o where o.org is not null
        ), turn as (
            select o.org from orgs o
            where o.org is not null and o.org <> all ($6) and exists (
                select from pgmq.%1$I q where coalesce(q.headers ->> 'org', '') = o.org and q.vt <= $1
                  and (q.headers ->> 'x-pgmq-group' is null or not exists (
                      select from pgmq.%1$I e where e.headers ->> 'org' = q.headers ->> 'org'
                        and e.headers ->> 'x-pgmq-group' = q.headers ->> 'x-pgmq-group' and e.msg_id < q.msg_id)))
            order by o.org <= $5, o.org limit $3
        ), picked as (
            select p.msg_id, p.alone, row_number() over (partition by t.org, p.alone order by p.vt, p.msg_id) as nth
            from turn t cross join lateral (
                select q.msg_id, q.vt, q.read_ct > 0 or coalesce(q.headers ->> 'kind' <> all ($7), true) as alone
                from pgmq.%1$I q where coalesce(q.headers ->> 'org', '') = t.org and q.vt <= $1
                  and (q.headers ->> 'x-pgmq-group' is null or not exists (
                      select from pgmq.%1$I e where e.headers ->> 'org' = q.headers ->> 'org'
                        and e.headers ->> 'x-pgmq-group' = q.headers ->> 'x-pgmq-group' and e.msg_id < q.msg_id))
                order by coalesce(q.headers ->> 'org', ''), q.vt, q.msg_id limit $4
            ) p
        )
        -- A list, no join: see ev.relay.
        update pgmq.%1$I q set vt = $1 + make_interval(secs => $2), read_ct = q.read_ct + 1, last_read_at = $1
        where q.msg_id = any (array(select p.msg_id from picked p where p.nth = 1 or not p.alone))
        returning coalesce(q.headers ->> 'org', ''), q.msg_id, q.read_ct, q.message, q.headers, q.enqueued_at
    $q$, 'q_' || p_queue) using clock_timestamp(), p_seconds, p_orgs, p_size, p_after, p_skip, p_together;
end $$;

-- ev.hold_jobs(queue, messages, reads, seconds): the heartbeat: hold messages for longer; answers those still held.
create or replace function ev.hold_jobs(p_queue text, p_messages bigint[], p_reads integer[], p_seconds integer)
returns bigint[] language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_held bigint[];
begin
    execute format('with held as (update pgmq.%I q set vt = clock_timestamp() + make_interval(secs => $3)'
                   ' from unnest($1, $2) as d (msg_id, read_ct) where q.msg_id = d.msg_id and q.read_ct = d.read_ct'
                   ' returning q.msg_id) select coalesce(array_agg(msg_id), ''{}'') from held', 'q_' || p_queue)
        into v_held using p_messages, p_reads, p_seconds;
    return v_held;
end $$;

-- ev.release_jobs(queue, messages, reads): give messages back as if they had not been read.
create or replace function ev.release_jobs(p_queue text, p_messages bigint[], p_reads integer[]) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
    execute format('update pgmq.%I q set vt = clock_timestamp(), read_ct = q.read_ct - 1'
                   ' from unnest($1, $2) as d (msg_id, read_ct) where q.msg_id = d.msg_id and q.read_ct = d.read_ct', 'q_' || p_queue)
        using p_messages, p_reads;
end $$;

-- ev.job_started(organization, job, attempt): a job that runs alone shows that it runs.
create or replace function ev.job_started(p_org integer, p_job bigint, p_attempt integer) returns void
language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform set_config('app.org_id', p_org::text, true);
    update app.jobs set status = 'running', attempts = p_attempt, started_at = clock_timestamp(), progress = null
    where organization_id = p_org and id = p_job;
end $$;

-- ev.job_failed(queue, message, read, error, delay): after a failure a message waits for its next attempt; without a
-- delay it is dead: it goes to the dead letters and to the archive at once.
create or replace function ev.job_failed(p_queue text, p_message bigint, p_read integer, p_error text, p_delay double precision)
returns boolean language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_message jsonb;
    v_headers jsonb;
    v_org integer;
    v_rows integer;
    v_id bigint := p_message;
    v_run_at timestamptz := clock_timestamp() + make_interval(secs => coalesce(p_delay, 0));
begin
    execute format('select message, headers from pgmq.%I where msg_id = $1 and read_ct = $2 for update', 'q_' || p_queue)
        into v_message, v_headers using p_message, p_read;
    get diagnostics v_rows = row_count;
    if v_rows = 0 then
        return false;
    end if;
    if p_delay is null then
        select pgmq.send(p_queue || '_dlq', v_message, v_headers) into v_id;
        perform pgmq.archive(p_queue, p_message);
    else
        perform pgmq.set_vt(p_queue, p_message, v_run_at);
    end if;
    if v_headers ->> 'org' ~ '^[0-9]{1,9}$' and v_message ->> 'job' ~ '^[0-9]{1,18}$' then
        v_org := (v_headers ->> 'org')::integer;
        perform set_config('app.org_id', v_org::text, true);
        update app.jobs
        set status = case when p_delay is null then 'dead' else 'failed' end, attempts = p_read, last_error = p_error,
            message_id = v_id, run_at = v_run_at, finished_at = clock_timestamp()
        where organization_id = v_org and id = (v_message ->> 'job')::bigint;
    end if;
    return true;
end $$;

-- ev.queue_depths(): per queue the messages that wait, that are held or delayed, the dead, and the age of the oldest waiting.
create or replace function ev.queue_depths()
returns table (queue text, waiting bigint, later bigint, dead bigint, oldest_seconds double precision)
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_queue text;
begin
    if to_regclass('pgmq.meta') is null then
        return;
    end if;
    for v_queue in select m.queue_name from pgmq.meta m where m.queue_name not like '%\_dlq' order by 1 loop
        return query execute format(
            'select $1, count(*) filter (where vt <= clock_timestamp()), count(*) filter (where vt > clock_timestamp()),'
            ' (select count(*) from pgmq.%I),'
            ' coalesce(extract(epoch from clock_timestamp() - min(vt) filter (where vt <= clock_timestamp())), 0)::double precision'
            ' from pgmq.%I', 'q_' || v_queue || '_dlq', 'q_' || v_queue) using v_queue;
    end loop;
end $$;

-- ev.queue_upkeep(): the archives keep what died for 30 days.
create or replace function ev.queue_upkeep() returns void language plpgsql
security definer set search_path = pg_catalog as $$
declare
    v_queue text;
begin
    for v_queue in select m.queue_name from pgmq.meta m loop
        execute format('delete from pgmq.%I where archived_at < now() - interval ''30 days''', 'a_' || v_queue);
    end loop;
end $$;

revoke all on all functions in schema ev from public;
revoke execute on function app.announce_jobs(), app.enqueue(text, text, jsonb[], text, double precision),
    app.jobs_done(text, bigint[], integer[], bigint[]), app.job_progress(bigint, integer), app.job_retry(bigint),
    app.job_discard(bigint), app.forget_jobs(timestamptz) from public;
grant execute on function app.enqueue(text, text, jsonb[], text, double precision),
    app.jobs_done(text, bigint[], integer[], bigint[]), app.job_progress(bigint, integer), app.job_retry(bigint),
    app.job_discard(bigint), app.forget_jobs(timestamptz) to unison_app;
grant execute on function ev.take_jobs, ev.hold_jobs, ev.release_jobs, ev.job_started, ev.job_failed, ev.queue_depths
    to unison_events;
