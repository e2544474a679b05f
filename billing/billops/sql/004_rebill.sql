-- Cancelling and billing again, one bill or a hundred thousand: a list, the effect computed with the
-- real code and taken back, a second person, then each contract in one piece: reversal, new bill,
-- ledger, credit note. What comes out as it was is left alone.
create table billing.rebill (
        rebill_id  bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        mode       text not null check (mode in ('rebill', 'cancel')),
        reason     text not null check (length(reason) >= 3),
        state      text not null default 'draft' check (state in ('draft', 'simulated', 'approved', 'done', 'cancelled')),
        created_by text not null check (created_by <> ''),
        created_at timestamptz not null default now(),
        simulated_at timestamptz,
        approved_by text, approved_at timestamptz,
        done_at    timestamptz,
        run_id     bigint references billing.run,        -- that holds the new bills
        cycle      text, period daterange,               -- of that run: most bills' cycle, all bills' days
        bills      bigint not null default 0, contracts bigint not null default 0,
        job_id     bigint
);
create table billing.rebill_item (
        rebill_id  bigint not null references billing.rebill,
        bill_id    bigint not null references billing.bill,      -- to be reversed
        branch_id  smallint not null references core.branch,
        contract_id bigint not null,
        nth        smallint not null,                    -- of the contract's bills in this list, oldest first
        chained    boolean not null default false,       -- here because an earlier bill of the list hands on a balance
        period     daterange not null,
        old_total  bigint not null, old_digest text,      -- the digest is taken by the simulation
        new_total  bigint, new_digest text, new_quantity numeric,
        new_bill_id bigint references billing.bill,
        state      text not null default 'open' check (state in ('open', 'ready', 'unchanged', 'failed', 'done')),
        note       text not null default '',
        primary key (rebill_id, bill_id)
);
create index on billing.rebill_item (rebill_id, contract_id, nth);
create index on billing.rebill_item (bill_id);

create table billing.rebill_proposal (
        proposal_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        bill_id    bigint not null references billing.bill,
        cause      text not null,
        detail     text not null default '',
        first_at   timestamptz not null default now(),
        last_at    timestamptz not null default now(),
        times      int not null default 1,
        state      text not null default 'open' check (state in ('open', 'taken', 'dismissed')),
        rebill_id  bigint references billing.rebill,
        closed_by  text, closed_reason text
);
create unique index on billing.rebill_proposal (bill_id) where state = 'open';

do $$
declare t text;
begin
        foreach t in array array['rebill', 'rebill_item', 'rebill_proposal'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- Everything that makes a bill: its lines with their traces, and the balances it hands on.
create function billing.bill_digest(p_bill bigint) returns text language sql stable as $$
        select encode(sha256(convert_to(concat_ws('|', b.period, b.total, b.carry, b.quantity,
                (select string_agg(encode(l.hash, 'hex'), ',' order by l.line_no) from billing.bill_line l
                 where l.bill_id = b.bill_id)), 'UTF8')), 'hex')
        from billing.bill b where b.bill_id = p_bill
$$;

create function billing.rebill_before() returns trigger language plpgsql as $$
declare v_moved numeric;
begin
        if new.state = old.state then
                return new;
        end if;
        if (old.state, new.state) not in (('draft', 'simulated'), ('simulated', 'approved'), ('approved', 'done'),
                        ('draft', 'cancelled'), ('simulated', 'cancelled')) then
                raise exception 'Re-bill % is %; it cannot become %', old.rebill_id, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if new.state = 'approved' then
                select coalesce(sum(abs(coalesce(new_total, 0) - old_total)), 0) into v_moved
                from billing.rebill_item where rebill_id = new.rebill_id and state = 'ready';
                if v_moved > (billing.policy_of(new.branch_id)).adjust_limit then
                        perform billing.check_second_person(new.created_by, new.approved_by, 'A re-bill over the limit');
                end if;
        end if;
        return new;
end $$;
create trigger rebill_before before update on billing.rebill for each row execute function billing.rebill_before();

-- Lists the issued bills to work on: those named, or those that match all of what is given.
create function billing.rebill_create(p_branch smallint, p_mode text, p_reason text, p_actor text, p_bills bigint[],
        p_contract text, p_tariff text, p_class text, p_from date, p_to date, p_run bigint, p_estimated boolean)
returns bigint language plpgsql as $$
declare v_id bigint; v_n bigint;
begin
        if p_bills is null and p_contract is null and p_tariff is null and p_run is null and not coalesce(p_estimated, false) then
                raise exception 'Say which bills: bills, contract, tariff, run or estimated' using errcode = 'HR001';
        end if;
        insert into billing.rebill (branch_id, mode, reason, created_by) values (p_branch, p_mode, p_reason, p_actor)
        returning rebill_id into v_id;
        insert into billing.rebill_item (rebill_id, bill_id, branch_id, contract_id, nth, period, old_total)
        select v_id, b.bill_id, b.branch_id, b.contract_id, 0, b.period, b.total
        from billing.bill b join crm.contract c using (contract_id)
        where b.branch_id = p_branch and b.state = 'issued'
          and (p_bills is null or b.bill_id = any (p_bills))
          and (p_contract is null or c.number = p_contract)
          and (p_tariff is null or b.inputs->'parts' @> jsonb_build_array(jsonb_build_object('code', p_tariff)))
          and (p_class is null or c.class = p_class)
          and (p_from is null or upper(b.period) > p_from) and (p_to is null or lower(b.period) < p_to)
          and (p_run is null or b.run_id = p_run)
          and (not coalesce(p_estimated, false) or exists (select from billing.determinant d
                        where d.bill_id = b.bill_id and d.status in ('estimated', 'mixed')));
        select count(*) into v_n from billing.rebill_item where rebill_id = v_id;
        if v_n = 0 or v_n < cardinality(p_bills) then
                raise exception '% of the bills asked for are issued bills of this branch; nothing was done', v_n
                        using errcode = 'HR001';
        end if;
        -- Later bills begin with the balance an earlier one hands on (energy banks, credits).
        if p_mode = 'rebill' then
                insert into billing.rebill_item (rebill_id, bill_id, branch_id, contract_id, nth, chained, period,
                                                 old_total)
                select v_id, b.bill_id, b.branch_id, b.contract_id, 0, true, b.period, b.total
                from (select i.contract_id, min(lower(i.period)) as first
                      from billing.rebill_item i join billing.bill o using (bill_id)
                      where i.rebill_id = v_id and o.carry <> '[]' group by i.contract_id) f
                join billing.bill b on b.contract_id = f.contract_id and b.state = 'issued' and lower(b.period) > f.first
                on conflict do nothing;
        end if;
        update billing.rebill_item i set nth = n.nth
        from (select bill_id, row_number() over (partition by contract_id order by lower(period)) as nth
              from billing.rebill_item where rebill_id = v_id) n
        where i.rebill_id = v_id and i.bill_id = n.bill_id;
        update billing.rebill r set bills = s.bills, contracts = s.contracts, period = s.period, cycle = (
                select x.cycle from billing.rebill_item i join billing.bill b using (bill_id)
                join billing.run x on x.run_id = b.run_id where i.rebill_id = v_id
                group by x.cycle order by count(*) desc, x.cycle limit 1)
        from (select count(*) as bills, count(distinct contract_id) as contracts,
                     daterange(min(lower(period)), max(upper(period))) as period
              from billing.rebill_item where rebill_id = v_id) s
        where r.rebill_id = v_id;
        return v_id;
end $$;

create function billing.rebill_next(p_rebill bigint, p_after bigint, p_limit int, p_state text) returns bigint[]
language sql stable as $$
        select array_agg(contract_id order by contract_id) from (
                select distinct contract_id from billing.rebill_item
                where rebill_id = p_rebill and contract_id > p_after and state = p_state
                order by contract_id limit p_limit) x
$$;

-- The run new bills go into: approved already, by whoever approved the re-bill.
create function billing.rebill_run(p_rebill bigint) returns bigint language plpgsql as $$
declare r billing.rebill; v_run bigint;
begin
        select * into r from billing.rebill where rebill_id = p_rebill;
        if r.run_id is not null then
                return r.run_id;
        end if;
        insert into billing.run (branch_id, cycle, period, created_by, single_operator, kind, contracts)
        values (r.branch_id, r.cycle, r.period, r.created_by, coalesce(billing.same_person(r.created_by, r.approved_by), true),
                'rebill', r.contracts)
        returning run_id into v_run;
        update billing.run set computed_at = now() where run_id = v_run;
        update billing.run set state = 'approved', approved_by = coalesce(r.approved_by, r.created_by), approved_at = now(),
                issue_at = now() where run_id = v_run;
        return v_run;
end $$;

-- Marks what cannot be touched any more; then reverses the contracts' bills, the newest first.
create function billing.rebill_reverse(p_rebill bigint, p_contracts bigint[], p_state text, p_actor text) returns void
language plpgsql as $$
declare i record; r billing.rebill;
begin
        select * into r from billing.rebill where rebill_id = p_rebill;
        for i in select x.bill_id from billing.rebill_item x
                 where x.rebill_id = p_rebill and x.contract_id = any (p_contracts) and x.state = p_state
                 order by x.contract_id, x.nth desc loop
                perform billing.reverse_bill(i.bill_id, r.reason, p_actor);
        end loop;
end $$;

-- Contracts with a bill on their list that is not issued any more: nothing of them is done.
create function billing.rebill_stale(p_rebill bigint, p_contracts bigint[], p_state text) returns void
language plpgsql as $$
begin
        perform 1 from billing.rebill_item i join billing.bill b using (bill_id)
        where i.rebill_id = p_rebill and i.contract_id = any (p_contracts) and i.state = p_state
        order by b.bill_id for update of b;
        update billing.rebill_item i set state = 'failed', note = format('Bill %s is %s meanwhile', b.bill_id, b.state)
        from (select distinct on (x.contract_id) x.contract_id, y.bill_id, y.state
              from billing.rebill_item x join billing.bill y using (bill_id)
              where x.rebill_id = p_rebill and x.contract_id = any (p_contracts) and x.state = p_state and y.state <> 'issued'
              order by x.contract_id, x.nth) b
        where i.rebill_id = p_rebill and i.contract_id = b.contract_id and i.state = p_state;
end $$;

-- Soft causes were in front of whoever approved the re-bill. Then issues; hard ones stay held.
create function billing.rebill_issue(p_rebill bigint, p_run bigint, p_actor text) returns void language plpgsql as $$
begin
        update billing.bill set state = 'draft', released_by = p_actor, released_at = now(),
                release_reason = 'Re-bill ' || p_rebill
        where run_id = p_run and state = 'held'
          and not exists (select from jsonb_array_elements(exceptions) e where (e->>'hard')::boolean);
        perform billing.issue_bills(p_run, 1000000, p_actor);
end $$;

-- What became of the contracts' items in this transaction.
create function billing.rebill_results(p_rebill bigint, p_run bigint, p_contracts bigint[], p_state text)
returns jsonb language sql stable as $$
        select coalesce(jsonb_agg(jsonb_build_object('bill', i.bill_id, 'contract', i.contract_id,
                'new', n.bill_id, 'total', coalesce(n.total, 0), 'quantity', n.quantity,
                'digest', coalesce(billing.bill_digest(n.bill_id), ''),
                'fault', case when r.mode = 'cancel' then null
                              when n.bill_id is null then 'No bill came out for these days'
                              when n.state <> 'issued' then coalesce((select e->>'text' from jsonb_array_elements(n.exceptions) e
                                        where (e->>'hard')::boolean limit 1), 'The new bill is ' || n.state) end)
                order by i.contract_id, i.nth), '[]')
        from billing.rebill_item i
        join billing.rebill r using (rebill_id)
        left join billing.bill n on n.run_id = p_run and n.contract_id = i.contract_id and n.period = i.period
                  and n.state in ('draft', 'held', 'issued')
        where i.rebill_id = p_rebill and i.contract_id = any (p_contracts) and i.state = p_state
$$;

-- Keeps the outcome of a simulation (whose bills are gone again). One fault stops its contract.
create function billing.rebill_simulated(p_rebill bigint, p_results jsonb) returns void language sql as $$
        with x as (select * from jsonb_to_recordset(p_results) as x(bill bigint, contract bigint, total bigint,
                        quantity numeric, digest text, fault text)),
        bad as (select distinct on (contract) contract, fault from x where fault is not null order by contract, bill),
        o as (select x.*, b.fault as stopped, billing.bill_digest(x.bill) as old from x left join bad b using (contract))
        update billing.rebill_item i set new_total = x.total, new_digest = x.digest, new_quantity = x.quantity,
                old_digest = x.old,
                state = case when x.stopped is not null then 'failed'
                             when x.digest = x.old then 'unchanged' else 'ready' end,
                note = coalesce(x.fault, x.stopped, '')
        from o x
        where i.rebill_id = p_rebill and i.bill_id = x.bill
$$;

-- Contracts whose outcome is not what was approved are marked; their number is returned.
create function billing.rebill_differing(p_rebill bigint, p_results jsonb) returns bigint[] language sql stable as $$
        select array_agg(distinct i.contract_id)
        from jsonb_to_recordset(p_results) as x(bill bigint, digest text, fault text)
        join billing.rebill_item i on i.rebill_id = p_rebill and i.bill_id = x.bill
        where x.fault is not null or x.digest is distinct from i.new_digest
$$;
create function billing.rebill_refuse(p_rebill bigint, p_contracts bigint[]) returns void language sql as $$
        update billing.rebill_item set state = 'failed',
                note = 'The data changed since the approval; simulate it in a new re-bill'
        where rebill_id = p_rebill and contract_id = any (p_contracts) and state = 'ready'
$$;
create function billing.rebill_keep(p_rebill bigint, p_results jsonb) returns void language sql as $$
        update billing.rebill_item i set state = 'done', new_bill_id = x.new
        from jsonb_to_recordset(p_results) as x(bill bigint, new bigint)
        where i.rebill_id = p_rebill and i.bill_id = x.bill
$$;

-- ---- proposals ----
-- Readings of @p_meter changed on @p_days (UTC): issued bills get a proposal, drafts are held.
create function billing.readings_changed(p_meter int, p_days date[]) returns bigint[] language plpgsql as $$
declare v_open bigint[];
begin
        with hit as (
                select b.bill_id, b.branch_id, b.state, r.state as run_state
                from crm.installation i
                join crm.contract c using (service_point_id)
                join billing.bill b using (contract_id)
                join billing.run r using (run_id)
                where i.meter_id = p_meter and b.state in ('draft', 'held', 'issued')
                  and exists (select from jsonb_array_elements(b.inputs->'segments') s where (s->>'meter_id')::int = p_meter)
                  and exists (select from unnest(p_days) d where daterange(d - 1, d + 2) && b.period)
        ), held as (
                update billing.bill b set state = 'held', exceptions = b.exceptions || jsonb_build_array(jsonb_build_object(
                        'code', 'readings_changed', 'hard', true,
                        'text', 'Readings changed after the bill was computed; cancel the run or bill the contract again'))
                from hit where b.bill_id = hit.bill_id and hit.state in ('draft', 'held') and hit.run_state = 'draft'
                  and not b.exceptions @> '[{"code": "readings_changed"}]'
        ), put as (
                insert into billing.rebill_proposal as p (branch_id, bill_id, cause, detail)
                select branch_id, bill_id, 'readings_changed', format('Meter %s, days %s to %s', p_meter,
                        (select min(d) from unnest(p_days) d), (select max(d) from unnest(p_days) d))
                from hit where state = 'issued' or run_state <> 'draft'
                on conflict (bill_id) where state = 'open' do update set times = p.times + 1, last_at = now()
                returning p.bill_id, p.times
        )
        select array_agg(bill_id order by bill_id) into v_open from put where times = 1;
        return v_open;
end $$;

create function billing.proposals_take(p_rebill bigint, p_actor text) returns void language sql as $$
        update billing.rebill_proposal p set state = 'taken', rebill_id = p_rebill, closed_by = p_actor
        from billing.rebill_item i where i.rebill_id = p_rebill and i.bill_id = p.bill_id and p.state = 'open'
$$;
