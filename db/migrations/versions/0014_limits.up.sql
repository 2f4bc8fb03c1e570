-- cost_buckets: what each user or app can still spend on operations. Unlogged: after a crash every bucket is full.
create unlogged table app.cost_buckets (
    organization_id integer not null references app.organizations (organization_id) on delete cascade,
    principal text not null,
    tokens double precision not null,
    filled_at timestamptz not null,
    primary key (organization_id, principal)
) with (fillfactor = 50);
call app.protect('app.cost_buckets', 'tenant');
