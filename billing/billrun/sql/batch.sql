-- name: run_branch
select r.run_id, r.state, b.branch_id, b.code as branch, b.tz, b.currency, b.minor_digits
from billing.run r join core.branch b using (branch_id)
where r.run_id = $1::bigint

-- name: run_plan
select billing.plan_run($1::bigint) as ranges

-- name: range_take
select no, contracts, bills from billing.run_range where run_id = $1::bigint and not done
order by no limit 1 for update skip locked

-- name: range_wait
-- A range somebody else is at: comes back when they are done (then there is nothing) or gone.
select no, contracts, bills from billing.run_range where run_id = $1::bigint and not done
order by no limit 1 for update

-- name: range_finish
select done, contracts from billing.finish_range($1::bigint, $2::int, $3::int, $4::int, $5::bigint, $6::bigint, $7::bigint)

-- name: range_contracts
-- $1 the run, $2 its contracts to load
with r as (select * from billing.run where run_id = $1::bigint),
c as (
        select c.contract_id, c.number, c.account_id, c.service_point_id, c.tariff, c.class, c.params,
               c.valid * r.period as span, r.period
        from r, unnest($2::bigint[]) as n(contract_id)
        join crm.contract c using (contract_id)
        where c.valid && r.period
)
select c.contract_id, c.number, c.account_id, c.service_point_id, c.tariff, c.class,
       lower(c.span) - date '1970-01-01' as from_day, upper(c.span) - date '1970-01-01' as to_day,
       upper(c.period) - lower(c.period) as full_days, 0 as months,
       case when c.params->>'households' ~ '^[0-9]{1,4}$' then (c.params->>'households')::int
            else s.households end as households,
       coalesce(case when c.params->>'contract_kw' ~ '^[0-9.]{1,12}$' then c.params->>'contract_kw' end,
                s.contract_kw::text, '0') as contract_kw,
       case s.commodity when 'electricity' then 'energy.import' when 'water' then 'water.volume'
                        when 'gas' then 'gas.volume' else 'heat.energy' end as main_code,
       exists (select from billing.bill b where b.contract_id = c.contract_id and b.period && c.span
               and b.state in ('draft', 'held', 'issued')) as billed,
       p.bill_id as previous_bill,
       coalesce(round(p.quantity / (upper(p.period) - lower(p.period)), 6), 0) as previous_daily,
       (select max(x.bill_id) from billing.bill x where x.contract_id = c.contract_id and x.state = 'reversed'
               and x.period && c.span) as rebill_of
from c
join crm.service_point s using (service_point_id)
left join lateral (select * from billing.bill b where b.contract_id = c.contract_id and b.state = 'issued'
                   and upper(b.period) <= lower(c.span) order by upper(b.period) desc limit 1) p on true
order by c.contract_id

-- name: batch_parts
-- $1 contracts, $2 and $3 their first day and the day after their last, as day numbers
with c as (select n.contract_id, c.tariff,
                  daterange(date '1970-01-01' + n.from_day, date '1970-01-01' + n.to_day) as span
           from unnest($1::bigint[], $2::int[], $3::int[]) as n(contract_id, from_day, to_day)
           join crm.contract c using (contract_id))
select c.contract_id, v.code, v.version, encode(v.hash, 'hex') as hash,
       lower(v.valid * c.span) - date '1970-01-01' as from_day,
       upper(v.valid * c.span) - date '1970-01-01' as to_day
from c join billing.tariff_version v on v.code = c.tariff and v.valid && c.span
where v.state = 'active'
order by c.contract_id, lower(v.valid * c.span)

-- name: tariff_document
-- The hash of what stands there now, and what the row says where that is another one.
select document_text, encode(x.now, 'hex') || case when x.now <> hash then ', recorded as ' || encode(hash, 'hex')
                                                   else '' end as hash
from billing.tariff_version cross join lateral (select sha256(convert_to(document_text, 'UTF8')) as now) x where code = $1 and version = $2::int

-- name: batch_given
select c.contract_id, p.key as name, p.value
from crm.contract c, jsonb_each_text(c.params) p
where c.contract_id = any ($1::bigint[]) and p.value ~ '^-?[0-9]{1,15}([.][0-9]{1,9})?$'
  and p.key not in ('households', 'contract_kw')
order by c.contract_id, p.key

-- name: batch_peaks
select b.contract_id, extract(year from lower(b.period))::int as year, extract(month from lower(b.period))::int as month,
       max(b.peak_kw) as value
from billing.bill b
where b.contract_id = any ($1::bigint[]) and b.state = 'issued' and b.peak_kw > 0
group by 1, 2, 3 order by 1, 2, 3

-- name: batch_carry
select b.contract_id, x.name, x.value
from billing.bill b, jsonb_to_recordset(b.carry) as x(name text, value text)
where b.bill_id = any ($1::bigint[])
order by b.contract_id, x.name

-- name: batch_indices
-- The newest value of each index published for a day of the bill or of the month it begins in.
select distinct on (n.contract_id, x.name) n.contract_id, x.name, x.value, x.source, x.day - date '1970-01-01' as day
from unnest($1::bigint[], $2::int[], $3::int[]) as n(contract_id, from_day, to_day)
join billing.index_value x on x.day >= date_trunc('month', date '1970-01-01' + n.from_day)::date
                          and x.day < date '1970-01-01' + n.to_day
order by n.contract_id, x.name, x.day desc

-- name: batch_segments
-- $1 contracts and $2 channel codes in pairs, which may repeat; $3, $4 days; $5 the branch's time zone
with n as (select distinct n.contract_id, n.code, c.service_point_id,
                  (date '1970-01-01' + n.from_day)::timestamp at time zone $5 as t0,
                  (date '1970-01-01' + n.to_day)::timestamp at time zone $5 as t1
           from unnest($1::bigint[], $2::text[], $3::int[], $4::int[]) as n(contract_id, code, from_day, to_day)
           join crm.contract c using (contract_id))
select n.contract_id, i.installation_id, i.meter_id, m.serial, ch.channel, ch.code, ch.unit, ch.scaler, i.multiplier,
       extract(epoch from greatest(lower(i.valid), n.t0))::bigint as from_s,
       extract(epoch from least(upper(i.valid), n.t1))::bigint as to_s, d.digits,
       coalesce((select x.channel from mdm.channel x where x.register_of = ch.channel), 0) as register
from n
join mdm.channel ch on ch.code = n.code and ch.kind = 'interval'
join crm.installation i on i.service_point_id = n.service_point_id and i.valid && tstzrange(n.t0, n.t1)
join mdm.meter m using (meter_id)
join mdm.meter_model d using (model)
order by n.contract_id, n.code, from_s

-- name: scan_bounds
-- What the statements below read: meters $1 in the days $2. Settings, because COPY takes no parameters.
select set_config('headrace.scan_meters', $1, true), set_config('headrace.scan_days', $2, true),
       set_config('headrace.scan_lo', $3, true), set_config('headrace.scan_hi', $4, true)

-- name: scan_blocks
-- Meters that lie close together: a stretch of each day.
copy (select b.meter_id, b.day - date '1970-01-01', b.data from mdm.block b
      where b.day = any (current_setting('headrace.scan_days')::date[])
        and b.meter_id between current_setting('headrace.scan_lo')::int and current_setting('headrace.scan_hi')::int)
to stdout (format binary)

-- name: scan_blocks_listed
copy (select b.meter_id, b.day - date '1970-01-01', b.data from mdm.block b
      where b.day = any (current_setting('headrace.scan_days')::date[])
        and b.meter_id = any (current_setting('headrace.scan_meters')::int[]))
to stdout (format binary)

-- name: scan_registers
copy (select b.meter_id, b.day - date '1970-01-01', b.data from mdm.register_day b
      where b.day = any (current_setting('headrace.scan_days')::date[])
        and b.meter_id between current_setting('headrace.scan_lo')::int and current_setting('headrace.scan_hi')::int)
to stdout (format binary)

-- name: scan_registers_listed
copy (select b.meter_id, b.day - date '1970-01-01', b.data from mdm.register_day b
      where b.day = any (current_setting('headrace.scan_days')::date[])
        and b.meter_id = any (current_setting('headrace.scan_meters')::int[]))
to stdout (format binary)

-- name: scan_unsealed
-- Messages not merged into blocks yet.
copy (select i.meter_id, 0, i.payload from mdm.inbox i left join mdm.meter_seal s using (meter_id)
      where i.meter_id between current_setting('headrace.scan_lo')::int and current_setting('headrace.scan_hi')::int
        and i.seq > coalesce(s.seq, 0))
to stdout (format binary)

-- name: scan_unsealed_listed
copy (select i.meter_id, 0, i.payload from mdm.inbox i left join mdm.meter_seal s using (meter_id)
      where i.meter_id = any (current_setting('headrace.scan_meters')::int[]) and i.seq > coalesce(s.seq, 0))
to stdout (format binary)

-- name: batch_readings
-- Readings as the store merges them, for meters with late messages; registers with the instant at the end.
select s.ord, string_agg(concat_ws(',', extract(epoch from r.at)::bigint, r.period_s, r.value, r.status, r.source), ';'
                         order by r.at, r.period_s desc) as data
from unnest($1::int[], $2::smallint[], $3::bigint[], $4::bigint[]) with ordinality as s(meter, channel, f, t, ord)
cross join lateral mdm.readings(s.meter, s.channel, to_timestamp(s.f), to_timestamp(s.t)) r
group by s.ord order by s.ord

-- name: stage_open
select billing.stage_open()

-- name: stage_bills
copy pg_temp.billrun_bill from stdin (format binary)

-- name: stage_determinants
copy pg_temp.billrun_determinant from stdin (format binary)

-- name: stage_lines
copy pg_temp.billrun_line from stdin (format binary)

-- name: stage_save
select saved, skipped from billing.save_staged($1::bigint)

-- name: batch_blocked
-- The first open blocking question of validation about each segment's readings.
select s.ord, x.text
from unnest($1::int[], $2::smallint[], $3::bigint[], $4::bigint[]) with ordinality as s(meter, channel, f, t, ord)
cross join lateral (
        select format('Meter %s, %s: %s', m.serial, e.rule, e.text) as text
        from vee.exception e join mdm.meter m using (meter_id)
        where e.meter_id = s.meter and e.state = 'open' and e.severity = 'block'
          and (e.channel = s.channel or e.channel in (select c.channel from mdm.channel c where c.register_of = s.channel))
          and e.from_at < to_timestamp(s.t) and e.to_at > to_timestamp(s.f)
        order by e.from_at, e.exception_id limit 1) x
order by s.ord

-- name: frozen_branch
select b.branch_id, b.code as branch, x.inputs->>'tz' as tz, x.currency, b.minor_digits
from billing.bill x join core.branch b using (branch_id)
where x.bill_id = $1::bigint

-- name: frozen_contracts
select b.contract_id, c.number, b.account_id, b.service_point_id, c.tariff, c.class,
       x.from_day, x.to_day, x.full_days, x.months, x.households, x.contract_kw, x.main_code,
       false as billed, b.previous_bill_id as previous_bill, x.previous_daily, b.rebill_of
from billing.bill b
join crm.contract c using (contract_id)
cross join jsonb_to_record(b.inputs->'contract') as x(from_day int, to_day int, full_days int, months int,
        households int, contract_kw text, main_code text, previous_daily text)
where b.bill_id = $1::bigint

-- name: frozen_parts
select b.contract_id, x.code, x.version, x.hash, x.from_day, x.to_day
from billing.bill b, jsonb_to_recordset(b.inputs->'parts') as x(code text, version int, hash text, from_day int, to_day int)
where b.bill_id = $1::bigint order by x.from_day

-- name: frozen_given
select b.contract_id, x.name, x.value
from billing.bill b, jsonb_to_recordset(b.inputs->'given') as x(name text, value text)
where b.bill_id = $1::bigint order by x.name

-- name: frozen_peaks
select b.contract_id, x.year, x.month, x.value
from billing.bill b, jsonb_to_recordset(b.inputs->'peaks') as x(year int, month int, value text)
where b.bill_id = $1::bigint order by x.year, x.month

-- name: frozen_indices
select b.contract_id, x.name, x.value, x.source, x.day
from billing.bill b, jsonb_to_recordset(b.inputs->'indices') as x(name text, value text, source text, day int)
where b.bill_id = $1::bigint order by x.name

-- name: frozen_carry
select b.contract_id, x.name, x.value
from billing.bill b, jsonb_to_recordset(b.inputs->'carry') as x(name text, value text)
where b.bill_id = $1::bigint order by x.name

-- name: frozen_segments
select b.contract_id, x.installation_id, x.meter_id, x.serial, x.channel, x.code, x.unit, x.scaler, x.multiplier,
       x.from_s, x.to_s, d.digits,
       coalesce((select y.channel from mdm.channel y where y.register_of = x.channel), 0) as register
from billing.bill b
cross join jsonb_to_recordset(b.inputs->'segments') as x(installation_id bigint, meter_id int, serial text,
        channel smallint, code text, unit text, scaler smallint, multiplier text, from_s bigint, to_s bigint)
join mdm.meter m on m.meter_id = x.meter_id
join mdm.meter_model d using (model)
where b.bill_id = $1::bigint order by x.code, x.from_s
