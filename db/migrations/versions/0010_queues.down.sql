-- Schedules and jobs go, and with them every message of every queue.
drop table ev.schedules;
drop table app.schedule_runs;
drop table app.schedules;
drop table app.jobs;
drop schema pgmq cascade;
delete from meta.database_capabilities where name = 'pgmq';
