-- What the log holds steps aside without its constraints, whose names its successor takes.
create table ev.log_kept as table ev.log;
drop table ev.log;

-- ev.log: the events with their position, dense and visible only in order; by the day they were given it.
create table ev.log (
    pos bigint not null,
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
    occurred_at timestamptz not null,
    logged_at timestamptz not null default clock_timestamp(),
    primary key (pos, logged_at)
) partition by range (logged_at);
create index log_organization_idx on ev.log (organization_id, pos);
-- ev.log_default: a relay must never fail for want of a partition.
create table ev.log_default partition of ev.log default;

-- ev.head: when the newest position was given. It never goes back, so the days of the log are in the order of positions.
alter table ev.head add logged_at timestamptz not null default '-infinity';

-- What was kept has been given its position by now.
insert into ev.log (pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields, from_status,
                    to_status, actor_user_id, actor_app_id, request_id, occurred_at, logged_at)
select pos, organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields, from_status, to_status,
       actor_user_id, actor_app_id, request_id, occurred_at, max(least(occurred_at, now())) over (order by pos)
from ev.log_kept;
update ev.head set logged_at = coalesce((select max(logged_at) from ev.log), '-infinity');
drop table ev.log_kept;

-- A partition for every day something was kept of, and for the week ahead.
select ev.log_days(least((select min(logged_at) from ev.log), now()), now() + interval '7 days');
