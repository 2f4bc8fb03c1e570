-- app.announce_notifications(): statement trigger of notifications: one event, for its recipient, for each that was made or
-- read. One that is shown nowhere in the application is no event.
create or replace function app.announce_notifications() returns trigger language plpgsql
security definer set search_path = pg_catalog as $$
begin
    if tg_op = 'INSERT' then
        insert into ev.inbox (organization_id, plant_id, topic, entity_id, operation, changed_fields, recipient_user_id,
                              actor_user_id, actor_app_id, request_id)
        select organization_id, plant_id, 'Notification', id, 'insert', '{}', user_id, app.user_id(),
               nullif(current_setting('app.app_id', true), '')::bigint, nullif(current_setting('app.request_id', true), '')
        from changed where in_app order by id;
    else
        insert into ev.inbox (organization_id, plant_id, topic, entity_id, operation, changed_fields, recipient_user_id,
                              actor_user_id, actor_app_id, request_id)
        select c.organization_id, c.plant_id, 'Notification', c.id, 'update', '{read_at}', c.user_id, app.user_id(),
               nullif(current_setting('app.app_id', true), '')::bigint, nullif(current_setting('app.request_id', true), '')
        from changed c join before b using (organization_id, id)
        where c.in_app and c.read_at is distinct from b.read_at order by c.id;
    end if;
    return null;
end $$;

-- app.holders(permission, system roles, plant, department): active people who hold a permission at a place and may enter its
-- plant; without a plant, those who hold it in the whole organization. Which system roles hold it stands in the code.
create or replace function app.holders(p_permission text, p_system_roles text[], p_plant bigint, p_department bigint)
returns bigint[] language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    return array(
        select u.id from app.users u
        where u.organization_id = app.org_id() and u.archived_at is null
          and (p_plant is null or u.all_plants or exists (
              select from app.user_plant_access a
              where a.organization_id = u.organization_id and a.user_id = u.id and a.plant_id = p_plant and a.can_read))
          and exists (
              select from app.role_grants g join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id
              where g.organization_id = u.organization_id and g.user_id = u.id and r.archived_at is null
                and (case when r.is_system then r.code = any (p_system_roles) else p_permission = any (r.permissions) end)
                and (g.plant_id is null or g.plant_id = p_plant)
                and (g.department_id is null or g.department_id = p_department))
        order by u.id);
end $$;

-- app.notify(...): tell people, in the caller's transaction: those of the list who are active and may enter the plant, each where
-- he or she wants to be told. `p_once`: who has an unread one of the kind is left
-- alone (of one that is only mailed, for an hour). Answers what was written.
create or replace function app.notify(
    p_kind text, p_severity text, p_title text, p_body text, p_entity_type text, p_entity_id bigint, p_plant bigint,
    p_users bigint[], p_in_app boolean, p_email boolean, p_mailing boolean, p_once boolean)
returns table (id bigint, user_id bigint, by_email boolean)
language plpgsql security definer set search_path = pg_catalog as $$
#variable_conflict use_column
begin
    return query
    insert into app.notifications (organization_id, user_id, plant_id, kind, severity, title, body, entity_type, entity_id,
                                   in_app, by_email)
    select w.organization_id, w.user_id, p_plant, p_kind, p_severity, p_title, p_body, p_entity_type, p_entity_id,
           w.in_app, w.by_email
    from (
        select u.organization_id, u.id as user_id,
               coalesce((select p.enabled from app.notification_preferences p
                         where p.organization_id = u.organization_id and p.user_id = u.id and p.kind = p_kind
                           and p.channel = 'in_app'), p_in_app) as in_app,
               p_mailing and coalesce((select p.enabled from app.notification_preferences p
                                       where p.organization_id = u.organization_id and p.user_id = u.id and p.kind = p_kind
                                         and p.channel = 'email'), p_email) as by_email
        from app.users u
        where u.organization_id = app.org_id() and u.id = any (p_users) and u.archived_at is null
          and (p_plant is null or u.all_plants or exists (
              select from app.user_plant_access a
              where a.organization_id = u.organization_id and a.user_id = u.id and a.plant_id = p_plant and a.can_read))
          and not (p_once and exists (
              select from app.notifications n
              where n.organization_id = u.organization_id and n.user_id = u.id and n.kind = p_kind and n.read_at is null
                and (n.in_app or n.created_at > clock_timestamp() - interval '1 hour')))
    ) w
    where w.in_app or w.by_email
    order by w.user_id
    returning id, user_id, by_email;
end $$;

-- app.notification_to_mail(id): what the mail of a notification says and to whom, for a job: people read their own rows only.
-- Nothing where the person is archived meanwhile, may not enter the plant any more, or asked for no mail.
create or replace function app.notification_to_mail(p_notification bigint)
returns table (email text, full_name text, locale text, organization_name text, primary_color text, kind text, severity text,
               title text, body text, created_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog as $$
begin
    if app.user_id() is not null or nullif(current_setting('app.app_id', true), '') is not null then
        raise exception 'only a job mails notifications' using errcode = 'insufficient_privilege';
    end if;
    return query
    select u.email, u.full_name, u.locale, coalesce(o.brand_name, o.name), o.primary_color, n.kind, n.severity, n.title, n.body,
           n.created_at
    from app.notifications n
    join app.users u on u.organization_id = n.organization_id and u.id = n.user_id
    join app.organizations o on o.organization_id = n.organization_id
    where n.organization_id = app.org_id() and n.id = p_notification and n.by_email and u.archived_at is null
      and (n.plant_id is null or u.all_plants or exists (
          select from app.user_plant_access a
          where a.organization_id = u.organization_id and a.user_id = u.id and a.plant_id = n.plant_id and a.can_read));
end $$;

-- app.forget_notifications(before): those older than a time go; how many went.
create or replace function app.forget_notifications(p_before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    v_gone bigint;
begin
    delete from app.notifications where organization_id = app.org_id() and created_at < p_before;
    get diagnostics v_gone = row_count;
    return v_gone;
end $$;

revoke execute on function app.announce_notifications(), app.holders(text, text[], bigint, bigint),
    app.notify(text, text, text, text, text, bigint, bigint, bigint[], boolean, boolean, boolean, boolean),
    app.notification_to_mail(bigint), app.forget_notifications(timestamptz) from public;
grant execute on function app.holders(text, text[], bigint, bigint),
    app.notify(text, text, text, text, text, bigint, bigint, bigint[], boolean, boolean, boolean, boolean),
    app.notification_to_mail(bigint), app.forget_notifications(timestamptz) to unison_app;
