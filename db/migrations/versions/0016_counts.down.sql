drop index app.work_orders_status_idx;
create index work_orders_status_idx on app.work_orders (organization_id, status, id);
