-- Readings as plain rows, from blocks and from what is not sealed yet.

-- 3 edited, 2 measured (raw, valid, read by a customer), 1 estimated, 0 rejected. The same as in block.c.
create function mdm.status_rank(status smallint) returns int
language sql immutable parallel safe as $$
        select case status & 15 when 6 then 3 when 0 then 2 when 1 then 2 when 7 then 2 when 8 then 0 else 1 end
$$;

create type mdm.candidate as (value bigint, period_s int, status smallint, source smallint);

-- Which of two values for one instant stands: @had came first. The same as block_prefers().
create function mdm.prefer(had mdm.candidate, v bigint, p int, st smallint, src smallint)
returns mdm.candidate language plpgsql immutable parallel safe as $$
declare
        fresh mdm.candidate := (v, p, st, src);
        a int;
        b int;
begin
        if had is null or had.value is null then
                return fresh;
        end if;
        a := mdm.status_rank(had.status);
        b := mdm.status_rank(st);
        if b = 0 then
                return case when a = 3 then had else fresh end;
        elsif a = 0 then
                return case when b = 2 and v = had.value then had else fresh end;
        elsif b <> a then
                return case when b > a then fresh else had end;
        elsif v = had.value and p = had.period_s and (st = had.status or st = 0) then
                return had;
        end if;
        return fresh;
end $$;

create aggregate mdm.preferred(v bigint, p int, st smallint, src smallint) (
        sfunc = mdm.prefer, stype = mdm.candidate, parallel = safe);

-- The values of one channel in a block (daemon/store/block.h).
create function mdm.block_values(data bytea, day date, ch smallint)
returns table (at timestamptz, period_s int, value bigint, status smallint, source smallint)
language plpgsql immutable parallel safe as $$
declare
        p int := 1;
        n int := length(data);
        b int;
        z bigint;
        sh int;
        seg_end int;
        seg_ch int;
        head int[];
        runs int[];
        t0 double precision := extract(epoch from day::timestamp);
        minute int;
begin
        -- Once out of TOAST: get_byte() would fetch the whole value for every byte.
        data := data || ''::bytea;
        while p < n loop
                seg_ch := get_byte(data, p);
                p := p + 1;
                z := 0; sh := 0;
                loop
                        b := get_byte(data, p); p := p + 1;
                        z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                        exit when b < 128;
                end loop;
                seg_end := p + z::int;
                if seg_ch <> ch then
                        p := seg_end;
                        continue;
                end if;
                head := '{}';
                for i in 1..3 loop               -- first minute, period in minutes, number of runs
                        z := 0; sh := 0;
                        loop
                                b := get_byte(data, p); p := p + 1;
                                z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                                exit when b < 128;
                        end loop;
                        head := head || z::int;
                end loop;
                runs := '{}';
                for i in 1..head[3] loop
                        z := 0; sh := 0;
                        loop
                                b := get_byte(data, p); p := p + 1;
                                z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                                exit when b < 128;
                        end loop;
                        runs := runs || z::int || get_byte(data, p) || get_byte(data, p + 1);
                        p := p + 2;
                end loop;
                minute := head[1];
                period_s := 60 * head[2];
                value := 0;
                for i in 1..head[3] loop
                        status := runs[3 * i - 1];
                        source := runs[3 * i];
                        if status = 255 then     -- a gap
                                minute := minute + head[2] * runs[3 * i - 2];
                                continue;
                        end if;
                        for k in 1..runs[3 * i - 2] loop
                                b := get_byte(data, p); p := p + 1;
                                z := b & 127;
                                if b > 127 then
                                        sh := 7;
                                        loop
                                                b := get_byte(data, p); p := p + 1;
                                                z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                                                exit when b < 128;
                                        end loop;
                                end if;
                                value := value + (((z >> 1) & 9223372036854775807) # (-(z & 1)));
                                at := to_timestamp(t0 + 60 * minute);
                                return next;
                                minute := minute + head[2];
                        end loop;
                end loop;
        end loop;
end $$;

-- The single instants of one channel in a register_day.
create function mdm.register_values(data bytea, day date, ch smallint)
returns table (at timestamptz, value bigint, status smallint, source smallint)
language plpgsql immutable parallel safe as $$
declare
        p int := 1;
        n int := length(data);
        b int;
        z bigint;
        sh int;
        seg_ch int;
        t0 double precision := extract(epoch from day::timestamp);
        second int;
begin
        -- Once out of TOAST: get_byte() would fetch the whole value for every byte.
        data := data || ''::bytea;
        while p < n loop
                seg_ch := get_byte(data, p);
                p := p + 1;
                z := 0; sh := 0;
                loop
                        b := get_byte(data, p); p := p + 1;
                        z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                        exit when b < 128;
                end loop;
                second := z;
                status := get_byte(data, p);
                source := get_byte(data, p + 1);
                p := p + 2;
                z := 0; sh := 0;
                loop
                        b := get_byte(data, p); p := p + 1;
                        z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                        exit when b < 128;
                end loop;
                value := ((z >> 1) & 9223372036854775807) # (-(z & 1));
                at := to_timestamp(t0 + second);
                if seg_ch = ch then
                        return next;
                end if;
        end loop;
end $$;

-- The values of one channel in a received message (daemon/store/message.h).
create function mdm.message_values(payload bytea, ch smallint)
returns table (at timestamptz, period_s int, value bigint, status smallint)
language plpgsql immutable parallel safe as $$
declare
        p int := 0;
        n int := length(payload);
        b int;
        z bigint;
        sh int;
        kind int;
        seg_ch int := 0;
        wanted int;
        head bigint[];
        t bigint;
begin
        -- Once out of TOAST: get_byte() would fetch the whole value for every byte.
        payload := payload || ''::bytea;
        while p < n loop
                kind := get_byte(payload, p);
                p := p + 1;
                if kind <> 3 then
                        seg_ch := get_byte(payload, p);
                        p := p + 1;
                end if;
                wanted := case kind when 2 then 1 else 3 end;
                head := '{}';
                for i in 1..wanted loop
                        z := 0; sh := 0;
                        loop
                                b := get_byte(payload, p); p := p + 1;
                                z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                                exit when b < 128;
                        end loop;
                        head := head || z;
                end loop;
                if kind = 3 then
                        p := p + head[3]::int;
                        continue;
                end if;
                status := get_byte(payload, p);
                p := p + 1;
                value := 0;
                if kind = 2 then
                        period_s := 0;
                        t := 946684800 + head[1];
                        wanted := 1;
                else
                        period_s := 60 * head[2];
                        t := 946684800 + 60 * head[1];
                        wanted := head[3];
                end if;
                for k in 1..wanted loop
                        b := get_byte(payload, p); p := p + 1;
                        z := b & 127;
                        if b > 127 then
                                sh := 7;
                                loop
                                        b := get_byte(payload, p); p := p + 1;
                                        z := z | ((b & 127)::bigint << sh); sh := sh + 7;
                                        exit when b < 128;
                                end loop;
                        end if;
                        value := value + (((z >> 1) & 9223372036854775807) # (-(z & 1)));
                        if seg_ch = ch then
                                at := to_timestamp(t);
                                return next;
                        end if;
                        t := t + period_s;
                end loop;
        end loop;
end $$;

-- Every value of one channel of one meter from @f until before @t, the one that stands for each
-- instant. Single instants (registers read on their own) have period 0. Only meters the caller may see.
create function mdm.readings(m int, ch smallint, f timestamptz, t timestamptz)
returns table (at timestamptz, period_s int, value bigint, status smallint, source smallint)
language plpgsql stable as $$
declare
        day_lo date := (f at time zone 'UTC')::date;
        day_hi date := ((t - interval '1 microsecond') at time zone 'UTC')::date;
        sealed bigint;
        fresh boolean;
begin
        if not exists (select from mdm.meter x where x.meter_id = m) or t <= f then
                return;
        end if;
        sealed := coalesce((select s.seq from mdm.meter_seal s where s.meter_id = m), 0);
        fresh := exists (select from mdm.inbox i where i.meter_id = m and i.seq > sealed);
        if not fresh then
                return query
                select v.* from mdm.block b, mdm.block_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day between day_lo and day_hi and v.at >= f and v.at < t
                union all
                select v.at, 0, v.value, v.status, v.source
                from mdm.register_day b, mdm.register_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day between day_lo and day_hi and v.at >= f and v.at < t
                order by 1;
                return;
        end if;
        return query
        with candidate as (
                select 0::bigint as seq, 0::bigint as nr, v.* from mdm.block b, mdm.block_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day between day_lo and day_hi
                union all
                select 0, 0, v.at, 0, v.value, v.status, v.source
                from mdm.register_day b, mdm.register_values(b.data, b.day, ch) v
                where b.meter_id = m and b.day between day_lo and day_hi
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
comment on function mdm.readings is 'Readings of a channel: time (start of interval, or instant), period, value, status, source';

-- Use per interval, whichever way the meter reports it: interval values where there are any in the
-- range, else differences of the register (a rollover is followed, a reset leaves a gap).
create function mdm.usage(m int, ch smallint, f timestamptz, t timestamptz)
returns table (at timestamptz, period_s int, value bigint, status smallint)
language plpgsql stable as $$
declare
        reg smallint;
        turn bigint;
begin
        return query select r.at, r.period_s, r.value, r.status from mdm.readings(m, ch, f, t) r
                     where r.period_s > 0 and r.status & 15 <> 8;
        if found then
                return;
        end if;
        select c.channel into reg from mdm.channel c where c.register_of = ch;
        select (10::numeric ^ least(d.digits, 18))::bigint into turn
        from mdm.meter x join mdm.meter_model d using (model) where x.meter_id = m;
        if reg is null or turn is null then
                return;
        end if;
        return query
        with instant as (
                select distinct on (r.at) r.at, r.value as v, r.status as st
                from mdm.readings(m, reg, f, t + interval '1 microsecond') r
                where r.status & 15 <> 8
                order by r.at, r.period_s desc
        ), pair as (
                select i.at as a, lead(i.at) over w as b, i.v as v0, lead(i.v) over w as v1, i.st as s0, lead(i.st) over w as s1
                from instant i window w as (order by i.at)
        ), delta as (
                select p.*, case when p.v1 >= p.v0 then p.v1 - p.v0
                                 -- turned over: from the last tenth of the register into the first
                                 when p.v0 < turn and p.v0 >= turn - turn / 10 and p.v1 < turn / 10 then p.v1 + turn - p.v0
                            end as d
                from pair p where p.b is not null
        )
        select x.a, extract(epoch from x.b - x.a)::int, x.d,
               (((case when mdm.status_rank(x.s1) < mdm.status_rank(x.s0) then x.s1 else x.s0 end) & 15)
                | ((x.s0 | x.s1) & 16))::smallint
        from delta x where x.d is not null order by 1;
end $$;
comment on function mdm.usage is 'Use per interval of a channel, from interval values or register differences';

-- The reading of a register in force at an instant: the last one at or before it, at most 400 days back.
create function mdm.register_at(m int, ch smallint, t timestamptz)
returns table (at timestamptz, value bigint, status smallint)
language plpgsql stable as $$
declare
        back interval;
begin
        foreach back in array array['2 days', '400 days']::interval[] loop
                return query select r.at, r.value, r.status
                             from mdm.readings(m, ch, t - back, t + interval '1 microsecond') r
                             where r.status & 15 <> 8 order by r.at desc limit 1;
                if found then
                        return;
                end if;
        end loop;
end $$;
comment on function mdm.register_at is 'Register reading in force at an instant: time, value, status';

-- ---- writing from SQL: estimates, edits, readings given by people ----

create function mdm.varint(v bigint) returns bytea language plpgsql immutable as $$
declare
        b bytea := '';
begin
        loop
                if v between 0 and 127 then
                        return b || set_byte('\x00', 0, v::int);
                end if;
                b := b || set_byte('\x00', 0, ((v & 127) | 128)::int);
                v := (v >> 7) & 144115188075855871;
        end loop;
end $$;

create function mdm.zigzag(v bigint) returns bytea language sql immutable as $$
        select mdm.varint((v << 1) # (v >> 63))
$$;

create function mdm.put_payload(m int, src smallint, payload bytea) returns void language plpgsql as $$
begin
        if not exists (select from mdm.meter x where x.meter_id = m) then
                raise exception 'There is no meter %', m using errcode = 'HR001';
        end if;
        perform mdm.make_inbox_partition(now());
        insert into mdm.inbox (recv_at, meter_id, source, payload) values (now(), m, src, payload);
end $$;

-- Interval values from @start on, one each period; they count as received now.
create function mdm.put_intervals(m int, ch smallint, start timestamptz, period_s int, status smallint,
                                  source smallint, vals bigint[]) returns void language plpgsql as $$
declare
        s bigint := extract(epoch from start)::bigint - 946684800;
        last bigint := 0;
        b bytea;
        v bigint;
begin
        if s < 0 or s % 60 <> 0 or period_s <= 0 or period_s > 86400 or period_s % 60 <> 0
           or coalesce(cardinality(vals), 0) not between 1 and 10000 or ch not between 1 and 255
           or status not between 0 and 31 or array_position(vals, null) is not null
           or exists (select from unnest(vals) x where abs(x) > 2305843009213693952) then
                raise exception 'Interval values need a start on a whole minute, a period of whole minutes up to a day, and 1 to 10000 values'
                      using errcode = 'HR001';
        end if;
        b := '\x01'::bytea || set_byte('\x00', 0, ch) || mdm.varint(s / 60) || mdm.varint(period_s / 60)
             || mdm.varint(cardinality(vals)) || set_byte('\x00', 0, status);
        foreach v in array vals loop
                b := b || mdm.zigzag(v - last);
                last := v;
        end loop;
        perform mdm.put_payload(m, source, b);
end $$;

create function mdm.put_register(m int, ch smallint, at timestamptz, status smallint, source smallint,
                                 value bigint) returns void language plpgsql as $$
declare
        s bigint := extract(epoch from at)::bigint - 946684800;
begin
        if s < 0 or ch not between 1 and 255 or status not between 0 and 31 or abs(value) > 2305843009213693952 then
                raise exception 'A register reading needs a channel, a time since 2000 and a value' using errcode = 'HR001';
        end if;
        perform mdm.put_payload(m, source, '\x02'::bytea || set_byte('\x00', 0, ch) || mdm.varint(s)
                                || set_byte('\x00', 0, status) || mdm.zigzag(value));
end $$;
