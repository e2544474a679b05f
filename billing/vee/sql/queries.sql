-- name: run_create
-- $1 branch code, $2 first day, $3 last day + 1, $4 actor
insert into vee.run (branch_id, period, rule_set, actor)
select b.branch_id, daterange($2::date, $3::date), r.version, $4
from core.branch b,
     lateral (select version from vee.rule_set s where s.branch_id is null or s.branch_id = b.branch_id
              order by (s.branch_id is not null) desc, version desc limit 1) r
where b.code = $1
returning run_id

-- name: run_load
select r.run_id, r.branch_id, b.tz, s.rules,
       (s.rules->>'spike_ratio')::bigint as spike_ratio, (s.rules->>'spike_skip_w')::bigint as spike_skip_w,
       (s.rules->>'sum_ratio')::bigint as sum_ratio, (s.rules->>'sum_resolution')::bigint as sum_resolution,
       (s.rules->>'low')::bigint as low, (s.rules->>'high')::bigint as high,
       (s.rules->>'zero_days')::bigint as zero_days, (s.rules->>'same_count')::bigint as same_count,
       (s.rules->>'linear_gap_s')::bigint as linear_gap_s, (s.rules->>'like_days')::bigint as like_days,
       (s.rules->>'like_lookback_days')::bigint as like_lookback_days,
       extract(epoch from (lower(r.period)::timestamp at time zone b.tz))::bigint as from_utc,
       extract(epoch from (upper(r.period)::timestamp at time zone b.tz))::bigint as to_utc,
       (select count(*) from mdm.meter m where m.branch_id = r.branch_id and m.state = 'active') as total
from vee.run r join core.branch b using (branch_id) join vee.rule_set s on s.version = r.rule_set
where r.run_id = $1::bigint

-- name: run_meters
-- $1 branch, $2 and $3 instants, $4 after this meter, $5 only this serial or null: what is to be
-- validated next, one row per meter and stretch of its installation
select m.meter_id, m.serial, m.period_s, c.channel, c.unit = 'Wh' as energy, g.channel as register,
       extract(epoch from greatest(lower(i.valid), to_timestamp($2::bigint)))::bigint as from_utc,
       extract(epoch from least(coalesce(upper(i.valid), 'infinity'), to_timestamp($3::bigint)))::bigint as to_utc,
       coalesce((s.contract_kw * 1100)::bigint, 0) as max_w,
       exists (select from mdm.channel x where x.code = 'energy.export' and c.code = 'energy.import') as is_import
from mdm.meter m
join crm.installation i on i.meter_id = m.meter_id and i.valid && tstzrange(to_timestamp($2::bigint), to_timestamp($3::bigint))
join crm.service_point s using (service_point_id)
join mdm.channel c on c.code = case m.commodity when 'electricity' then 'energy.import' when 'water' then 'water.volume'
                                                when 'gas' then 'gas.volume' else 'heat.energy' end
left join mdm.channel g on g.register_of = c.channel
where m.branch_id = $1::smallint and m.meter_id > $4::int and m.state in ('active', 'removed')
  and ($5::text is null or m.serial = $5)
order by m.meter_id, lower(i.valid) limit 40

-- name: usage
select extract(epoch from at)::bigint as at, period_s, value, status & 15 as status
from mdm.usage($1::int, $2::smallint, to_timestamp($3::bigint), to_timestamp($4::bigint)) order by at

-- name: has_intervals
-- Two days tell it for most meters; only one that was silent then is looked at whole.
select case when exists (select from mdm.readings($1::int, $2::smallint, to_timestamp($3::bigint),
                                                  least(to_timestamp($3::bigint) + interval '2 days', to_timestamp($4::bigint))) r
                         where r.period_s > 0) then true
            else exists (select from mdm.readings($1::int, $2::smallint, to_timestamp($3::bigint), to_timestamp($4::bigint)) r
                         where r.period_s > 0) end as yes

-- name: usage_daily
-- Average use a day, null when nine tenths of the time are not covered.
select (sum(value) * 86400 / nullif(sum(period_s), 0))::bigint as daily
from mdm.usage($1::int, $2::smallint, to_timestamp($3::bigint), to_timestamp($4::bigint))
having sum(period_s) * 10 >= ($4::bigint - $3::bigint) * 9

-- name: register_pair
-- First and last register reading of the period.
select extract(epoch from min(at))::bigint as from_utc, extract(epoch from max(at))::bigint as to_utc,
       (array_agg(value order by at desc))[1] - (array_agg(value order by at))[1] as delta
from mdm.readings($1::int, $2::smallint, to_timestamp($3::bigint), to_timestamp($4::bigint) + interval '1 microsecond')
where status & 15 in (0, 1, 6)
having count(*) > 1

-- name: put_estimate
-- $1 meter, $2 channel, $3 start, $4 period, $5 status, $6 values, $7 run, $8 branch, $9 method
with e as (insert into vee.estimate (meter_id, channel, at, run_id, branch_id, period_s, method, "values")
           values ($1::int, $2::smallint, to_timestamp($3::bigint), $7::bigint, $8::smallint, $4::int, $9, $6::bigint[])
           on conflict do nothing returning meter_id)
select mdm.put_intervals($1::int, $2::smallint, to_timestamp($3::bigint), $4::int, $5::smallint, 4::smallint, $6::bigint[])
from e

-- name: put_register_estimate
-- $1 meter, $2 register channel, $3 start of the gap, $4 period, $5 the use of each interval, $6 channel, $7 run,
-- $8 branch: the register at the end of each interval but the last, which was read
with e as (insert into vee.estimate (meter_id, channel, at, run_id, branch_id, period_s, method, "values")
           values ($1::int, $6::smallint, to_timestamp($3::bigint), $7::bigint, $8::smallint, $4::int, 'register', $5::bigint[])
           on conflict do nothing returning meter_id),
     r as (select value from mdm.register_at($1::int, $2::smallint, to_timestamp($3::bigint))),
     v as (select o, sum(x) over (order by o) as used from unnest($5::bigint[]) with ordinality as t(x, o))
select mdm.put_register($1::int, $2::smallint, to_timestamp($3::bigint + v.o * $4::int), 2::smallint, 4::smallint,
                        (r.value + v.used)::bigint)
from e, r, v where v.o < cardinality($5::bigint[])

-- name: findings_store
-- $1 run, $2 meter, $3 channel, $4 and $5 instants of the period, $6 findings: what is found again
-- stays open, what is not is resolved, what a person accepted stays accepted
with found as (
        select x.rule, x.severity, to_timestamp(x."from") as from_at, to_timestamp(x."to") as to_at, x.value, x."limit", x.text
        from jsonb_to_recordset($6::jsonb) as x(rule text, severity text, "from" bigint, "to" bigint, value bigint,
                                                "limit" bigint, text text)),
     gone as (
        update vee.exception e set state = 'resolved', closed_by = 'vee', closed_at = now()
        where e.meter_id = $2::int and e.channel = $3::smallint and e.state = 'open'
          and e.from_at >= to_timestamp($4::bigint) and e.from_at < to_timestamp($5::bigint)
          and not exists (select from found f where f.rule = e.rule and f.from_at = e.from_at)),
     fresh as (
        insert into vee.exception (branch_id, run_id, meter_id, channel, rule, severity, from_at, to_at, value, "limit", text)
        select r.branch_id, r.run_id, $2::int, $3::smallint, f.rule, f.severity, f.from_at, f.to_at, f.value, f."limit", f.text
        from found f, vee.run r where r.run_id = $1::bigint
        on conflict (meter_id, channel, rule, from_at) where state in ('open', 'accepted')
        do update set to_at = excluded.to_at, value = excluded.value, "limit" = excluded."limit", text = excluded.text
        where exception.state = 'open'
        returning exception_id, severity, (xmax = 0) as is_new)
select coalesce(json_agg(exception_id) filter (where severity = 'block' and is_new), '[]')::text as blocking from fresh

-- name: run_done
update vee.run set state = 'done', done_at = now(), meters = $2::int, estimated = $3::bigint, findings = $4::int
where run_id = $1::bigint

-- name: run_list
select json_build_object('items', coalesce(json_agg(json_build_object('run', r.run_id, 'branch', b.code,
        'from', lower(r.period), 'to', upper(r.period), 'state', r.state, 'meters', r.meters, 'estimated', r.estimated,
        'findings', r.findings, 'rule_set', r.rule_set, 'actor', r.actor, 'created_at', r.created_at)
        order by r.run_id desc), '[]'))::text as reply
from (select * from vee.run order by run_id desc limit 100) r join core.branch b using (branch_id)

-- name: exception_list
-- $1 state, $2 branch code, $3 meter serial, $4 severity, $5 after this id, $6 how many
select json_build_object('items', coalesce(json_agg(x order by x.exception), '[]'))::text as reply
from (select e.exception_id as exception, b.code as branch, m.serial as meter, c.code as channel, e.rule, e.severity, e.state,
             e.from_at as "from", e.to_at as "to", e.value, e."limit", e.text, e.note, e.closed_by, e.closed_at
      from vee.exception e join core.branch b using (branch_id) join mdm.meter m using (meter_id)
      join mdm.channel c using (channel)
      where e.state = coalesce($1::text, 'open') and ($2::text is null or b.code = $2)
        and ($3::text is null or m.serial = $3) and ($4::text is null or e.severity = $4)
        and e.exception_id > coalesce($5::bigint, 0)
      order by e.exception_id limit coalesce($6::int, 100)) x

-- name: exception_accept
update vee.exception set state = 'accepted', closed_by = $2, closed_at = now(), note = $3
where exception_id = $1::bigint and state = 'open'
returning json_build_object('exception', exception_id, 'state', state, 'note', note)::text as reply

-- name: exception_state
select state from vee.exception where exception_id = $1::bigint

-- name: rule_list
select json_build_object('items', coalesce(json_agg(json_build_object('version', r.version, 'branch', b.code, 'rules', r.rules,
        'note', r.note) order by r.version desc), '[]'))::text as reply
from vee.rule_set r left join core.branch b using (branch_id)

-- name: branch_known
select branch_id from core.branch where code = $1
