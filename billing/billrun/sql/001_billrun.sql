-- Cycles, runs and bills. A bill holds what it was computed from (determinants with the hash of the
-- reading versions, tariff versions, contract parameters) and every line holds its trace, so that
-- any line can be computed again and compared.

create table billing.cycle (
        branch_id smallint not null references core.branch,
        code      text not null check (code ~ '^[a-z0-9_-]{1,32}$'),
        name      text not null,
        months    smallint not null default 1 check (months between 1 and 12),
        due_days  smallint not null default 14 check (due_days between 0 and 120),
        primary key (branch_id, code)
);

create table billing.run (
        run_id     bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        cycle      text not null,
        period     daterange not null check (not isempty(period) and not lower_inf(period) and not upper_inf(period)),
        contract_id bigint references crm.contract,      -- a run for one contract: off-cycle, re-bill
        state      text not null default 'draft' check (state in ('draft', 'approved', 'issued', 'cancelled')),
        single_operator boolean not null default false,  -- the configuration let the creator approve
        created_by text not null check (created_by <> ''),
        created_at timestamptz not null default now(),
        contracts  bigint not null default 0,            -- to bill
        done       bigint not null default 0,            -- looked at so far
        skipped    bigint not null default 0,            -- already had an active bill for the period
        computed_at timestamptz,                         -- every contract was looked at
        approved_by text, approved_at timestamptz,
        issue_at   timestamptz,                          -- instant all bills of the run count from
        issued_at  timestamptz,
        cancelled_by text, cancelled_at timestamptz,
        job_id     bigint,
        issue_job_id bigint,
        foreign key (branch_id, cycle) references billing.cycle,
        constraint run_four_eyes check (approved_by is null or single_operator or approved_by <> created_by)
);
create index on billing.run (branch_id, created_at desc);
comment on constraint run_four_eyes on billing.run is
        'A bill run is approved by someone other than the person who created it';

create function billing.run_before() returns trigger language plpgsql as $$
begin
        if tg_op = 'DELETE' then
                raise exception 'A bill run is kept; cancel it instead' using errcode = 'HR001';
        end if;
        if tg_op = 'INSERT' then
                if new.state <> 'draft' then
                        raise exception 'A bill run begins as a draft' using errcode = 'HR001';
                end if;
                return new;
        end if;
        if new.state <> old.state and (old.state, new.state) not in (('draft', 'approved'), ('draft', 'cancelled'),
                        ('approved', 'issued'), ('approved', 'cancelled')) then
                raise exception 'Bill run % is %; it cannot become %', old.run_id, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if new.state = 'approved' and old.state = 'draft' then
                if new.computed_at is null then
                        raise exception 'Bill run % is still being computed; wait until it is done', old.run_id
                                using errcode = 'HR001';
                end if;
                if coalesce(new.approved_by, '') = '' then
                        raise exception 'An approval needs a name' using errcode = 'HR001';
                end if;
        end if;
        if new.state = 'cancelled' and old.state = 'approved' and old.issue_job_id is not null then
                raise exception 'Bill run % is being issued; reverse single bills instead', old.run_id
                        using errcode = 'HR001';
        end if;
        if (new.branch_id, new.cycle, new.period, new.created_by, new.contract_id, new.single_operator)
           is distinct from (old.branch_id, old.cycle, old.period, old.created_by, old.contract_id, old.single_operator)
           or (old.approved_by is not null and new.approved_by is distinct from old.approved_by) then
                raise exception 'What a bill run was created and approved with does not change' using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger run_before before insert or update or delete on billing.run
        for each row execute function billing.run_before();

create table billing.bill (
        bill_id    bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        run_id     bigint not null references billing.run,
        contract_id bigint not null references crm.contract,
        account_id bigint not null references crm.account,
        service_point_id bigint not null references crm.service_point,
        period     daterange not null check (not isempty(period)),
        state      text not null default 'draft'
                   check (state in ('draft', 'held', 'issued', 'reversed', 'cancelled')),
        currency   text not null,
        total      bigint not null default 0,            -- minor units, Σ of its lines
        tax        bigint not null default 0,            -- of which taxes and levies
        quantity   numeric,                              -- main quantity, for charts and comparison
        unit       text not null default '',
        exceptions jsonb not null default '[]',          -- [{"code","text","hard"}]
        released_by text, released_at timestamptz, release_reason text,
        inputs     jsonb not null default '{}',          -- contract, parts, segments ...: what replay begins from
        carry      jsonb not null default '[]',          -- balances the next bill begins with
        peak_kw    numeric,                              -- highest demand, for ratchets of later bills
        previous_bill_id bigint references billing.bill,
        rebill_of  bigint references billing.bill,
        created_at timestamptz not null default now(),
        due        date,
        issued_at  timestamptz,
        entry_id   bigint references ledger.entry,
        reversal_entry_id bigint references ledger.entry,
        reversed_by text, reversed_at timestamptz, reversal_reason text,
        -- One active bill per contract and day, whatever runs do at the same time.
        constraint bill_once exclude using gist (contract_id with =, period with &&)
                where (state in ('draft', 'held', 'issued'))
);
create index on billing.bill (run_id, state, bill_id);
create index on billing.bill (account_id);
create index on billing.bill (contract_id, upper(period) desc);
comment on constraint bill_once on billing.bill is
        'This contract already has an active bill for these days; reverse or cancel it first';

-- A quantity a bill was computed from. `sources` names meters, channels, spans, multipliers and the
-- number of values; `readings` is the sha256 of every reading version used, in order.
create table billing.determinant (
        bill_id   bigint not null references billing.bill,
        branch_id smallint not null references core.branch,
        part_no   smallint not null,                     -- 0 = whole bill, else a tariff part
        name      text not null,                         -- channel code or the rating's quantity name
        unit      text not null,
        quantity  numeric not null,
        status    text not null check (status in ('measured', 'estimated', 'mixed', 'derived')),
        readings  bytea,
        sources   jsonb not null default '[]',
        daily     jsonb not null default '[]',           -- quantity per local day, for the chart
        primary key (bill_id, part_no, name)
);

create table billing.bill_line (
        bill_id   bigint not null references billing.bill,
        line_no   smallint not null check (line_no > 0),
        branch_id smallint not null references core.branch,
        part_no   smallint not null,
        code      text not null,                         -- component, tier, price period: "energy_t1"
        component text not null,
        kind      text not null check (kind in ('charge', 'tax', 'minimum', 'rounding', 'given', 'credit')),
        label     text not null default '',
        quantity  text not null,                         -- exact decimals as computed
        unit      text not null,
        price     text not null,
        exact     text not null,                         -- before rounding, major units
        amount    bigint not null,                       -- minor units
        trace     text not null,                         -- JSON, byte for byte as the rating wrote it
        hash      bytea not null,                        -- sha256 of all of the above
        primary key (bill_id, line_no)
);

do $$
declare t text;
begin
        foreach t in array array['cycle', 'run', 'bill', 'determinant', 'bill_line'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- ---- what was issued stays ----
create function billing.bill_before() returns trigger language plpgsql as $$
begin
        if tg_op = 'DELETE' then
                raise exception 'A bill is kept; cancel or reverse it instead' using errcode = 'HR001';
        end if;
        if new.state <> old.state and (old.state, new.state) not in (('draft', 'issued'), ('draft', 'cancelled'),
                        ('held', 'draft'), ('held', 'cancelled'), ('issued', 'reversed')) then
                raise exception 'Bill % is %; it cannot become %', old.bill_id, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if old.state in ('issued', 'reversed', 'cancelled') and
           (to_jsonb(new) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason']) <>
           (to_jsonb(old) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason']) then
                raise exception 'Bill % is %; reverse it and bill again', old.bill_id, old.state using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger bill_before before update or delete on billing.bill
        for each row execute function billing.bill_before();

create function billing.bill_part_before() returns trigger language plpgsql as $$
declare v_bill bigint := case when tg_op = 'INSERT' then new.bill_id else old.bill_id end; v_state text;
begin
        select state into v_state from billing.bill where bill_id = v_bill;
        if v_state not in ('draft', 'held') then
                raise exception 'Bill % is %; its lines do not change', v_bill, v_state using errcode = 'HR001';
        end if;
        if tg_op = 'DELETE' then
                return old;
        end if;
        return new;
end $$;
create trigger bill_open before insert or update or delete on billing.bill_line
        for each row execute function billing.bill_part_before();
create trigger bill_open before insert or update or delete on billing.determinant
        for each row execute function billing.bill_part_before();

-- ---- total = Σ lines ----
create function billing.check_total() returns trigger language plpgsql as $$
declare v_bill bigint := case when tg_op = 'DELETE' then old.bill_id else new.bill_id end;
        b billing.bill; v_sum numeric; v_tax numeric;
begin
        select * into b from billing.bill where bill_id = v_bill;
        select coalesce(sum(amount), 0), coalesce(sum(amount) filter (where kind = 'tax'), 0) into v_sum, v_tax
        from billing.bill_line where bill_id = v_bill;
        if (b.total, b.tax) is distinct from (v_sum::bigint, v_tax::bigint) then
                raise exception 'Bill % says total % and tax %, its lines add up to % and %', v_bill, b.total, b.tax,
                        v_sum, v_tax using errcode = 'HR001';
        end if;
        return null;
end $$;
create constraint trigger total_is_sum after insert or update of total, tax on billing.bill
        deferrable initially deferred for each row execute function billing.check_total();
create constraint trigger total_is_sum after insert or update or delete on billing.bill_line
        deferrable initially deferred for each row execute function billing.check_total();
