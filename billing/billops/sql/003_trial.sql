-- Bills computed and not kept: trial runs, and the accrual of what was used but not billed yet.
create table billing.trial (
        trial_id   bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        kind       text not null check (kind in ('run', 'accrual')),
        cycle      text,                                 -- null: every cycle (accrual)
        period     daterange not null check (not isempty(period) and not upper_inf(period)),
        created_by text not null check (created_by <> ''),
        created_at timestamptz not null default now(),
        job_id     bigint,
        contracts  bigint not null default 0,
        done_at    timestamptz
);
create table billing.trial_bill (
        trial_id   bigint not null references billing.trial on delete cascade,
        contract_id bigint not null references crm.contract,
        branch_id  smallint not null references core.branch,
        period     daterange not null,
        state      text not null check (state in ('draft', 'held', 'skipped')),
        total      bigint not null default 0, tax bigint not null default 0,
        quantity   numeric, unit text not null default '',
        status     text,                                 -- of the main quantity's readings
        previous_bill_id bigint references billing.bill,
        lines      jsonb not null default '[]',          -- [{"component","kind","amount"}]
        exceptions jsonb not null default '[]',
        primary key (trial_id, contract_id)
);
do $$
declare t text;
begin
        foreach t in array array['trial', 'trial_bill'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- What the loader wants to know about contracts over given days.
create function billing.span_contracts(p_contracts bigint[], p_from date[], p_to date[], p_full int[])
returns table (contract_id bigint, number text, account_id bigint, service_point_id bigint, tariff text, class text,
        from_day int, to_day int, full_days int, months int, households int, contract_kw text, main_code text,
        billed boolean, previous_bill bigint, previous_daily numeric, rebill_of bigint) language sql stable as $$
        select c.contract_id, c.number, c.account_id, c.service_point_id, c.tariff, c.class,
               n.d0 - date '1970-01-01', n.d1 - date '1970-01-01', n.full_days, 0,
               case when c.params->>'households' ~ '^[0-9]{1,4}$' then (c.params->>'households')::int
                    else s.households end,
               coalesce(case when c.params->>'contract_kw' ~ '^[0-9.]{1,12}$' then c.params->>'contract_kw' end,
                        s.contract_kw::text, '0'),
               case s.commodity when 'electricity' then 'energy.import' when 'water' then 'water.volume'
                                when 'gas' then 'gas.volume' else 'heat.energy' end,
               exists (select from billing.bill b where b.contract_id = c.contract_id
                       and b.period && daterange(n.d0, n.d1) and b.state in ('draft', 'held', 'issued')),
               p.bill_id, coalesce(round(p.quantity / (upper(p.period) - lower(p.period)), 6), 0),
               (select max(x.bill_id) from billing.bill x where x.contract_id = c.contract_id and x.state = 'reversed'
                       and x.period && daterange(n.d0, n.d1))
        from unnest(p_contracts, p_from, p_to, p_full) as n(contract_id, d0, d1, full_days)
        join crm.contract c on c.contract_id = n.contract_id
        join crm.service_point s on s.service_point_id = c.service_point_id
        left join lateral (select * from billing.bill b where b.contract_id = c.contract_id and b.state = 'issued'
                           and upper(b.period) <= n.d0 order by upper(b.period) desc limit 1) p on true
        order by c.contract_id
$$;

-- Days of each contract a trial looks at, after contract @p_after. An accrual begins where the last
-- issued bill ends, at most 400 days back.
create function billing.trial_spans(p_trial bigint, p_after bigint, p_limit int)
returns table (contract_id bigint, d0 date, d1 date, full_days int) language plpgsql stable as $$
#variable_conflict use_column
declare t billing.trial;
begin
        select * into t from billing.trial where trial_id = p_trial;
        if t.kind = 'run' then
                return query
                select c.contract_id, lower(c.valid * t.period), upper(c.valid * t.period),
                       upper(t.period) - lower(t.period)
                from crm.contract c
                where c.branch_id = t.branch_id and c.cycle = t.cycle and c.valid && t.period
                  and c.contract_id > p_after order by c.contract_id limit p_limit;
                return;
        end if;
        return query
        select s.contract_id, s.d0, s.d1, 30 * s.months from (
                select c.contract_id, coalesce(y.months, 1)::int as months,
                       greatest(lower(c.valid), upper(t.period) - 400, coalesce((select max(upper(b.period))
                                from billing.bill b where b.contract_id = c.contract_id and b.state = 'issued'),
                                lower(c.valid))) as d0,
                       least(upper(t.period), coalesce(upper(c.valid), upper(t.period))) as d1
                from crm.contract c
                left join billing.cycle y on y.branch_id = c.branch_id and y.code = c.cycle
                where c.branch_id = t.branch_id and c.contract_id > p_after and lower(c.valid) < upper(t.period)
                  and (t.cycle is null or c.cycle = t.cycle)) s
        where s.d0 < s.d1 order by s.contract_id limit p_limit;
end $$;

create function billing.save_trial(p_trial bigint, p_bills jsonb) returns void language plpgsql as $$
declare t billing.trial; v_facts billing.outsort_facts[];
begin
        select * into t from billing.trial where trial_id = p_trial;
        insert into billing.trial_bill (trial_id, contract_id, branch_id, period, state, total, tax, quantity, unit,
                status, previous_bill_id, lines, exceptions)
        select p_trial, x.contract_id, t.branch_id,
               daterange(date '1970-01-01' + x.from_day, date '1970-01-01' + x.to_day), x.state, x.total, x.tax,
               x.quantity, x.unit, x.status, x.previous_bill_id, x.lines, x.exceptions
        from jsonb_to_recordset(p_bills) as x(contract_id bigint, from_day int, to_day int, state text, total bigint,
                tax bigint, quantity numeric, unit text, status text, previous_bill_id bigint, lines jsonb,
                exceptions jsonb)
        on conflict do nothing;
        if t.kind <> 'run' then
                return;
        end if;
        select array_agg(row(b.contract_id, c.class, b.total, b.quantity, upper(b.period) - lower(b.period), p.total,
                        p.quantity, upper(p.period) - lower(p.period), b.status,
                        case when b.status = 'estimated' then
                                billing.estimated_in_a_row(b.contract_id, lower(b.period)) else 0 end,
                        b.exceptions)::billing.outsort_facts)
        into v_facts
        from jsonb_to_recordset(p_bills) as x(contract_id bigint)
        join billing.trial_bill b on b.trial_id = p_trial and b.contract_id = x.contract_id and b.state <> 'skipped'
        join crm.contract c on c.contract_id = b.contract_id
        left join billing.bill p on p.bill_id = b.previous_bill_id;
        update billing.trial_bill b set exceptions = o.exceptions, state = case when o.held then 'held' else 'draft' end
        from billing.outsort(t.branch_id, v_facts) o
        where b.trial_id = p_trial and b.contract_id = o.id;
end $$;
