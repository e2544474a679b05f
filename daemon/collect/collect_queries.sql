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
