-- What proves an identity. The application role has no privilege on any table of this schema, only on its functions.
grant usage on schema auth to unison_app;

-- The functions of auth look these up before a tenant is known; they run as the owner, who sees them whole.
create policy sign_in on app.organizations for select to unison_owner using (true);
create policy sign_in on app.users for select to unison_owner using (true);
create policy sign_in on app.roles for select to unison_owner using (true);
create policy sign_in on app.role_grants for select to unison_owner using (true);
create policy sign_in on app.user_plant_access for select to unison_owner using (true);
create policy sign_in on app.apps for select to unison_owner using (true);
create policy sign_in on app.app_keys for select to unison_owner using (true);

-- credentials: the argon2 hash of a user's password.
create table auth.credentials (
    organization_id integer not null,
    user_id bigint not null,
    password_hash text not null,
    must_change boolean not null default false,
    changed_at timestamptz not null,
    primary key (organization_id, user_id),
    foreign key (organization_id, user_id) references app.users (organization_id, id) on delete cascade
);

-- sign_in_attempts: failures per account, whether or not the account exists, so that a lock tells nothing.
create table auth.sign_in_attempts (
    account bytea primary key,
    failed integer not null,
    locked_until timestamptz,
    last_at timestamptz not null
);
create index sign_in_attempts_last_at_idx on auth.sign_in_attempts (last_at);

-- sessions: one per sign-in; revoking it ends every token made from it.
create table auth.sessions (
    id uuid primary key default gen_random_uuid(),
    organization_id integer not null,
    user_id bigint not null,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text,
    client_ip text,
    device text,
    foreign key (organization_id, user_id) references app.users (organization_id, id) on delete cascade
);
create index sessions_user_idx on auth.sessions (organization_id, user_id, created_at);
create index sessions_expires_at_idx on auth.sessions (expires_at);

-- refresh_tokens: each may be used once; a second use means that it was stolen.
create table auth.refresh_tokens (
    token_hash bytea primary key,
    session_id uuid not null references auth.sessions (id) on delete cascade,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_tokens_session_idx on auth.refresh_tokens (session_id);

-- api_keys: hashes of the secrets of app.app_keys.
create table auth.api_keys (
    key_hash bytea primary key,
    organization_id integer not null,
    key_id bigint not null,
    unique (organization_id, key_id),
    foreign key (organization_id, key_id) references app.app_keys (organization_id, id) on delete cascade
);

-- password_resets: asked for by mail (no token until the mailer sends it) or made by an administrator.
create table auth.password_resets (
    id uuid primary key default gen_random_uuid(),
    organization_id integer not null,
    user_id bigint not null,
    token_hash bytea unique,
    requested_at timestamptz not null,
    requested_ip text,
    sent_at timestamptz,
    expires_at timestamptz,
    used_at timestamptz,
    foreign key (organization_id, user_id) references app.users (organization_id, id) on delete cascade
);
create index password_resets_unsent_idx on auth.password_resets (requested_at) where sent_at is null;
create index password_resets_user_idx on auth.password_resets (organization_id, user_id);
