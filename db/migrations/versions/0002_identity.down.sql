-- The functions of auth and what they guard.
do $$
declare
    f regprocedure;
begin
    for f in select p.oid from pg_proc p where p.pronamespace = 'auth'::regnamespace loop
        execute format('drop function %s', f);
    end loop;
end $$;
drop table auth.password_resets;
drop table auth.api_keys;
drop table auth.refresh_tokens;
drop table auth.sessions;
drop table auth.sign_in_attempts;
drop table auth.credentials;
alter table app.departments drop constraint departments_head_fkey;
alter table app.plants drop constraint plants_manager_fkey;
drop table app.app_key_uses;
drop table app.app_keys;
drop table app.apps;
drop table app.user_plant_access;
drop table app.role_grants;
drop table app.roles;
drop table app.users;
drop table app.departments;
drop table app.plants;
drop table app.organizations;
