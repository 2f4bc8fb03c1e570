-- The log becomes one table again, as it was made at first.
create table ev.log_kept as table ev.log;
drop table ev.log;
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
insert into ev.log
select pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields, from_status, to_status,
       actor_user_id, actor_app_id, request_id, occurred_at
from ev.log_kept;
drop table ev.log_kept;
alter table ev.head drop column logged_at;
