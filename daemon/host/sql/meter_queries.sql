-- Operations on meters and readings.

-- name: meter_list
select coalesce(json_agg(x order by x.meter_id), '[]') as items, max(x.meter_id) as last, count(*) as n from (
        select m.meter_id, m.serial, m.maker, m.model, m.commodity, d.protocol, m.identity, b.code as branch,
               m.state, m.period_s,
               greatest((select max(i.recv_at) from mdm.inbox i where i.meter_id = m.meter_id),
                        (select s.sealed_at from mdm.meter_seal s where s.meter_id = m.meter_id)) as last_received
        from mdm.meter m join mdm.meter_model d using (model) join core.branch b using (branch_id)
        where ($1 = '' or lower(m.serial) like lower($1) || '%' or m.identity = $1 or m.identity = upper($1))
          and ($2 = '' or b.code = $2) and ($3 = '' or m.state = $3) and m.meter_id > $4::int
        order by m.meter_id limit $5::int) x

-- name: meter_find
-- By number or serial; a serial of digits wins over a number.
select m.meter_id, m.serial from mdm.meter m
where m.serial = $1 or ($1 ~ '^[0-9]{1,9}$' and m.meter_id = $1::int)
order by (m.serial = $1) desc, m.meter_id limit 2

-- name: meter_show
select json_build_object('meter_id', m.meter_id, 'serial', m.serial, 'maker', m.maker, 'model', m.model,
       'commodity', m.commodity, 'protocol', d.protocol, 'identity', m.identity, 'address', m.address,
       'period_s', m.period_s, 'branch', b.code, 'state', m.state, 'created_at', m.created_at,
       'keys', coalesce((select json_agg(k.kind order by k.kind) from mdm.meter_key k where k.meter_id = m.meter_id), '[]'),
       'last_received', greatest((select max(i.recv_at) from mdm.inbox i where i.meter_id = m.meter_id),
                                 (select s.sealed_at from mdm.meter_seal s where s.meter_id = m.meter_id)),
       'days', (select json_build_object('first', min(k.day), 'last', max(k.day), 'sealed', count(*))
                from mdm.block k where k.meter_id = m.meter_id),
       'registers', coalesce((select json_agg(json_build_object('channel', c.code, 'name', c.name, 'unit', c.unit,
                'scaler', c.scaler, 'at', r.at, 'value', r.value, 'status', r.status) order by c.channel)
                from mdm.channel c cross join lateral mdm.register_at(m.meter_id, c.channel, now()) r
                where c.kind = 'register' and c.commodity in (m.commodity, 'any')), '[]'),
       'events', coalesce((select json_agg(e) from (select e.at, e.code, e.text from mdm.meter_event e
                where e.meter_id = m.meter_id order by e.at desc limit 20) e), '[]')) as item
from mdm.meter m join mdm.meter_model d using (model) join core.branch b using (branch_id)
where m.meter_id = $1::int

-- name: channel_find
select channel, code, unit, scaler, kind from mdm.channel
where code = $1 or ($1 ~ '^[0-9]{1,3}$' and channel = $1::int)

-- name: curve_usage
select coalesce(json_agg(json_build_object('at', u.at, 'period_s', u.period_s, 'value', u.value, 'status', u.status)
                         order by u.at), '[]') as items
from mdm.usage($1::int, $2::smallint, $3::timestamptz, $4::timestamptz) u

-- name: curve_readings
select coalesce(json_agg(json_build_object('at', r.at, 'period_s', r.period_s, 'value', r.value, 'status', r.status,
                                           'source', r.source) order by r.at), '[]') as items
from mdm.readings($1::int, $2::smallint, $3::timestamptz, $4::timestamptz) r

-- name: completeness
with b as (
        select branch_id, code from core.branch where core.branch_allowed(branch_id) and ($2 = '' or code = $2)
), fleet as (
        select m.branch_id, count(*) as meters from mdm.meter m where m.state = 'active' group by 1
)
select coalesce(json_agg(json_build_object('branch', b.code, 'meters', coalesce(f.meters, 0),
       'complete', coalesce(d.n_meter, 0), 'expected', coalesce(d.n_exp, 0), 'measured', coalesce(d.n_ok, 0),
       'estimated', coalesce(d.n_est, 0), 'missing', coalesce(d.n_exp - d.n_ok - d.n_est, 0),
       'percent', case when d.n_exp > 0 then round(100.0 * d.n_ok / d.n_exp, 3) end,
       'unread', greatest(coalesce(f.meters, 0) - coalesce(d.n_meter, 0), 0), 'at', d.at) order by b.code), '[]') as items
from b left join fleet f using (branch_id)
     left join mdm.branch_day d on d.branch_id = b.branch_id and d.day = $1::date

-- name: meter_import
-- One row a meter of the document: its number, and what became of it.
with doc as (
        select x.*, b.branch_id from jsonb_to_recordset($1::jsonb) as
               x(serial text, maker text, model text, commodity text, identity text, address jsonb, period_s int,
                 branch text, nr bigint)
        left join core.branch b on b.code = x.branch
), put as (
        insert into mdm.meter as m (branch_id, serial, maker, model, commodity, identity, address, period_s)
        select branch_id, serial, maker, model, commodity, identity, address, period_s from doc
        on conflict (maker, serial) do update set branch_id = excluded.branch_id, model = excluded.model,
                commodity = excluded.commodity, identity = excluded.identity, address = excluded.address,
                period_s = excluded.period_s
        where (m.branch_id, m.model, m.commodity, m.identity, m.address, m.period_s) is distinct from
              (excluded.branch_id, excluded.model, excluded.commodity, excluded.identity, excluded.address, excluded.period_s)
        returning m.meter_id, m.maker, m.serial, xmax = 0 as created)
select coalesce(p.meter_id, m.meter_id) as meter_id,
       case when p.created then 'created' when p.meter_id is null then 'unchanged' else 'updated' end as outcome
from doc d left join put p on p.maker = d.maker and p.serial = d.serial
     left join mdm.meter m on m.maker = d.maker and m.serial = d.serial
order by d.nr

-- name: import_check
-- What of the document cannot be: the first of it, and why.
select x.nr as i, x.serial,
       case when b.branch_id is null then 'there is no branch "' || coalesce(x.branch, '') || '"'
            when d.model is null then 'there is no model "' || coalesce(x.model, '') || '"'
            when d.protocol <> coalesce(x.protocol, d.protocol) then 'model ' || x.model || ' speaks ' || d.protocol || ', not ' || x.protocol
            else 'it stands in the document twice' end as why
from (select y.*, row_number() over (partition by y.maker, y.serial order by y.nr) as copy
      from jsonb_to_recordset($1::jsonb) as
           y(serial text, maker text, model text, protocol text, identity text, branch text, nr bigint)) x
left join core.branch b on b.code = x.branch and core.branch_allowed(b.branch_id)
left join mdm.meter_model d using (model)
where b.branch_id is null or d.model is null or d.protocol <> coalesce(x.protocol, d.protocol) or x.copy > 1
order by x.nr limit 1

-- name: keys_put
insert into mdm.meter_key (meter_id, kind, sealed)
select m, k, decode(s, 'hex') from json_to_recordset($1::json) as x(m int, k text, s text)
on conflict (meter_id, kind) do update set sealed = excluded.sealed, set_at = now()

-- name: quarantine_due_for
with due as (
        update mdm.quarantine q set state = 'due'
        from mdm.meter m join mdm.meter_model d using (model)
        where q.state = 'held' and q.protocol = d.protocol and m.meter_id = any ($1::int[])
          and (q.identity = m.identity or (d.protocol = 'dlms' and upper(q.identity) = m.identity))
        returning 1)
select count(*) as n from due

-- name: quarantine_list
select coalesce(json_agg(x order by x.quarantine_id desc), '[]') as items, min(x.quarantine_id) as last, count(*) as n from (
        select quarantine_id, recv_at, protocol, identity, reason, detail, source, state, tried_at, meter_id,
               length(payload) as bytes, encode(substring(payload for 256), 'hex') as payload
        from mdm.quarantine
        where ($1 = '' or state = $1) and ($2 = '' or identity = $2) and ($3::bigint = 0 or quarantine_id < $3::bigint)
        order by quarantine_id desc limit $4::int) x

-- name: quarantine_replay
with due as (
        update mdm.quarantine set state = 'due'
        where state = 'held' and ($1 = '' or identity = $1) and ($2 = '' or protocol = $2)
          and ($3::bigint = 0 or quarantine_id = $3::bigint)
        returning 1)
select count(*) as n from due

-- name: registry_notify
select nextval('mdm.registry_revision'), pg_notify('headrace_registry', '')

-- name: seal_scope
-- Sealing works on all branches, whoever asked for it.
select set_config('headrace.branches', '*', true)

-- name: seal_total
select coalesce(max(meter_id), 0) as n from mdm.meter
