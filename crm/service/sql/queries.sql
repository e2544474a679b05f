-- name: types
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object(
        'code', code, 'name', name, 'form', form, 'steps', steps, 'sla_hours', sla_hours,
        'duplicate_days', duplicate_days, 'queue', queue) order by code), '[]')) as reply
from crm.request_type where not retired

-- name: define
insert into crm.request_type (code, name, form, steps, sla_hours, duplicate_days, queue)
values ($1, $2::jsonb, coalesce($3, '[]')::jsonb, coalesce($4, '["open", "done"]')::jsonb, coalesce($5, '72')::int,
        coalesce($6, '14')::int, coalesce($7, 'office'))
on conflict (code) do update set name = excluded.name, form = excluded.form, steps = excluded.steps,
        sla_hours = excluded.sla_hours, duplicate_days = excluded.duplicate_days, queue = excluded.queue, retired = false
returning jsonb_build_object('code', code) as reply

-- name: type
-- $1 code, $2 form values
select code, duplicate_days, crm.form_problem(form, $2::jsonb) as problem, jsonb_typeof($2::jsonb) = 'object' as is_object
from crm.request_type where code = $1 and not retired

-- name: customer
-- $1 a customer's id or an account number
select p.party_id, p.branch_id, null::bigint as account_id from crm.party p
where p.party_id = case when $1 ~ '^[0-9]{1,18}$' then $1::bigint end
union all
select a.party_id, a.branch_id, a.account_id from crm.account a where a.number = $1
limit 1

-- name: service_point
select s.service_point_id from crm.service_point s
where s.code = $1 and s.branch_id = $2::smallint

-- name: duplicate
-- A running request of the same type for the same customer: $1 type, $2 party, $3 days
select number, opened_by, to_char(opened_at at time zone b.tz, 'YYYY-MM-DD HH24:MI') as opened
from crm.request join core.branch b using (branch_id)
where type = $1 and party_id = $2::bigint and state <> 'closed' and opened_at > now() - make_interval(days => $3::int)
order by opened_at desc limit 1

-- name: create
-- $1 branch, $2 type, $3 party, $4 account, $5 service point, $6 form, $7 actor, $8 assigned to
insert into crm.request (branch_id, number, type, party_id, account_id, service_point_id, step, form, queue, opened_by,
                         assigned_to, due_at)
select $1::smallint, crm.next_number($1::smallint, 'request', 'R'), code, $3::bigint, $4::bigint, $5::bigint,
       steps ->> 0, $6::jsonb, queue, $7, $8, now() + make_interval(hours => sla_hours)
from crm.request_type where code = $2
returning request_id, number, jsonb_build_object('number', number, 'type', type, 'customer', party_id, 'state', state,
                                                 'step', step, 'due_at', due_at) as reply

-- name: add_message
insert into crm.request_message (request_id, branch_id, actor, channel, kind, text)
select request_id, branch_id, $2, $3, $4, $5 from crm.request where request_id = $1::bigint

-- name: list
-- $1 state or "active", $2 type, $3 assigned to, $4 customer, $5 branch, $6 queue, $7 after this id, $8 how many
with page as (
        select r.*, p.name as customer_name, b.code as branch
        from crm.request r join crm.party p using (party_id) join core.branch b on b.branch_id = r.branch_id
        where ($1::text is null or case $1 when 'active' then r.state <> 'closed' else r.state = $1 end)
          and ($2::text is null or r.type = $2) and ($3::text is null or r.assigned_to = $3)
          and ($4::text is null or r.party_id::text = $4) and ($5::text is null or b.code = $5)
          and ($6::text is null or r.queue = $6) and ($7::bigint = 0 or r.request_id < $7::bigint)
        order by r.request_id desc limit $8::int + 1
), shown as (select * from page order by request_id desc limit $8::int)
select jsonb_build_object(
        'items', coalesce(jsonb_agg(jsonb_build_object(
                'number', number, 'type', type, 'type_name', (select name from crm.request_type t where t.code = type),
                'state', state, 'step', step, 'customer', party_id, 'customer_name', customer_name, 'branch', branch,
                'queue', queue, 'assigned_to', assigned_to, 'opened_at', opened_at, 'due_at', due_at,
                'overdue', state = 'open' and due_at < now(), 'closed_at', closed_at)
                order by request_id desc), '[]'),
        'next', case when (select count(*) from page) > $8::int then min(request_id)::text end,
        'open', (select count(*) from crm.request where state <> 'closed'),
        'overdue', (select count(*) from crm.request where state = 'open' and due_at < now())) as reply
from shown

-- name: show
select jsonb_build_object(
        'number', r.number, 'type', r.type, 'type_name', t.name, 'steps', t.steps, 'state', r.state, 'step', r.step,
        'form', r.form, 'form_fields', t.form, 'queue', r.queue, 'assigned_to', r.assigned_to,
        'customer', r.party_id, 'customer_name', p.name, 'phone', p.phone,
        'account', (select number from crm.account a where a.account_id = r.account_id),
        'service_point', (select code from crm.service_point s where s.service_point_id = r.service_point_id),
        'opened_at', r.opened_at, 'opened_by', r.opened_by, 'due_at', r.due_at, 'overdue', r.state = 'open' and r.due_at < now(),
        'pause_reason', r.pause_reason, 'closed_at', r.closed_at, 'outcome', r.outcome, 'reopened', r.reopened,
        'thread', (select coalesce(jsonb_agg(jsonb_build_object('at', m.at, 'actor', m.actor, 'channel', m.channel,
                        'kind', m.kind, 'text', m.text) order by m.message_id), '[]')
                   from crm.request_message m where m.request_id = r.request_id)) as reply
from crm.request r join crm.request_type t on t.code = r.type join crm.party p using (party_id)
where r.number = $1

-- name: lock
-- The request to be changed; $2 a step to check or NULL
select r.request_id, r.number, r.state, r.step, coalesce(t.steps ? $2, true) as has_step,
       (select string_agg(s, ', ') from jsonb_array_elements_text(t.steps) s) as steps
from crm.request r join crm.request_type t on t.code = r.type where r.number = $1 for update of r

-- name: set_state
-- $2 open or waiting; time spent waiting is added to the time limit
update crm.request set state = $2, pause_reason = case when $2 = 'waiting' then $3 end,
       paused_at = case when $2 = 'waiting' then coalesce(paused_at, now()) end,
       due_at = case when $2 = 'open' and paused_at is not null then due_at + (now() - paused_at) else due_at end
where request_id = $1::bigint

-- name: set_step
update crm.request set step = $2 where request_id = $1::bigint

-- name: assign
update crm.request set assigned_to = nullif($2, ''), queue = coalesce($3, queue) where request_id = $1::bigint

-- name: close
update crm.request set state = 'closed', closed_at = now(), outcome = $2, paused_at = null, pause_reason = null,
       step = (select steps ->> -1 from crm.request_type t where t.code = type)
where request_id = $1::bigint

-- name: reopen
update crm.request set state = 'open', closed_at = null, outcome = null, reopened = reopened + 1,
       due_at = greatest(due_at, now() + interval '1 day'),
       step = (select steps ->> 0 from crm.request_type t where t.code = type)
where request_id = $1::bigint
