-- A meter's days are looked up one by one: the keys begin with the day, and a range of days would read
-- every meter's entry of each.

-- Every value of one channel of one meter from @f until before @t, the one that stands for each
-- instant. Single instants (registers read on their own) have period 0. Only meters the caller may see.
create or replace function mdm.readings(m int, ch smallint, f timestamptz, t timestamptz)
returns table (at timestamptz, period_s int, value bigint, status smallint, source smallint)
language plpgsql stable as $$
declare
        day_lo date := (f at time zone 'UTC')::date;
        day_hi date := ((t - interval '1 microsecond') at time zone 'UTC')::date;
        days date[];
        sealed bigint;
        fresh boolean;
begin
        if not exists (select from mdm.meter x where x.meter_id = m) or t <= f then
                return;
        end if;
        -- A range of many years is cut to the days there are.
        if day_hi - day_lo > 500 then
                select greatest(day_lo, least(min(x.lo), day_hi)), least(day_hi, greatest(max(x.hi), day_lo))
                into day_lo, day_hi
                from (select min(day) as lo, max(day) as hi from mdm.block
                      union all select min(day), max(day) from mdm.register_day) x;
        end if;
        days := array(select day_lo + g from generate_series(0, day_hi - day_lo) g);
        sealed := coalesce((select s.seq from mdm.meter_seal s where s.meter_id = m), 0);
        fresh := exists (select from mdm.inbox i where i.meter_id = m and i.seq > sealed);
        if not fresh then
                return query
                select v.* from mdm.block b, mdm.block_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day = any (days) and v.at >= f and v.at < t
                union all
                select v.at, 0, v.value, v.status, v.source
                from mdm.register_day b, mdm.register_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day = any (days) and v.at >= f and v.at < t
                order by 1;
                return;
        end if;
        return query
        with candidate as (
                select 0::bigint as seq, 0::bigint as nr, v.* from mdm.block b, mdm.block_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day = any (days)
                union all
                select 0, 0, v.at, 0, v.value, v.status, v.source
                from mdm.register_day b, mdm.register_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day = any (days)
                union all
                select i.seq, v.nr, v.at, v.period_s, v.value, v.status, i.source
                from mdm.inbox i, mdm.message_values(i.payload, ch) with ordinality v(at, period_s, value, status, nr)
                where i.meter_id = m and i.seq > sealed
                  -- most messages without the channel do not even hold its byte
                  and position(set_byte('\x00'::bytea, 0, ch) in i.payload) > 0
        ), standing as (
                select c.at, c.period_s = 0 as single,
                       mdm.preferred(c.value, c.period_s, c.status, c.source order by c.seq, c.nr) as w
                from candidate c where c.at >= f and c.at < t group by 1, 2
        )
        select s.at, (s.w).period_s, (s.w).value, (s.w).status, (s.w).source from standing s order by 1;
end $$;
