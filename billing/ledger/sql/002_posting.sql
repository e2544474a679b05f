-- The standard chart of a branch; called before the first posting, harmless afterwards.
create function ledger.ensure_chart(p_branch smallint) returns void language sql as $$
        insert into ledger.gl_account (branch_id, code, name, type, control) values
                (p_branch, '1000', 'Cash desk',                    'asset',     false),
                (p_branch, '1010', 'Bank',                         'asset',     false),
                (p_branch, '1020', 'Payment gateways in transit',  'asset',     false),
                (p_branch, '1200', 'Receivables from customers',   'asset',     true),
                (p_branch, '2100', 'Unidentified payments',        'liability', false),
                (p_branch, '2200', 'Taxes and levies to pay over', 'liability', false),
                (p_branch, '4010', 'Revenue electricity',          'revenue',   false),
                (p_branch, '4020', 'Revenue water',                'revenue',   false),
                (p_branch, '4030', 'Revenue gas',                  'revenue',   false),
                (p_branch, '4040', 'Revenue heat',                 'revenue',   false),
                (p_branch, '4900', 'Rounding',                     'revenue',   false)
        on conflict do nothing
$$;

-- Posts one entry and returns its id. The same kind and reference again returns the first entry's
-- id when the contents are equal and is refused when they are not.
-- @p_lines: [{"gl": "1200", "account": 17, "debit": 100, "due": "2026-02-14"},
--            {"gl": "4010", "credit": 100, "component": "energy"}]; "currency" where it is not the
-- branch's. Amounts in minor units.
create function ledger.post(p_branch smallint, p_kind text, p_ref text, p_at timestamptz, p_lines jsonb,
                            p_text text default '', p_actor text default '', p_reverses bigint default null)
returns bigint language plpgsql as $$
declare
        v_digest bytea := sha256(convert_to(jsonb_build_object('branch', p_branch, 'at', extract(epoch from p_at),
                'lines', p_lines, 'reverses', p_reverses)::text, 'UTF8'));
        v_id bigint;
        v_old ledger.entry;
        v_currency text;
begin
        insert into ledger.entry (branch_id, kind, ref, at, text, actor, reverses, digest)
        values (p_branch, p_kind, p_ref, p_at, p_text, p_actor, p_reverses, v_digest)
        on conflict on constraint entry_once do nothing
        returning entry_id into v_id;
        if v_id is null then
                select * into v_old from ledger.entry where kind = p_kind and ref = p_ref;
                if v_old.digest is distinct from v_digest then
                        raise exception 'A % with reference % is already posted with other contents', p_kind, p_ref
                                using errcode = 'HR001';
                end if;
                return v_old.entry_id;
        end if;
        select currency into v_currency from core.branch where branch_id = p_branch;
        if not exists (select from ledger.gl_account where branch_id = p_branch and code = '1200') then
                perform ledger.ensure_chart(p_branch);
        end if;
        insert into ledger.line (entry_id, line_no, branch_id, gl, account_id, currency, debit, credit, at, due,
                                 component)
        select v_id, l.ord, p_branch, l.doc->>'gl', (l.doc->>'account')::bigint,
               coalesce(l.doc->>'currency', v_currency), coalesce((l.doc->>'debit')::bigint, 0),
               coalesce((l.doc->>'credit')::bigint, 0), p_at, (l.doc->>'due')::date,
               coalesce(l.doc->>'component', '')
        from jsonb_array_elements(p_lines) with ordinality as l(doc, ord);
        return v_id;
end $$;

-- What is left of each line of a customer's sub-ledger: debts and unused credits.
create view ledger.open_item with (security_invoker = true) as
select l.entry_id, l.line_no, l.branch_id, l.account_id, l.gl, l.currency, l.debit, l.credit, l.at, l.due,
       l.debit + l.credit - coalesce(case when l.debit > 0
               then (select sum(a.amount) from ledger.allocation a
                     where (a.debit_entry, a.debit_line) = (l.entry_id, l.line_no))
               else (select sum(a.amount) from ledger.allocation a
                     where (a.credit_entry, a.credit_line) = (l.entry_id, l.line_no)) end, 0)::bigint as left_over
from ledger.line l
where l.account_id is not null;

-- Settles the account's debts with its unused credits, oldest due first; returns the amount moved.
-- @p_first names the entry whose debt goes before all others (an invoice the payer chose).
create function ledger.allocate(p_account bigint, p_currency text, p_actor text default '',
                                p_first bigint default null)
returns bigint language plpgsql as $$
declare
        c record; d record; v_left bigint; v_take bigint; v_sum bigint := 0;
begin
        -- One allocation run per account at a time; line locks in check_allocation() stay the guard.
        perform pg_advisory_xact_lock(hashtextextended('ledger.allocate', p_account));
        for c in select * from ledger.open_item where account_id = p_account and currency = p_currency
                        and credit > 0 and left_over > 0 order by at, entry_id, line_no loop
                v_left := c.left_over;
                for d in select * from ledger.open_item where account_id = p_account and currency = p_currency
                                and gl = c.gl and debit > 0 and left_over > 0
                                order by (entry_id = p_first) desc nulls last, coalesce(due, at::date), at, entry_id, line_no loop
                        exit when v_left = 0;
                        v_take := least(v_left, d.left_over);
                        insert into ledger.allocation (branch_id, credit_entry, credit_line, debit_entry, debit_line,
                                                       amount, actor)
                        values (c.branch_id, c.entry_id, c.line_no, d.entry_id, d.line_no, v_take, p_actor);
                        v_left := v_left - v_take;
                        v_sum := v_sum + v_take;
                end loop;
        end loop;
        return v_sum;
end $$;

-- The mirror of an entry, linked to it, once. Allocations that touch the entry are taken back (the
-- money or the debt on the other side is free again) and the entry's customer lines are settled
-- against their mirrors. Returns the new entry.
create function ledger.reverse(p_entry bigint, p_at timestamptz, p_text text, p_actor text default '')
returns bigint language plpgsql as $$
declare
        e ledger.entry; v_lines jsonb; v_new bigint;
begin
        select * into e from ledger.entry where entry_id = p_entry;
        if not found then
                raise exception 'There is no ledger entry %', p_entry using errcode = 'HR001';
        end if;
        if e.reverses is not null then
                raise exception 'Ledger entry % is itself a reversal; post the right entry anew', p_entry
                        using errcode = 'HR001';
        end if;
        select entry_id into v_new from ledger.entry where reverses = p_entry;
        if found then
                return v_new;
        end if;
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('gl', gl, 'account', account_id, 'currency', currency,
                'debit', nullif(credit, 0), 'credit', nullif(debit, 0), 'component', nullif(component, '')))
                order by line_no)
        into v_lines from ledger.line where entry_id = p_entry;
        v_new := ledger.post(e.branch_id, e.kind || '.reversal', e.ref, p_at, v_lines, p_text, p_actor, p_entry);

        insert into ledger.allocation (branch_id, credit_entry, credit_line, debit_entry, debit_line, amount,
                                       reverses, actor)
        select a.branch_id, a.credit_entry, a.credit_line, a.debit_entry, a.debit_line, -a.amount,
               a.allocation_id, p_actor
        from ledger.allocation a
        where (a.credit_entry = p_entry or a.debit_entry = p_entry) and a.reverses is null
          and not exists (select from ledger.allocation b where b.reverses = a.allocation_id)
        order by a.allocation_id;

        insert into ledger.allocation (branch_id, credit_entry, credit_line, debit_entry, debit_line, amount, actor)
        select l.branch_id,
               case when l.debit > 0 then v_new else p_entry end, l.line_no,
               case when l.debit > 0 then p_entry else v_new end, l.line_no,
               l.debit + l.credit, p_actor
        from ledger.line l where l.entry_id = p_entry and l.account_id is not null
        order by l.line_no;
        return v_new;
end $$;

-- What a customer owes (positive) or has to his credit (negative) at an instant.
create function ledger.balance(p_account bigint, p_currency text, p_at timestamptz default 'infinity')
returns bigint language sql stable as $$
        select coalesce(sum(debit) - sum(credit), 0)::bigint
        from ledger.line where account_id = p_account and currency = p_currency and at <= p_at
$$;

-- Per branch, account and currency at an instant. The column `balance` is debit - credit; its sum
-- over a branch and currency is zero, or the ledger is broken.
create function ledger.trial_balance(p_at timestamptz default 'infinity')
returns table (branch_id smallint, type text, gl text, name text, currency text, debit bigint, credit bigint)
language sql stable as $$
        select l.branch_id, g.type, l.gl, g.name, l.currency, sum(l.debit)::bigint, sum(l.credit)::bigint
        from ledger.line l join ledger.gl_account g on g.branch_id = l.branch_id and g.code = l.gl
        where l.at <= p_at
        group by l.branch_id, g.type, l.gl, g.name, l.currency
$$;
