-- Hourly use of the last two whole months and this one so far for every meter, a register, an event;
-- the last meter of a branch stops in the middle of last month.
select set_config('headrace.branches', '*', false);
with span as (
        select date_trunc('month', now() at time zone 'Asia/Ho_Chi_Minh') - interval '2 months' as from_day
), meter as (
        select meter_id, row_number() over (partition by branch_id order by meter_id) as n from mdm.meter
), day as (
        select m.meter_id, m.n, d from meter m, span,
               generate_series(span.from_day, (now() at time zone 'Asia/Ho_Chi_Minh')::date - interval '1 day', interval '1 day') d
        where m.n < 20 or d < span.from_day + interval '45 days'
)
select count(mdm.put_intervals(meter_id, 1::smallint, d at time zone 'Asia/Ho_Chi_Minh', 3600, 0::smallint, 5::smallint,
        (select array_agg((80 + n * 9 + 150 * exp(-((h - 19) ^ 2) / 8.0) + 70 * exp(-((h - 7) ^ 2) / 5.0)
                           + (meter_id * 7919 + extract(doy from d)::int * 104729 + h * 1299709) % 60)::bigint order by h)
         from generate_series(0, 23) h)))
from day;
select count(mdm.put_register(meter_id, 129::smallint, now() - interval '1 hour', 0::smallint, 5::smallint, 1234567 + meter_id * 1000))
from mdm.meter;
