-- The same guarantees about bills and their lines at a fraction of the cost: what can be checked once a
-- statement is, and totals are compared once a transaction.

alter function billing.save_staged(bigint) set work_mem = '64MB'; -- what the triggers look at stays in memory

-- Bills whose totals are compared with their lines at commit: a row a statement, gone afterwards.
create table billing.total_check (
        check_id bigint generated always as identity primary key,
        bills    bigint[] not null
);

create function billing.check_totals() returns trigger language plpgsql set enable_seqscan = off as $$
declare v record;
begin
        select b.bill_id, b.total, b.tax, coalesce(l.total, 0) as lines_total, coalesce(l.tax, 0) as lines_tax into v
        from billing.bill b
        left join lateral (select sum(x.amount) as total, sum(x.amount) filter (where x.kind = 'tax') as tax
                           from billing.bill_line x where x.bill_id = b.bill_id) l on true
        where b.bill_id = any (new.bills)
          and (b.total, b.tax) is distinct from (coalesce(l.total, 0)::bigint, coalesce(l.tax, 0)::bigint)
        limit 1;
        if found then
                raise exception 'Bill % says total % and tax %, its lines add up to % and %', v.bill_id, v.total, v.tax,
                        v.lines_total, v.lines_tax using errcode = 'HR001';
        end if;
        delete from billing.total_check where check_id = new.check_id;
        return null;
end $$;
create constraint trigger total_is_sum after insert on billing.total_check
        deferrable initially deferred for each row execute function billing.check_totals();

create function billing.bills_added() returns trigger language plpgsql as $$
begin
        insert into billing.total_check (bills)
        select array_agg(bill_id) from fresh having count(*) > 0;
        return null;
end $$;

-- Lines and determinants are added to open bills that are there; since a bill is never deleted, they
-- need no foreign key beside.
create or replace function billing.bill_parts_added() returns trigger language plpgsql set enable_seqscan = off as $$
declare v_ids bigint[]; v record;
begin
        select array_agg(distinct bill_id) into v_ids from fresh;
        if v_ids is null then
                return null;
        end if;
        select x.bill_id, coalesce(b.state, 'unknown') as state into v
        from unnest(v_ids) as x(bill_id) left join billing.bill b using (bill_id)
        where b.bill_id is null or b.state not in ('draft', 'held') limit 1;
        if found then
                raise exception 'Bill % is %; its lines do not change', v.bill_id, v.state using errcode = 'HR001';
        end if;
        if tg_table_name = 'bill_line' then
                -- A bill of this transaction is looked at anyway.
                insert into billing.total_check (bills)
                select array_agg(b.bill_id) from billing.bill b
                where b.bill_id = any (v_ids) and b.xmin::text <> (txid_current() & 4294967295)::text
                having count(*) > 0;
        end if;
        return null;
end $$;
alter table billing.bill_line drop constraint bill_line_bill_id_fkey;
alter table billing.determinant drop constraint determinant_bill_id_fkey;
drop trigger total_is_sum on billing.bill;
create trigger bill_added after insert on billing.bill referencing new table as fresh
        for each statement execute function billing.bills_added();
create constraint trigger total_is_sum after update of total, tax on billing.bill
        deferrable initially deferred for each row execute function billing.check_total();
