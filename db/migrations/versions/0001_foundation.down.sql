drop table ev.head;
drop table ev.log;
drop table ev.inbox;
drop table app.idempotency_receipts;
drop table app.audit_logs;
