-- Notifications go; mails with a token are taken as they were.
drop function auth.reset_not_sent(uuid, integer);
drop function auth.resets_to_send(integer, timestamptz);
create function auth.resets_to_send(p_most integer)
returns table (id uuid, organization_id integer, user_id bigint, email text, full_name text, locale text, organization_name text)
language sql security definer set search_path = pg_catalog, auth, app as $$
    select r.id, r.organization_id, r.user_id, u.email, u.full_name, u.locale, coalesce(o.brand_name, o.name)
    from auth.password_resets r
    join app.users u on u.organization_id = r.organization_id and u.id = r.user_id
    join app.organizations o on o.organization_id = r.organization_id
    where r.sent_at is null and u.archived_at is null
    order by r.requested_at limit p_most for update of r skip locked
$$;
revoke execute on function auth.resets_to_send(integer) from public;
grant execute on function auth.resets_to_send(integer) to unison_app;
alter table auth.password_resets drop column next_attempt_at;
alter table auth.password_resets drop column attempts;
drop table app.notification_preferences;
drop table app.notifications;
-- Events for one person would be everybody's without the column that says so.
delete from ev.inbox where recipient_user_id is not null;
update ev.log set topic = 'Forgotten', recipient_user_id = null where recipient_user_id is not null;
alter table ev.log drop column recipient_user_id;
alter table ev.inbox drop column recipient_user_id;
