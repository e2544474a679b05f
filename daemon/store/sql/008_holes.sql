-- A period a meter once had nothing for is asked for again after a day: what made it silent (a clock that was off, a
-- profile being rebuilt) may be over.
comment on table mdm.meter_hole is 'Periods for which the meter itself had nothing when it was asked';

create or replace function mdm.missing(m int, ch smallint, lo timestamptz, hi timestamptz, period_s int)
returns table (from_at timestamptz, to_at timestamptz) language sql stable as $$
        with slot as (
                select g as at from generate_series(lo, hi - make_interval(secs => period_s), make_interval(secs => period_s)) g
        ), shift as (
                select case when ch >= 128 then make_interval(secs => period_s) else interval '0' end as by
        ), have as (
                select r.at - s.by as at from shift s, mdm.readings(m, ch, lo + s.by, hi + s.by) r
        ), gap as (
                select slot.at, extract(epoch from slot.at)::bigint / period_s - row_number() over (order by slot.at) as run
                from slot
                where not exists (select from have h where h.at = slot.at)
                  and not exists (select from mdm.meter_hole x where x.meter_id = m and x.lo <= slot.at and x.hi > slot.at
                                  and x.seen_at > now() - interval '1 day')
        )
        select min(at), max(at) + make_interval(secs => period_s) from gap group by run order by 1
$$;
