drop table app.machine_meter_readings;
drop table app.machine_meters;
drop table app.machine_status_history;
drop table app.machines;
drop table app.reason_codes;
drop function app.mirrors_are_no_edit();
