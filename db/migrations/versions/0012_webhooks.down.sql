-- What was delivered is forgotten; jobs that still stand in the queue find nothing to do.
drop table auth.webhook_secrets;
drop table app.webhook_attempts;
drop table app.webhook_deliveries;
drop table app.webhook_progress;
drop table app.webhook_endpoints;
