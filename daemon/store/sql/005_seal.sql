-- What the seal needs besides the tables.

-- Days whose roll-up by branch is out of date.
create table mdm.branch_day_dirty (day date primary key);

-- An event for the outbox, where there is one.
create function mdm.publish(type text, key text, body jsonb) returns void language plpgsql as $$
begin
        if to_regprocedure('core.publish(text, text, jsonb)') is not null then
                execute 'select core.publish($1, $2, $3)' using type, key, body;
        end if;
end $$;

create function mdm.roll_up() returns int language plpgsql as $$
declare
        days date[];
begin
        with taken as (delete from mdm.branch_day_dirty returning day)
        select array_agg(day order by day) into days from taken;
        if days is null then
                return 0;
        end if;
        insert into mdm.branch_day (day, branch_id, n_meter, n_exp, n_ok, n_est, at)
        select b.day, m.branch_id, count(*), sum(b.n_exp), sum(b.n_ok), sum(b.n_est), now()
        from mdm.block b join mdm.meter m using (meter_id)
        where b.day = any (days) group by 1, 2
        on conflict (day, branch_id) do update set n_meter = excluded.n_meter, n_exp = excluded.n_exp,
                n_ok = excluded.n_ok, n_est = excluded.n_est, at = excluded.at;
        perform mdm.publish('readings.sealed', days[1]::text,
                            jsonb_build_object('from', days[1], 'to', days[cardinality(days)], 'days', cardinality(days)));
        return cardinality(days);
end $$;

create function mdm.unsealed_in(part regclass) returns boolean language plpgsql as $$
declare
        found_one boolean;
begin
        execute format('select exists (select from %s i left join mdm.meter_seal s using (meter_id) '
                       'where i.seq > coalesce(s.seq, 0))', part) into found_one;
        return found_one;
end $$;

-- Drops the inbox partitions of past hours in which nothing is left to seal. A lock that does not
-- come at once is left for the next time.
create function mdm.drop_sealed_partitions() returns int language plpgsql as $$
declare
        part record;
        dropped int := 0;
begin
        set local lock_timeout = '300ms';
        for part in
                select c.oid::regclass as name from pg_inherits h join pg_class c on c.oid = h.inhrelid
                where h.inhparent = 'mdm.inbox'::regclass and c.relname ~ '^inbox_[0-9]{10}$'
                  and c.relname < 'inbox_' || to_char((now() - interval '1 hour') at time zone 'UTC', 'YYYYMMDDHH24')
                order by c.relname
        loop
                if mdm.unsealed_in(part.name) then
                        continue;
                end if;
                begin
                        lock table mdm.inbox in access exclusive mode;
                        if not mdm.unsealed_in(part.name) then
                                execute format('drop table %s', part.name);
                                dropped := dropped + 1;
                        end if;
                exception when lock_not_available or deadlock_detected then
                        exit;
                end;
                exit when dropped >= 48;         -- the lock is held until the end: not for long
        end loop;
        delete from mdm.inbox_default i using mdm.meter_seal s where s.meter_id = i.meter_id and i.seq <= s.seq;
        set local lock_timeout = 0;
        return dropped;
end $$;
