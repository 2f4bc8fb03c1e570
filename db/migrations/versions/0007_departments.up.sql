-- The trail of a row that belongs to a department is seen by who sees the department, as the row itself is.
create policy department_read on app.audit_logs as restrictive for select to unison_app
    using (plant_id is null
           or app.in_list('app.read_whole_plants', plant_id)
           or not jsonb_exists(coalesce(after, before), 'department_id')
           or app.in_list('app.read_departments', (coalesce(after, before) ->> 'department_id')::bigint));

-- What is kept of a machine is seen by who sees the machine. Who sees the whole plant is not asked machine by machine.
create policy machine_read on app.machine_status_history as restrictive for select to unison_app
    using (app.in_list('app.read_whole_plants', plant_id)
           or exists (select from app.machines m
                      where m.organization_id = machine_status_history.organization_id and m.id = machine_id));
create policy machine_read on app.machine_meters as restrictive for select to unison_app
    using (app.in_list('app.read_whole_plants', plant_id)
           or exists (select from app.machines m
                      where m.organization_id = machine_meters.organization_id and m.id = machine_id));
create policy machine_read on app.machine_meter_readings as restrictive for select to unison_app
    using (app.in_list('app.read_whole_plants', plant_id)
           or exists (select from app.machine_meters m
                      where m.organization_id = machine_meter_readings.organization_id and m.id = meter_id));
