-- applied_scripts: the repeatable scripts of db/sql as last applied, so that a start with nothing new changes nothing.
create table if not exists meta.applied_scripts (
    name text primary key,
    digest text not null,
    applied_at timestamptz not null default now()
);

-- database_capabilities: what the server could do when it was last migrated; `unison doctor` prints it.
create table if not exists meta.database_capabilities (
    name text primary key,
    available_version text,
    installed_version text,
    detected_at timestamptz not null default now()
);
