-- Stores a batch of computed bills. A contract that got an active bill from elsewhere meanwhile is
-- skipped, and counted.
create function billing.save_bills(p_run bigint, p_bills jsonb)
returns table (saved bigint, skipped bigint) language plpgsql as $$
declare v_ids bigint[]; r billing.run; v_n bigint := jsonb_array_length(p_bills);
begin
        select * into r from billing.run where run_id = p_run;
        with d as (select * from jsonb_to_recordset(p_bills) as x(contract_id bigint, account_id bigint,
                        service_point_id bigint, from_day int, to_day int, state text, total bigint, tax bigint,
                        quantity numeric, unit text, currency text, peak_kw numeric, previous_bill_id bigint,
                        rebill_of bigint, carry jsonb, exceptions jsonb, inputs jsonb)),
        ins as (
                insert into billing.bill (branch_id, run_id, contract_id, account_id, service_point_id, period, state,
                        currency, total, tax, quantity, unit, exceptions, inputs, carry, peak_kw, previous_bill_id,
                        rebill_of)
                select r.branch_id, p_run, contract_id, account_id, service_point_id,
                       daterange(date '1970-01-01' + from_day, date '1970-01-01' + to_day), state, currency, total,
                       tax, quantity, unit, exceptions, inputs, carry, peak_kw, previous_bill_id, rebill_of
                from d order by contract_id
                on conflict do nothing
                returning bill_id
        )
        select coalesce(array_agg(bill_id), '{}') into v_ids from ins;

        insert into billing.determinant (bill_id, branch_id, part_no, name, unit, quantity, status, readings, sources,
                                         daily)
        select b.bill_id, b.branch_id, 0, x.name, x.unit, x.quantity, x.status, decode(x.readings, 'hex'), x.sources,
               x.daily
        from jsonb_to_recordset(p_bills) as d(contract_id bigint, determinants jsonb)
        join billing.bill b on b.bill_id = any (v_ids) and b.contract_id = d.contract_id
        cross join jsonb_to_recordset(d.determinants) as x(name text, unit text, quantity numeric, status text,
                readings text, sources jsonb, daily jsonb);

        insert into billing.bill_line (bill_id, line_no, branch_id, part_no, code, component, kind, label, quantity,
                                       unit, price, exact, amount, trace, hash)
        select b.bill_id, x.line_no, b.branch_id, x.part_no, x.code, x.component, x.kind, x.label, x.quantity, x.unit,
               x.price, x.exact, x.amount, x.trace, decode(x.hash, 'hex')
        from jsonb_to_recordset(p_bills) as d(contract_id bigint, lines jsonb)
        join billing.bill b on b.bill_id = any (v_ids) and b.contract_id = d.contract_id
        cross join jsonb_to_recordset(d.lines) as x(line_no smallint, part_no smallint, code text, component text,
                kind text, label text, quantity text, unit text, price text, exact text, amount bigint, trace text,
                hash text);
        return query select cardinality(v_ids)::bigint, v_n - cardinality(v_ids);
end $$;
