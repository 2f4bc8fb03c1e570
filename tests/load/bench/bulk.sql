-- What the bench adds to the database: the loader of the bulk, and the mutation of the peers.
create schema bench;

-- bench.add_orders(organizations, first, last, steps, now): orders numbered first to last in each organization, their steps, and
-- two rows of the log for each first step. Rows of the organizations lie between each other, as they do after a year.
create function bench.add_orders(organizations integer[], first integer, last integer, steps integer, at timestamptz)
returns void language plpgsql as $$
begin
    create temporary table floor on commit drop as
        select p.organization_id, row_number() over (partition by p.organization_id order by p.id) - 1 as place, p.id as plant_id,
               d.id as department_id
        from app.plants p join app.departments d on (d.organization_id, d.plant_id) = (p.organization_id, p.id)
        where p.organization_id = any (organizations);
    insert into app.projects (organization_id, number, name, status)
    select o, 'P-' || n, 'Project ' || n, 'active' from unnest(organizations) o, generate_series(1, 50) n
    on conflict do nothing;
    create temporary table project on commit drop as
        select organization_id, id, row_number() over (partition by organization_id order by id) - 1 as place
        from app.projects where organization_id = any (organizations);

    insert into app.work_orders (organization_id, plant_id, department_id, number, project_id, product_code, product_name,
        operation_type, quantity_ordered, quantity_good, unit, priority, status, planned_start_at, planned_end_at, actual_start_at,
        created_at, updated_at)
    select o, f.plant_id, f.department_id, 'WO-' || lpad(n::text, 9, '0'), p.id, 'PC-' || n % 500, 'Product ' || n % 500,
           (array['fabrication', 'machining', 'assembly'])[1 + n % 3], 100000,
           case when n % 6 = 4 then 100000 else 0 end, 'pcs', (array['low', 'medium', 'high', 'urgent'])[1 + n % 4],
           (array['planned', 'released', 'in_progress', 'on_hold', 'completed', 'cancelled'])[1 + n % 6],
           at - interval '1 day' * (n % 90), at + interval '1 day' * (n % 30),
           case when n % 6 in (2, 3, 4) then at - interval '1 day' * (n % 90) end,
           at - interval '1 minute' * n, at - interval '1 minute' * n
    from generate_series(first, last) n cross join unnest(organizations) o
    join floor f on f.organization_id = o and f.place = n % 2
    join project p on p.organization_id = o and p.place = n % 50
    order by n, o;

    insert into app.work_order_operations (organization_id, plant_id, department_id, work_order_id, sequence, name, quantity_planned,
        unit, status, quantity_good, quantity_available, started_at)
    select w.organization_id, w.plant_id, w.department_id, w.id, s * 10, 'Step ' || s, w.quantity_ordered, w.unit,
           case when s = 1 and w.status = 'in_progress' then 'in_progress' else 'pending' end,
           case when s = 1 then 2 else 0 end, case s when 1 then w.quantity_ordered - 2 when 2 then 2 else 0 end,
           case when s = 1 then w.actual_start_at end
    from app.work_orders w, generate_series(1, steps) s
    where w.organization_id = any (organizations)
      and w.number between 'WO-' || lpad(first::text, 9, '0') and 'WO-' || lpad(last::text, 9, '0')
    order by w.id, s;

    insert into tsdata.production_logs (organization_id, plant_id, department_id, work_order_id, operation_id, kind, quantity_good,
        unit, logged_at, created_at)
    select s.organization_id, s.plant_id, s.department_id, s.work_order_id, s.id, 'report', 1, s.unit, at - interval '1 hour' * k,
           at - interval '1 hour' * k
    from app.work_order_operations s join app.work_orders w on (w.organization_id, w.id) = (s.organization_id, s.work_order_id),
         generate_series(1, 2) k
    where s.sequence = 10 and s.organization_id = any (organizations)
      and w.number between 'WO-' || lpad(first::text, 9, '0') and 'WO-' || lpad(last::text, 9, '0')
    order by s.id, k;
end $$;

-- bench.record_log(operation, good, key): the mutation of the peers, in the database: what productionLogRecord does to the rows
-- for a report of good pieces at the first operation of an order in work. The same locks, checks and rows, as the caller.
create function bench.record_log(p_operation bigint, p_good numeric, p_key text) returns app.work_order_operations
language plpgsql as $$
declare
    v_first record;
    v_order app.work_orders;
    v_operation app.work_order_operations;
    v_next app.work_order_operations;
    v_log app.production_logs;
    v_user bigint := nullif(current_setting('app.user_id'), '')::bigint;
begin
    select * into v_first from app.first_answer('user:' || v_user, 'recordLog', p_key);
    if not v_first.free then
        raise exception 'the same request is still being worked on';
    elsif v_first.result is not null then
        return jsonb_populate_record(null::app.work_order_operations, v_first.result -> 'operation');
    end if;
    select w.* into v_order from app.work_orders w where w.organization_id = app.org_id() and w.id =
        (select o.work_order_id from app.work_order_operations o where o.organization_id = app.org_id() and o.id = p_operation)
        for update;
    perform from app.work_order_operations o where o.organization_id = app.org_id() and o.work_order_id = v_order.id
        order by o.id for update;
    select o.* into v_operation from app.work_order_operations o
        where o.organization_id = app.org_id() and o.id = p_operation;
    if v_order.status not in ('released', 'in_progress') then
        raise exception 'the order is %', v_order.status;
    elsif p_good <= 0 or p_good > v_operation.quantity_available then
        raise exception 'only % more can be reported', v_operation.quantity_available;
    end if;
    insert into app.production_logs (organization_id, plant_id, department_id, work_order_id, operation_id, machine_id,
        operator_id, recorded_by_id, kind, quantity_good, unit, logged_at)
    values (v_order.organization_id, v_order.plant_id, v_order.department_id, v_order.id, v_operation.id,
        v_operation.machine_id, v_user, v_user, 'report', p_good, v_order.unit, now()) returning * into v_log;
    update app.work_order_operations set quantity_good = quantity_good + p_good, quantity_available = quantity_available - p_good
        where organization_id = app.org_id() and id = p_operation returning * into v_operation;
    update app.work_order_operations set quantity_available = quantity_available + p_good
        where organization_id = app.org_id() and work_order_id = v_order.id and sequence = v_operation.sequence + 10;
    insert into app.idempotency_receipts (organization_id, principal, field, key, request_hash, result)
    values (v_order.organization_id, 'user:' || v_user, 'recordLog', p_key, sha256(convert_to(p_operation || ':' || p_good, 'UTF8')),
        jsonb_build_object('production_log', v_log, 'operation', v_operation, 'work_order', v_order));
    return v_operation;
end $$;

-- bench.status_counts() and bench.unread_count(): what our workOrderStatusCounts and notificationUnreadCount count.
create function bench.status_counts() returns table (status text, count bigint) stable language sql as $$
    select s.status, count(w.id)
    from unnest(array['planned', 'released', 'in_progress', 'on_hold', 'completed', 'closed', 'cancelled']) with ordinality s (status, place)
    left join (select w.status, w.id from app.work_orders w where w.organization_id = app.org_id()) w using (status)
    group by s.status, s.place order by s.place
$$;
create function bench.unread_count() returns bigint stable language sql as $$
    select count(*) from app.notifications n
    where n.organization_id = app.org_id() and n.user_id = nullif(current_setting('app.user_id'), '')::bigint and n.read_at is null and n.in_app
$$;
grant usage on schema bench to unison_app;
