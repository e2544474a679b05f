-- Half a million bills in one run: contracts dealt out in ranges that several threads take, bills
-- sent by COPY into staging tables, and checks made once a statement instead of once a row.

-- The contracts of a run, dealt out once when its computing begins, in the order of their meters: so
-- a range reads neighbouring blocks. Whoever takes a range locks its row until the bills are
-- committed; a daemon that dies lets go of it, and nothing of the range is there. Bill numbers are
-- dealt out with it: however often it is begun again, a contract's bill has the same number.
create table billing.run_range (
        run_id    bigint not null references billing.run,
        no        int not null,
        branch_id smallint not null references core.branch,
        contracts bigint[] not null,
        bills     bigint[] not null,
        done      boolean not null default false,
        skipped   int not null default 0,              -- had an active bill already
        scan_us   bigint not null default 0,           -- where the time went: reading,
        rate_us   bigint not null default 0,           -- measuring and pricing,
        write_us  bigint not null default 0,           -- storing
        done_at   timestamptz,
        primary key (run_id, no),
        check (cardinality(contracts) = cardinality(bills) and cardinality(contracts) > 0)
) with (fillfactor = 70);
alter table billing.run_range enable row level security;
alter table billing.run_range force row level security;
create policy branch on billing.run_range using (core.branch_allowed(branch_id));

-- Deals out a run's contracts, once; returns the number of ranges.
create function billing.plan_run(p_run bigint) returns int language plpgsql as $$
declare r billing.run; v_tz text; v_size int; v_n int; v_seq regclass;
begin
        select count(*) into v_n from billing.run_range where run_id = p_run;
        if v_n > 0 then
                return v_n;
        end if;
        select * into r from billing.run where run_id = p_run;
        select tz into v_tz from core.branch where branch_id = r.branch_id;
        v_seq := pg_get_serial_sequence('billing.bill', 'bill_id')::regclass;
        select least(4000, greatest(100, count(*) / 64)) into v_size
        from crm.contract c
        where c.branch_id = r.branch_id and c.cycle = r.cycle and c.valid && r.period
          and (r.contract_id is null or c.contract_id = r.contract_id);
        with c as (
                select c.contract_id, min(i.meter_id) as meter_id
                from crm.contract c
                left join crm.installation i on i.service_point_id = c.service_point_id
                     and i.valid && tstzrange(lower(r.period)::timestamp at time zone v_tz,
                                              upper(r.period)::timestamp at time zone v_tz)
                where c.branch_id = r.branch_id and c.cycle = r.cycle and c.valid && r.period
                  and (r.contract_id is null or c.contract_id = r.contract_id)
                group by c.contract_id
        ), dealt as (
                select contract_id, (row_number() over (order by meter_id nulls last, contract_id) - 1) / v_size as no
                from c
        ), numbered as (
                select no, contract_id, nextval(v_seq) as bill_id
                from (select * from dealt order by no, contract_id) x
        )
        insert into billing.run_range (run_id, no, branch_id, contracts, bills)
        select p_run, no, r.branch_id, array_agg(contract_id order by contract_id), array_agg(bill_id order by contract_id)
        from numbered group by no;
        get diagnostics v_n = row_count;
        update billing.run set contracts = (select coalesce(sum(cardinality(contracts)), 0) from billing.run_range
                                            where run_id = p_run)
        where run_id = p_run;
        return v_n;
end $$;

-- Marks a range as done, unless the run was cancelled meanwhile: then no row comes back and the
-- caller gives up what it computed.
create function billing.finish_range(p_run bigint, p_no int, p_contracts int, p_skipped int, p_scan_us bigint,
                                     p_rate_us bigint, p_write_us bigint)
returns table (done bigint, contracts bigint) language plpgsql as $$
begin
        -- What is checked at commit is checked now: the run's row is locked for a moment only.
        set constraints all immediate;
        update billing.run_range x set done = true, skipped = p_skipped, scan_us = p_scan_us, rate_us = p_rate_us,
               write_us = p_write_us, done_at = clock_timestamp()
        where x.run_id = p_run and x.no = p_no;
        return query update billing.run r set done = r.done + p_contracts, skipped = r.skipped + p_skipped
                     where r.run_id = p_run and r.state = 'draft' returning r.done, r.contracts;
end $$;

-- Cancelling waits for the ranges being stored; their bills are cancelled with the others, whichever
-- came first.
create function billing.run_cancelled() returns trigger language plpgsql as $$
begin
        update billing.bill set state = 'cancelled' where run_id = new.run_id and state in ('draft', 'held');
        return null;
end $$;
create trigger run_cancelled after update of state on billing.run
        for each row when (new.state = 'cancelled' and old.state <> 'cancelled') execute function billing.run_cancelled();

-- ---- staging: COPY knows no row-level security, so bills arrive in tables of the session ----

create function billing.stage_open() returns void language plpgsql as $$
begin
        create temp table if not exists billrun_bill (
                bill_id bigint, contract_id bigint, account_id bigint, service_point_id bigint, from_day int, to_day int,
                state text, currency text, total bigint, tax bigint, quantity text, unit text, exceptions text,
                inputs text, carry text, peak_kw text, previous_bill_id bigint, rebill_of bigint) on commit delete rows;
        create temp table if not exists billrun_determinant (
                bill_id bigint, name text, unit text, quantity text, status text, readings bytea, sources text,
                daily text) on commit delete rows;
        create temp table if not exists billrun_line (
                bill_id bigint, line_no smallint, part_no smallint, code text, component text, kind text, label text,
                quantity text, unit text, price text, exact text, amount bigint, trace text, hash bytea)
                on commit delete rows;
end $$;

-- Stores what was staged. A contract that got an active bill from elsewhere meanwhile is skipped, and
-- counted. The plans must not depend on how large the tables were when they were first made.
create function billing.save_staged(p_run bigint) returns table (saved bigint, skipped bigint)
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare r billing.run; v_staged bigint; v_saved bigint;
begin
        select * into r from billing.run where run_id = p_run;
        select count(*) into v_staged from pg_temp.billrun_bill;
        insert into billing.bill (bill_id, branch_id, run_id, contract_id, account_id, service_point_id, period, state,
                currency, total, tax, quantity, unit, exceptions, inputs, carry, peak_kw, previous_bill_id, rebill_of)
        overriding system value
        select bill_id, r.branch_id, p_run, contract_id, account_id, service_point_id,
               daterange(date '1970-01-01' + from_day, date '1970-01-01' + to_day), state, currency, total, tax,
               quantity::numeric, unit, exceptions::jsonb, inputs::jsonb, carry::jsonb, peak_kw::numeric,
               previous_bill_id, rebill_of
        from pg_temp.billrun_bill order by bill_id
        on conflict do nothing;
        get diagnostics v_saved = row_count;
        if v_saved < v_staged then
                delete from pg_temp.billrun_determinant d
                where not exists (select from billing.bill b where b.bill_id = d.bill_id);
                delete from pg_temp.billrun_line l
                where not exists (select from billing.bill b where b.bill_id = l.bill_id);
        end if;
        insert into billing.determinant (bill_id, branch_id, part_no, name, unit, quantity, status, readings, sources,
                                         daily)
        select bill_id, r.branch_id, 0, name, unit, quantity::numeric, status, readings, sources::jsonb, daily::jsonb
        from pg_temp.billrun_determinant;
        insert into billing.bill_line (bill_id, line_no, branch_id, part_no, code, component, kind, label, quantity,
                                       unit, price, exact, amount, trace, hash)
        select bill_id, line_no, r.branch_id, part_no, code, component, kind, label, quantity, unit, price, exact,
               amount, trace, hash
        from pg_temp.billrun_line;
        return query select v_saved, v_staged - v_saved;
end $$;

-- ---- the same guarantees, checked a statement at a time ----

-- Lines and determinants are added to open bills only; and a bill that was there before its lines
-- has its total compared with them at commit, as one that is new has anyway.
create function billing.bill_parts_added() returns trigger language plpgsql set enable_seqscan = off as $$
declare v_ids bigint[]; v record;
begin
        select array_agg(distinct bill_id) into v_ids from fresh;
        if v_ids is null then
                return null;
        end if;
        select b.bill_id, b.state into v from billing.bill b
        where b.bill_id = any (v_ids) and b.state not in ('draft', 'held') limit 1;
        if found then
                raise exception 'Bill % is %; its lines do not change', v.bill_id, v.state using errcode = 'HR001';
        end if;
        if tg_table_name = 'bill_line' then
                update billing.bill b set total = b.total
                where b.bill_id = any (v_ids) and b.xmin::text <> (txid_current() & 4294967295)::text;
        end if;
        return null;
end $$;
drop trigger bill_open on billing.bill_line;
drop trigger bill_open on billing.determinant;
drop trigger total_is_sum on billing.bill_line;
create trigger bill_open before update or delete on billing.bill_line
        for each row execute function billing.bill_part_before();
create trigger bill_open before update or delete on billing.determinant
        for each row execute function billing.bill_part_before();
create trigger bill_open_added after insert on billing.bill_line referencing new table as fresh
        for each statement execute function billing.bill_parts_added();
create trigger bill_open_added after insert on billing.determinant referencing new table as fresh
        for each statement execute function billing.bill_parts_added();
create constraint trigger total_is_sum after update or delete on billing.bill_line
        deferrable initially deferred for each row execute function billing.check_total();
