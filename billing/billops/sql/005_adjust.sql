-- Credit and debit notes by hand, and budget plans.

-- Own numbers, without gaps: the row lock of the posting transaction keeps them so.
create table billing.note_range (
        branch_id smallint not null references core.branch,
        year      smallint not null,
        last      bigint not null,
        primary key (branch_id, year)
);
create table billing.adjustment (
        adjustment_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        account_id bigint not null references crm.account,
        contract_id bigint not null references crm.contract,
        bill_id    bigint references billing.bill,       -- that it corrects
        kind       text not null check (kind in ('credit', 'debit')),
        amount     bigint not null check (amount > 0),   -- minor units, taxes included
        tax        bigint not null default 0 check (tax >= 0),
        currency   text not null,
        reason     text not null check (length(reason) >= 3),
        state      text not null default 'proposed' check (state in ('proposed', 'posted', 'rejected')),
        created_by text not null check (created_by <> ''),
        created_at timestamptz not null default now(),
        decided_by text, decided_at timestamptz, decided_reason text,
        number     text unique,                          -- "HN-ADJ-2026-000001", given when posted
        entry_id   bigint references ledger.entry,
        check (tax <= amount), check ((state = 'posted') = (number is not null))
);
create index on billing.adjustment (account_id);
create index on billing.adjustment (bill_id);

create table billing.budget (
        budget_id  bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        contract_id bigint not null references crm.contract,
        account_id bigint not null references crm.account,
        amount     bigint not null check (amount > 0),   -- minor units of each bill
        valid      daterange not null check (not isempty(valid) and not upper_inf(valid) and not lower_inf(valid)),
        currency   text not null,
        state      text not null default 'active' check (state in ('active', 'settled')),
        created_by text not null, created_at timestamptz not null default now(),
        settled_by text, settled_at timestamptz, settled bigint, entry_id bigint references ledger.entry,
        constraint budget_once exclude using gist (contract_id with =, valid with &&)
);
comment on constraint budget_once on billing.budget is 'This contract already has a budget plan for some of these days';

-- A bill under a plan: what was used is revenue, what is asked for is the plan's amount, and the
-- difference waits on account 1210 until the plan is settled.
create table billing.budget_posting (
        budget_id bigint not null references billing.budget,
        bill_id   bigint primary key references billing.bill,
        branch_id smallint not null references core.branch,
        actual    bigint not null, planned bigint not null,
        entry_id  bigint references ledger.entry,        -- null: nothing to put off
        reversed  boolean not null default false
);
create index on billing.budget_posting (budget_id);

do $$
declare t text;
begin
        foreach t in array array['note_range', 'adjustment', 'budget', 'budget_posting'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

create function billing.commodity_of(p_contract bigint) returns text language sql stable as $$
        select s.commodity from crm.contract c join crm.service_point s using (service_point_id)
        where c.contract_id = p_contract
$$;

-- ---- adjustments ----
create function billing.adjustment_before() returns trigger language plpgsql as $$
begin
        if tg_op = 'DELETE' or old.state <> 'proposed' then
                raise exception 'An adjustment that was decided stays; make another one against it' using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger adjustment_before before update or delete on billing.adjustment
        for each row execute function billing.adjustment_before();

-- @p_amount with taxes; they are shared out as on the bill it corrects.
create function billing.adjustment_create(p_kind text, p_contract text, p_bill bigint, p_amount bigint, p_reason text,
        p_actor text) returns bigint language plpgsql as $$
declare c crm.contract; b billing.bill; n core.branch; v_used numeric; v_id bigint;
begin
        if p_bill is not null then
                select * into b from billing.bill where bill_id = p_bill for update;
                if b.state is distinct from 'issued' then
                        raise exception 'Bill % is %; only an issued bill is corrected by a note', p_bill,
                                coalesce(b.state, 'unknown') using errcode = 'HR001';
                end if;
        elsif p_contract is null then
                raise exception 'Name the bill or the contract' using errcode = 'HR001';
        end if;
        select * into c from crm.contract where contract_id = b.contract_id or number = p_contract limit 1;
        if not found or (b.bill_id is not null and p_contract is not null and c.number <> p_contract) then
                raise exception 'There is no contract % with this bill', p_contract using errcode = 'HR001';
        end if;
        select * into n from core.branch where branch_id = c.branch_id;
        if p_kind = 'credit' and b.bill_id is not null then
                select coalesce(sum(case kind when 'credit' then amount else -amount end), 0) into v_used
                from billing.adjustment where bill_id = p_bill and state <> 'rejected';
                if v_used + p_amount > greatest(b.total, 0) then
                        raise exception 'Bill % is over %; with % credited already, % is too much', p_bill, b.total,
                                v_used, p_amount using errcode = 'HR001';
                end if;
        end if;
        insert into billing.adjustment (branch_id, account_id, contract_id, bill_id, kind, amount, tax, currency, reason,
                                        created_by)
        values (c.branch_id, coalesce(b.account_id, c.account_id), c.contract_id, p_bill, p_kind, p_amount,
                case when b.total > 0 then round(p_amount::numeric * b.tax / b.total) else 0 end,
                coalesce(b.currency, n.currency), p_reason, p_actor)
        returning adjustment_id into v_id;
        if p_amount <= (billing.policy_of(c.branch_id)).adjust_limit then
                perform billing.adjustment_post(v_id, p_actor);
        end if;
        return v_id;
end $$;

create function billing.note_number(p_branch smallint, p_at timestamptz) returns text language plpgsql as $$
declare b core.branch; v_year smallint; v_seq bigint;
begin
        select * into b from core.branch where branch_id = p_branch;
        v_year := extract(year from p_at at time zone b.tz);
        insert into billing.note_range as n (branch_id, year, last) values (p_branch, v_year, 1)
        on conflict (branch_id, year) do update set last = n.last + 1 returning n.last into v_seq;
        return b.code || '-ADJ-' || v_year || '-' || lpad(v_seq::text, greatest(6, length(v_seq::text)), '0');
end $$;

create function billing.adjustment_post(p_id bigint, p_actor text) returns void language plpgsql as $$
declare a billing.adjustment; v_number text; v_entry bigint; v_lines jsonb; v_sign int;
begin
        select * into a from billing.adjustment where adjustment_id = p_id for update;
        if a.state is distinct from 'proposed' then
                raise exception 'Adjustment % is %', p_id, coalesce(a.state, 'unknown') using errcode = 'HR001';
        end if;
        if a.amount > (billing.policy_of(a.branch_id)).adjust_limit then
                perform billing.check_second_person(a.created_by, p_actor, 'An adjustment over the limit');
        end if;
        v_number := billing.note_number(a.branch_id, now());
        v_sign := case a.kind when 'debit' then 1 else -1 end;
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('gl', gl, 'account', account, 'currency', a.currency,
                'component', component, 'due', case when account is not null and amount > 0 then due end,
                'debit', case when amount > 0 then amount end, 'credit', case when amount < 0 then -amount end)))
        into v_lines
        from (values ('1200', a.account_id, null, v_sign * a.amount),
                     (billing.revenue_gl(billing.commodity_of(a.contract_id)), null, 'adjustment', -v_sign * (a.amount - a.tax)),
                     ('2200', null, 'adjustment', -v_sign * a.tax)) v(gl, account, component, amount)
        cross join (select billing.due_from(c.branch_id, c.cycle, current_date) as due from crm.contract c
                    where c.contract_id = a.contract_id) d
        where amount <> 0;
        v_entry := ledger.post(a.branch_id, 'adjustment', v_number, now(), v_lines, a.reason, p_actor);
        update billing.adjustment set state = 'posted', number = v_number, entry_id = v_entry, decided_by = p_actor,
                decided_at = now() where adjustment_id = p_id;
        perform ledger.allocate(a.account_id, a.currency, p_actor,
                                (select entry_id from billing.bill where bill_id = a.bill_id));
end $$;

-- ---- budget plans ----
create function billing.ensure_budget_account(p_branch smallint) returns void language sql as $$
        insert into ledger.gl_account (branch_id, code, name, type, control)
        values (p_branch, '1210', 'Budget plans, to be settled', 'asset', false) on conflict do nothing
$$;

-- The mean of a year's bills, whole units up.
create function billing.budget_amount(p_contract bigint, p_before date) returns bigint language sql stable as $$
        select (ceil(avg(b.total) / power(10, n.minor_digits)) * power(10, n.minor_digits))::bigint
        from billing.bill b join core.branch n using (branch_id)
        where b.contract_id = p_contract and b.state = 'issued' and b.period && daterange((p_before - interval '1 year')::date, p_before)
        group by n.minor_digits
$$;

-- Moves @p_amount from what is due now to what waits (negative: the other way).
create function billing.budget_lines(p_account bigint, p_currency text, p_amount bigint, p_due date) returns jsonb
language sql immutable as $$
        select jsonb_build_array(
                jsonb_strip_nulls(jsonb_build_object('gl', '1210', 'currency', p_currency,
                        'debit', case when p_amount > 0 then p_amount end,
                        'credit', case when p_amount < 0 then -p_amount end)),
                jsonb_strip_nulls(jsonb_build_object('gl', '1200', 'currency', p_currency, 'account', p_account,
                        'credit', case when p_amount > 0 then p_amount end,
                        'debit', case when p_amount < 0 then -p_amount end,
                        'due', case when p_amount < 0 then p_due end)))
$$;

create function billing.budget_bill() returns trigger language plpgsql as $$
declare g billing.budget; v_entry bigint; p billing.budget_posting;
begin
        if new.state = 'issued' then
                select * into g from billing.budget
                where contract_id = new.contract_id and state = 'active' and valid @> lower(new.period);
                if not found then
                        return null;
                end if;
                if new.total <> g.amount then
                        perform billing.ensure_budget_account(new.branch_id);
                        v_entry := ledger.post(new.branch_id, 'budget', new.bill_id::text, new.issued_at,
                                billing.budget_lines(new.account_id, new.currency, new.total - g.amount, new.due),
                                'Budget plan ' || g.budget_id, g.created_by);
                end if;
                insert into billing.budget_posting (budget_id, bill_id, branch_id, actual, planned, entry_id)
                values (g.budget_id, new.bill_id, new.branch_id, new.total, g.amount, v_entry);
                return null;
        end if;
        -- After the settlement the money is where it belongs; only the bill itself is reversed.
        select x.* into p from billing.budget_posting x join billing.budget y using (budget_id)
        where x.bill_id = new.bill_id and not x.reversed and y.state = 'active';
        if found then
                if p.entry_id is not null then
                        perform ledger.reverse(p.entry_id, new.reversed_at, new.reversal_reason, new.reversed_by);
                end if;
                update billing.budget_posting set reversed = true where bill_id = new.bill_id;
        end if;
        return null;
end $$;
create trigger budget_bill after update of state on billing.bill for each row
        when (new.state in ('issued', 'reversed') and old.state <> new.state) execute function billing.budget_bill();

create function billing.budget_create(p_contract text, p_from date, p_months int, p_amount bigint, p_actor text)
returns bigint language plpgsql as $$
declare c crm.contract; v_amount bigint; v_id bigint;
begin
        select * into c from crm.contract where number = p_contract;
        if not found then
                raise exception 'There is no contract %', p_contract using errcode = 'HR001';
        end if;
        v_amount := coalesce(p_amount, billing.budget_amount(c.contract_id, p_from));
        if v_amount is null or v_amount <= 0 then
                raise exception 'Contract % has no bills of the last year to take a mean of; give an amount', p_contract
                        using errcode = 'HR001';
        end if;
        insert into billing.budget (branch_id, contract_id, account_id, amount, valid, currency, created_by)
        select c.branch_id, c.contract_id, c.account_id, v_amount,
               daterange(p_from, (p_from + make_interval(months => p_months))::date), n.currency, p_actor
        from core.branch n where n.branch_id = c.branch_id
        returning budget_id into v_id;
        return v_id;
end $$;

create function billing.budget_settle(p_budget bigint, p_early boolean, p_actor text) returns void language plpgsql as $$
declare g billing.budget; v_left bigint; v_entry bigint; v_due date;
begin
        select * into g from billing.budget where budget_id = p_budget for update;
        if g.state is distinct from 'active' then
                raise exception 'Budget plan % is %', p_budget, coalesce(g.state, 'unknown') using errcode = 'HR001';
        end if;
        if upper(g.valid) > current_date and not coalesce(p_early, false) then
                raise exception 'Budget plan % runs until %; say early to settle it now', p_budget, upper(g.valid) - 1
                        using errcode = 'HR001';
        end if;
        select coalesce(sum(actual - planned), 0) into v_left from billing.budget_posting
        where budget_id = p_budget and not reversed;
        if v_left <> 0 then
                select billing.due_from(c.branch_id, c.cycle, current_date) into v_due from crm.contract c
                where c.contract_id = g.contract_id;
                v_entry := ledger.post(g.branch_id, 'budget.settlement', g.budget_id::text, now(),
                        billing.budget_lines(g.account_id, g.currency, -v_left, v_due),
                        'Settlement of budget plan ' || g.budget_id, p_actor);
        end if;
        update billing.budget set state = 'settled', settled_by = p_actor, settled_at = now(), settled = v_left,
                entry_id = v_entry where budget_id = p_budget;
        perform ledger.allocate(g.account_id, g.currency, p_actor);
end $$;
