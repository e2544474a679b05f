-- Issuing and reversing. Two points where other plugins join in, in the same transaction:
-- billing.on_issue(bills) and billing.on_reverse(bill), empty here, replaced by plugin "invoice".
create function billing.on_issue(p_bills bigint[]) returns void language sql as $$ select $$;
create function billing.on_reverse(p_bill bigint, p_actor text) returns void language sql as $$ select $$;

create function billing.ensure_cycle(p_branch smallint, p_cycle text) returns void language sql as $$
        insert into billing.cycle (branch_id, code, name)
        select p_branch, p_cycle, initcap(p_cycle)
        where p_cycle = 'monthly'
           or exists (select from crm.contract where branch_id = p_branch and cycle = p_cycle)
        on conflict do nothing
$$;

create function billing.revenue_gl(p_commodity text) returns text language sql immutable as $$
        select case p_commodity when 'electricity' then '4010' when 'water' then '4020' when 'gas' then '4030'
               when 'heat' then '4040' end
$$;

-- Debit receivable; credit revenue per component and taxes. A negative bill turns the sides.
create function billing.ledger_lines(p_bill bigint) returns jsonb language plpgsql stable as $$
begin
        return (
        with b as (select b.*, s.commodity from billing.bill b join crm.service_point s using (service_point_id)
                   where bill_id = p_bill),
        parts as (
                select 0 as ord, '1200' as gl, b.account_id as account, '' as component, b.total as debit, b.due
                from b
                union all
                select case l.kind when 'tax' then 2 else 1 end,
                       case l.kind when 'tax' then '2200' else billing.revenue_gl(b.commodity) end,
                       null, l.component, -sum(l.amount)::bigint, null
                from billing.bill_line l, b where l.bill_id = p_bill
                group by 1, 2, l.component
        )
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('gl', gl, 'account', account,
                'debit', case when debit > 0 then debit end, 'credit', case when debit < 0 then -debit end,
                'component', nullif(component, ''), 'due', due)) order by ord, gl, component)
        from parts where debit <> 0
        );
end $$;

-- Issues up to @p_limit bills of an approved run: ledger, invoices, unused credits. Returns them.
create function billing.issue_bills(p_run bigint, p_limit int, p_actor text)
returns table (bill_id bigint, account text, total bigint, currency text) language plpgsql as $$
declare r billing.run; v_ids bigint[]; v_due date; b billing.bill; v_lines jsonb;
begin
        select * into r from billing.run where run_id = p_run for share;
        if r.state is distinct from 'approved' then
                return;
        end if;
        select array_agg(x.bill_id order by x.bill_id) into v_ids
        from (select i.bill_id from billing.bill i where i.run_id = p_run and i.state = 'draft'
              order by i.bill_id limit p_limit for update) x;
        if v_ids is null then
                return;
        end if;
        select (r.issue_at at time zone n.tz)::date + c.due_days into v_due
        from core.branch n join billing.cycle c on c.branch_id = n.branch_id and c.code = r.cycle
        where n.branch_id = r.branch_id;
        update billing.bill i set due = v_due where i.bill_id = any (v_ids);
        for b in select * from billing.bill i where i.bill_id = any (v_ids) order by i.bill_id loop
                v_lines := billing.ledger_lines(b.bill_id);
                update billing.bill i set state = 'issued', issued_at = r.issue_at,
                        entry_id = case when v_lines is null then null else
                                ledger.post(b.branch_id, 'bill', b.bill_id::text, r.issue_at, v_lines,
                                            'Bill ' || b.bill_id, p_actor) end
                where i.bill_id = b.bill_id;
        end loop;
        perform billing.on_issue(v_ids);
        perform ledger.allocate(a.account_id, a.currency, p_actor)
        from (select distinct i.account_id, i.currency from billing.bill i where i.bill_id = any (v_ids)
              order by 1, 2) a
        where exists (select from ledger.open_item o where o.account_id = a.account_id and o.currency = a.currency
                      and o.credit > 0 and o.left_over > 0);
        return query select i.bill_id, a.number, i.total, i.currency
                from billing.bill i join crm.account a using (account_id)
                where i.bill_id = any (v_ids) order by i.bill_id;
end $$;

-- Reverses one issued bill in the ledger; the contract's days are free to be billed again.
create function billing.reverse_bill(p_bill bigint, p_reason text, p_actor text) returns void
language plpgsql as $$
declare b billing.bill; v_entry bigint;
begin
        select * into b from billing.bill where bill_id = p_bill for update;
        if b.state is distinct from 'issued' then
                raise exception 'Bill % is %; only an issued bill can be reversed', p_bill, coalesce(b.state, 'unknown')
                        using errcode = 'HR001';
        end if;
        if b.entry_id is not null then
                v_entry := ledger.reverse(b.entry_id, now(), p_reason, p_actor);
        end if;
        update billing.bill set state = 'reversed', reversal_entry_id = v_entry, reversed_by = p_actor,
                reversed_at = now(), reversal_reason = p_reason
        where bill_id = p_bill;
        perform billing.on_reverse(p_bill, p_actor);
        -- Money that had settled this bill goes to the next oldest debt, or stays as credit.
        perform ledger.allocate(b.account_id, b.currency, p_actor);
end $$;
