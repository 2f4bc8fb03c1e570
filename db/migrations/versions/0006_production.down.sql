-- Production is taken away whole, the youngest first.
drop view app.production_logs;
drop table tsdata.production_logs;
drop function tsdata.production_log_partitions(date, date);
drop function app.guard_department_write();
drop table app.production_log_reversals;
drop table app.operation_labor;
drop table app.work_order_operations;
drop table app.work_orders;
drop table app.routing_operations;
drop table app.routings;
drop table app.scrap_reasons;
