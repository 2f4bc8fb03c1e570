drop function app.purge_idempotency_receipts(timestamptz);
drop function auth.setting_secret_put(text, jsonb);
drop function auth.setting_secret(text);
drop table auth.setting_secrets;
drop table app.settings;
drop table app.numbering_counters;
drop table app.numbering_schemes;
