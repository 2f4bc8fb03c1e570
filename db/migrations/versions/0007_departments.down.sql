drop policy machine_read on app.machine_meter_readings;
drop policy machine_read on app.machine_meters;
drop policy machine_read on app.machine_status_history;
drop policy department_read on app.audit_logs;
