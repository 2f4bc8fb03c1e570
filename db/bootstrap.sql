-- The schemas: app is what the application role reaches; tsdata, auth, ev, meta and pgmq are private to the owner's functions.
create schema if not exists app authorization unison_owner;
create schema if not exists tsdata authorization unison_owner;
create schema if not exists auth authorization unison_owner;
create schema if not exists ev authorization unison_owner;
create schema if not exists meta authorization unison_owner;
create schema if not exists pgmq authorization unison_owner;
