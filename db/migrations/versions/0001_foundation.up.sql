-- The application role sees the schema app; what it may do with each relation is granted where the relation is made.
grant usage on schema app to unison_app;
grant usage on schema ev to unison_events;

-- audit_logs: what changed, from what to what, and who did it; written by app.record_change() alone.
create table app.audit_logs (
    organization_id integer not null,
    id bigint generated always as identity,
    plant_id bigint,
    entity_type text not null,
    entity_id bigint not null,
    action text not null check (action in ('insert', 'update', 'delete')),
    before jsonb,
    after jsonb,
    changed_fields text[] not null,
    actor_user_id bigint,
    actor_app_id bigint,
    request_id text,
    occurred_at timestamptz not null default clock_timestamp(),
    primary key (organization_id, id)
);
create index audit_logs_entity_idx on app.audit_logs (organization_id, entity_type, entity_id, id);
create index audit_logs_occurred_at_idx on app.audit_logs (organization_id, occurred_at, id);
create index audit_logs_actor_user_idx on app.audit_logs (organization_id, actor_user_id, id);
create index audit_logs_actor_app_idx on app.audit_logs (organization_id, actor_app_id, id);
create index audit_logs_action_idx on app.audit_logs (organization_id, action, id);
create index audit_logs_plant_idx on app.audit_logs (organization_id, plant_id, id);
call app.protect('app.audit_logs', 'optional_plant');
-- The trigger that fills the trail runs as the owner and may record what a caller may write or not.
drop policy plant_insert on app.audit_logs;
create policy trail on app.audit_logs for insert to unison_owner with check (true);
grant select on app.audit_logs to unison_app;

-- idempotency_receipts: the first answer to a request that posts a fact, kept in the same transaction as the fact.
create table app.idempotency_receipts (
    organization_id integer not null,
    principal text not null,
    field text not null,
    key text not null check (key <> '' and length(key) <= 255),
    request_hash bytea not null,
    result jsonb not null,
    created_at timestamptz not null default now(),
    primary key (organization_id, principal, field, key)
);
create index idempotency_receipts_created_at_idx on app.idempotency_receipts (organization_id, created_at);
call app.protect('app.idempotency_receipts', 'tenant');
grant select, insert, delete on app.idempotency_receipts to unison_app;

-- ev.inbox: events as their transactions wrote them, in no order anyone may rely on.
create table ev.inbox (
    id bigint generated always as identity primary key,
    organization_id integer not null,
    plant_id bigint,
    department_id bigint,
    topic text not null,
    entity_id bigint not null,
    operation text not null,
    changed_fields text[] not null,
    from_status text,
    to_status text,
    actor_user_id bigint,
    actor_app_id bigint,
    request_id text,
    occurred_at timestamptz not null default clock_timestamp()
);

-- ev.log: the same events with their position: dense, and visible only in order.
create table ev.log (
    pos bigint primary key,
    organization_id integer not null,
    plant_id bigint,
    department_id bigint,
    topic text not null,
    entity_id bigint not null,
    operation text not null,
    changed_fields text[] not null,
    from_status text,
    to_status text,
    actor_user_id bigint,
    actor_app_id bigint,
    request_id text,
    occurred_at timestamptz not null
);
create index log_organization_idx on ev.log (organization_id, pos);
create index log_occurred_at_idx on ev.log (occurred_at);

-- ev.head: the newest position; its row lock makes the relay single.
create table ev.head (
    one boolean primary key default true check (one),
    pos bigint not null
);
insert into ev.head (pos) values (0);
