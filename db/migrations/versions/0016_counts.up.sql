-- Counts by status see the columns of the row policy in the index: no row has to be looked up to be counted.
drop index app.work_orders_status_idx;
create index work_orders_status_idx on app.work_orders (organization_id, status, id) include (plant_id, department_id);
