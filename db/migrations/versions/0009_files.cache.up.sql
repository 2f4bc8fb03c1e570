-- cache: answers that cost more to compute than to read again; lost in a crash, and nothing is the worse for it.
create unlogged table app.cache (
    organization_id integer not null,
    key text not null check (key <> '' and length(key) <= 255),
    value jsonb not null,
    position bigint not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    primary key (organization_id, key)
);
create index cache_expires_at_idx on app.cache (organization_id, expires_at);
call app.protect('app.cache', 'tenant');
grant select, insert, update on app.cache to unison_app;

-- Has anything of a kind happened since: asked of events that have their position, and of those that still wait for it.
create index log_topic_idx on ev.log (organization_id, topic, pos);
create index inbox_topic_idx on ev.inbox (organization_id, topic);
