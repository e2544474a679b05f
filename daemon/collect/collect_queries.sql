-- name: stored_days
-- Polled meters and the end of the first unbroken run of complete days since $1 (0 = nothing).
with done as (
        select b.meter_id, b.day from mdm.block b
         where b.day >= (to_timestamp($1::bigint) at time zone 'UTC')::date and b.n_ok + b.n_est >= b.n_exp
        union
        select r.meter_id, r.day from mdm.register_day r join mdm.meter m using (meter_id)
         where r.day >= (to_timestamp($1::bigint) at time zone 'UTC')::date and r.n >= 86400 / m.period_s
), run as (
        select meter_id, day, lead(day) over (partition by meter_id order by day) as next from done
)
select m.meter_id,
       coalesce(extract(epoch from (min(run.day + 1) filter (where run.next is distinct from run.day + 1))::timestamp), 0)::bigint as until
  from mdm.meter m
  join mdm.meter_model d using (model)
  left join run using (meter_id)
 where d.protocol in ('dlms', 'modbus') and m.state = 'active'
 group by m.meter_id
 order by m.meter_id

-- name: unsealed
copy (select i.meter_id, encode(i.payload, 'hex')
        from mdm.inbox i
        left join mdm.meter_seal s using (meter_id)
       where i.source in (2, 6) and i.recv_at > now() - interval '2 days' and i.seq > coalesce(s.seq, 0)
       order by i.seq) to stdout

-- name: command_due
-- Meters with commands that are due now.
select distinct meter_id from mdm.command
where state in ('approved', 'sent') and next_try_at <= now() and not_before <= now() order by 1 limit 1000

-- name: command_recover
select mdm.command_recover($1)

-- name: command_sweep
select mdm.command_sweep()

-- name: alarms_tell
select mdm.alarms_tell()

-- name: command_claim
select command_id, kind, attempt, sent_before::int as sent_before, verify_only::int as verify_only, params::text as params,
       progress::text as progress, window_wait, capped::int as capped
from mdm.command_claim($1::int, $2)

-- name: command_put_back
select mdm.command_put_back($1::bigint, $2::int, $3, $4::int)

-- name: command_finish
select mdm.command_finish($1::bigint, $2::int, $3, $4, nullif($5, '')::jsonb, $6::jsonb, $7::int)

-- name: command_progress
update mdm.command set progress = $2::jsonb, next_try_at = now() + interval '10 minutes'
where command_id = $1::bigint and state = 'sent'

-- name: command_image
select i.data, i.identifier, i.version from mdm.command c
join mdm.firmware_campaign p using (campaign_id) join mdm.firmware_image i using (image_id)
where c.command_id = $1::bigint and sha256(i.data) = i.digest

-- name: trial_keys
select kind, encode(sealed, 'hex') from mdm.meter_key where meter_id = $1::int and kind in ('kek', 'guek_next', 'gak_next')

-- name: key_put
insert into mdm.meter_key (meter_id, kind, sealed) values ($1::int, $2, decode($3, 'hex'))
on conflict (meter_id, kind) do update set sealed = excluded.sealed, set_at = now()

-- name: trial_keys_end
delete from mdm.meter_key where meter_id = $1::int and kind in ('guek_next', 'gak_next')

-- name: switch_seen
insert into mdm.meter_switch (meter_id, control_state, output_state, control_mode, read_at, command_id)
select $1::int, p->>'control_state', (p->>'output_state')::boolean, (p->>'control_mode')::smallint, now(), $3::bigint
from (select $2::jsonb as p) x
on conflict (meter_id) do update set control_state = excluded.control_state, output_state = excluded.output_state,
        control_mode = excluded.control_mode, read_at = excluded.read_at, command_id = excluded.command_id

-- name: firmware_seen
select mdm.firmware_seen($1::int, $2)

-- name: clock_seen
insert into mdm.meter_clock as k (meter_id, day, at, offset_s, worst_s, limit_s)
values ($1::int, current_date, now(), $2::int, $2::int, $3::int)
on conflict (day, meter_id) do update set at = now(), offset_s = excluded.offset_s, limit_s = excluded.limit_s,
        worst_s = case when abs(excluded.offset_s) > abs(k.worst_s) then excluded.offset_s else k.worst_s end

-- name: clock_correct
-- The drift policy asks for a correction; one at a time, and not more than one in six hours.
insert into mdm.command (branch_id, meter_id, kind, params, reason, state, requested_by, approved_by, approved_at, single_operator, expires_at, next_try_at)
select m.branch_id, m.meter_id, 'clock', $2::jsonb, 'drift policy', 'approved', 'system', 'system', now(), true,
       now() + (select ttl from mdm.command_kind where kind = 'clock'), now()
from mdm.meter m where m.meter_id = $1::int
  and not exists (select from mdm.command c where c.meter_id = m.meter_id and c.kind = 'clock'
                  and (c.ended_at is null or c.ended_at > now() - interval '6 hours'))
on conflict do nothing

-- name: cause_put
select mdm.cause_put($1::int, $2, $3, to_timestamp($4::bigint))

-- name: causes_trim
delete from mdm.meter_cause where until < now() - interval '90 days'

-- name: hole_put
insert into mdm.meter_hole (meter_id, lo, hi) values ($1::int, to_timestamp($2::bigint), to_timestamp($3::bigint))
on conflict (meter_id, lo) do update set hi = greatest(meter_hole.hi, excluded.hi), seen_at = now()

-- name: gaps
select extract(epoch from from_at)::bigint as lo, extract(epoch from to_at)::bigint as hi
from mdm.missing($1::int, $2::smallint, to_timestamp($3::bigint), to_timestamp($4::bigint), $5::int)

-- name: events_until
select coalesce(extract(epoch from max(at))::bigint, 0) as until from mdm.meter_event where meter_id = $1::int and source in (2, 6)

-- name: read_groups
select name, priority, period_s, deadline_s from mdm.read_group order by name
