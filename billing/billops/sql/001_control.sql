-- Who may approve what, what holds a bill back, what an approver saw before saying yes.

-- A branch's rules around billing; a branch without a row has the defaults.
create table billing.policy (
        branch_id smallint primary key references core.branch,
        review_required boolean not null default false,  -- a run is approved only by who has reviewed it
        sample    smallint not null default 20 check (sample between 1 and 500),        -- bills shown besides the outliers
        adjust_limit bigint not null default 0 check (adjust_limit >= 0),       -- minor units; up to it one person is enough
        estimate_limit smallint not null default 3 check (estimate_limit between 1 and 60),     -- estimated bills in a row
        weekend   text not null default '67' check (weekend ~ '^[1-7]{0,6}$'),  -- days off, 1 = Monday
        calendar  text                                   -- of billing.holiday: days off besides
);

create function billing.policy_of(p_branch smallint) returns billing.policy language plpgsql stable as $$
declare p billing.policy;
begin
        select * into p from billing.policy where branch_id = p_branch;
        if not found then
                p := row(p_branch, false, 20, 0, 3, '67', null);
        end if;
        return p;
end $$;

-- Two logins of one human being. Who is who is recorded by an administrator; equal full names count
-- as well, so that a second account made carelessly does not open a way around the four eyes.
create table billing.login_person (
        login  text primary key,
        person text not null check (person <> '')
);
create index on billing.login_person (person);

create function billing.same_person(a text, b text) returns boolean language sql stable as $$
        select a = b
            or exists (select from billing.login_person x join billing.login_person y using (person)
                       where x.login = a and y.login = b)
            or exists (select from core.login x join core.login y
                              on lower(btrim(regexp_replace(x.name, '\s+', ' ', 'g'))) =
                                 lower(btrim(regexp_replace(y.name, '\s+', ' ', 'g')))
                       where x.login = a and y.login = b and btrim(x.name) <> '')
$$;

create function billing.check_second_person(p_maker text, p_approver text, p_what text) returns void
language plpgsql stable as $$
begin
        if coalesce(p_approver, '') = '' then
                raise exception 'An approval needs a name' using errcode = 'HR001';
        end if;
        if billing.same_person(p_maker, p_approver) then
                raise exception '% is approved by someone other than the person who created it (%)', p_what, p_maker
                        using errcode = 'HR001';
        end if;
end $$;

-- ---- runs ----
alter table billing.run
        add column kind text not null default 'cycle' check (kind in ('cycle', 'final', 'rebill')),
        add column due_day date,                         -- of all bills of the run, by the cycle's rule
        add column undone smallint not null default 0;   -- how often an approval was taken back

create table billing.run_review (
        review_id bigint generated always as identity primary key,
        run_id    bigint not null references billing.run,
        branch_id smallint not null references core.branch,
        reviewer  text not null,
        digest    text not null,                         -- billing.run_digest() of what was shown
        outliers  int not null, sample int not null,
        at        timestamptz not null default now()
);
create index on billing.run_review (run_id);

-- Changes with every bill that would be issued: number, amount, state.
create function billing.run_digest(p_run bigint) returns text language sql stable as $$
        select encode(sha256(convert_to(coalesce(string_agg(concat_ws('|', bill_id, state, total, tax), ';'
                                                            order by bill_id), ''), 'UTF8')), 'hex')
        from billing.bill where run_id = p_run and state in ('draft', 'held', 'issued')
$$;

create or replace function billing.run_before() returns trigger language plpgsql as $$
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
                        ('approved', 'issued'), ('approved', 'cancelled'), ('approved', 'draft')) then
                raise exception 'Bill run % is %; it cannot become %', old.run_id, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if new.state in ('cancelled', 'draft') and old.state = 'approved' and old.issue_job_id is not null then
                raise exception 'Bill run % is being issued; cancel its bills with a re-bill instead', old.run_id
                        using errcode = 'HR001';
        end if;
        if (new.branch_id, new.cycle, new.period, new.created_by, new.contract_id, new.single_operator, new.kind)
           is distinct from (old.branch_id, old.cycle, old.period, old.created_by, old.contract_id,
                             old.single_operator, old.kind)
           or (old.approved_by is not null and new.approved_by is distinct from old.approved_by
               and new.state <> 'draft') then
                raise exception 'What a bill run was created and approved with does not change' using errcode = 'HR001';
        end if;
        if new.state = 'approved' and old.state = 'draft' then
                perform billing.check_approval(new);
        elsif new.state = 'draft' and old.state = 'approved' then
                new.approved_by := null;
                new.approved_at := null;
                new.undone := old.undone + 1;
        end if;
        if new.issue_at is not null and old.issue_at is null then
                new.due_day := billing.due_from(new.branch_id, new.cycle, (new.issue_at at time zone
                        (select tz from core.branch b where b.branch_id = new.branch_id))::date);
        end if;
        return new;
end $$;

create function billing.check_approval(r billing.run) returns void language plpgsql stable as $$
begin
        if r.computed_at is null then
                raise exception 'Bill run % is still being computed; wait until it is done', r.run_id
                        using errcode = 'HR001';
        end if;
        if not r.single_operator then
                perform billing.check_second_person(r.created_by, r.approved_by, 'A bill run');
        elsif coalesce(r.approved_by, '') = '' then
                raise exception 'An approval needs a name' using errcode = 'HR001';
        end if;
        if r.kind <> 'rebill' and (billing.policy_of(r.branch_id)).review_required
           and not exists (select from billing.run_review v where v.run_id = r.run_id and v.reviewer = r.approved_by
                           and v.digest = billing.run_digest(r.run_id)) then
                raise exception 'Review bill run % first, as it is now: its outliers and a sample', r.run_id
                        using errcode = 'HR001';
        end if;
end $$;

-- ---- bills ----
-- A bill is held or let go while its run is a draft: what was approved is what is issued.
create or replace function billing.bill_before() returns trigger language plpgsql as $$
declare v_run billing.run;
begin
        if tg_op = 'DELETE' then
                raise exception 'A bill is kept; cancel or reverse it instead' using errcode = 'HR001';
        end if;
        if new.state <> old.state and (old.state, new.state) not in (('draft', 'issued'), ('draft', 'cancelled'),
                        ('draft', 'held'), ('held', 'draft'), ('held', 'cancelled'), ('issued', 'reversed')) then
                raise exception 'Bill % is %; it cannot become %', old.bill_id, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if old.state in ('issued', 'reversed', 'cancelled') and
           (to_jsonb(new) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason']) <>
           (to_jsonb(old) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason']) then
                raise exception 'Bill % is %; reverse it and bill again', old.bill_id, old.state using errcode = 'HR001';
        end if;
        if (old.state, new.state) in (('draft', 'held'), ('held', 'draft')) then
                select * into v_run from billing.run where run_id = old.run_id;
                if v_run.state <> 'draft' and v_run.kind <> 'rebill' then
                        raise exception 'Bill run % is %; take the approval back before bills are held or released',
                                v_run.run_id, v_run.state using errcode = 'HR001';
                end if;
        end if;
        if new.due is distinct from old.due and new.state = 'draft' then
                new.due := coalesce((select due_day from billing.run where run_id = new.run_id), new.due);
        end if;
        return new;
end $$;

-- ---- outsort rules ----
create table billing.outsort_rule (
        branch_id smallint not null references core.branch,
        kind      text not null check (kind in ('high', 'low', 'zero', 'negative', 'estimated', 'estimated_periods',
                                                'first', 'changed', 'amount')),
        class     text not null default '',              -- '' = every class without a rule of its own
        threshold numeric not null default 0 check (threshold >= 0),
        action    text not null default 'hold' check (action in ('hold', 'note', 'off')),
        set_by    text not null default '',
        set_at    timestamptz not null default now(),
        primary key (branch_id, kind, class)
);

-- What rule @p_kind says about a bill; null = nothing. Thresholds: percent of the previous bill's use
-- per day (high, low), percent of change in money per day (changed), minor units (amount), estimated
-- bills in a row (estimated_periods), 100 = wholly estimated only (estimated).
create function billing.outsort_text(p_kind text, p_threshold numeric, p_total bigint, p_quantity numeric, p_days int,
        p_total0 bigint, p_quantity0 numeric, p_days0 int, p_status text, p_estimated bigint)
returns text language sql immutable as $$
        select case p_kind
        when 'high' then case when p_quantity0 > 0 and p_quantity / p_days * 100 > p_threshold * p_quantity0 / p_days0 then
                format('%s a day, %s on the previous bill', round(p_quantity / p_days, 2), round(p_quantity0 / p_days0, 2)) end
        when 'low' then case when p_quantity0 > 0 and p_quantity <> 0
                              and p_quantity / p_days * 100 < p_threshold * p_quantity0 / p_days0 then
                format('%s a day, %s on the previous bill', round(p_quantity / p_days, 2), round(p_quantity0 / p_days0, 2)) end
        when 'zero' then case when p_quantity = 0 then 'No use in the whole period' end
        when 'negative' then case when p_total < 0 then 'The bill is negative' end
        when 'estimated' then case when p_status = 'estimated' or (p_status = 'mixed' and p_threshold < 100) then
                case p_status when 'mixed' then 'Some of the readings are estimated' else 'All readings are estimated' end end
        when 'estimated_periods' then case when p_status = 'estimated' and p_estimated + 1 > p_threshold then
                format('Estimated %s times in a row, this bill included', p_estimated + 1) end
        when 'first' then case when p_days0 is null then 'The contract''s first bill' end
        when 'changed' then case when p_total0 <> 0 and
                abs(p_total::numeric / p_days - p_total0::numeric / p_days0) * 100 > p_threshold * abs(p_total0::numeric / p_days0) then
                format('%s%% against the previous bill, day by day',
                       round((p_total::numeric / p_days * p_days0 / p_total0 - 1) * 100)) end
        when 'amount' then case when abs(p_total) > p_threshold then 'The amount is over the limit' end
        end
$$;

-- Bills of @p_contract in a row, the newest first, that rest on estimates alone.
create function billing.estimated_in_a_row(p_contract bigint, p_before date) returns bigint language sql stable as $$
        with b as (
                select row_number() over (order by lower(x.period) desc) as nth,
                       exists (select from billing.determinant d where d.bill_id = x.bill_id
                               and d.name = x.inputs->'contract'->>'main_code' and d.status = 'estimated') as estimated
                from billing.bill x
                where x.contract_id = p_contract and x.state = 'issued' and lower(x.period) < p_before
                order by lower(x.period) desc limit 60
        )
        select coalesce(min(nth) filter (where not estimated) - 1, count(*)) from b
$$;

-- What a bill or trial bill is judged by.
create type billing.outsort_facts as (
        id bigint, class text, total bigint, quantity numeric, days int, total0 bigint, quantity0 numeric, days0 int,
        status text, estimated bigint, exceptions jsonb);

-- The exceptions of each bill after the branch's rules: those of the computation that are not
-- switched off, then one per rule that strikes.
create function billing.outsort(p_branch smallint, p_facts billing.outsort_facts[])
returns table (id bigint, exceptions jsonb, held boolean) language plpgsql stable as $$
#variable_conflict use_column
begin
        return query
        with rules as materialized (select * from billing.outsort_rule o where o.branch_id = p_branch)
        select f.id, x.exceptions, x.held
        from unnest(p_facts) f
        -- A rule of the bill's class goes before one of the same kind for all classes. Few rules, many
        -- bills: each bill walks the rules, nothing is joined.
        cross join lateral (
                select array_agg(o.kind) as kinds, jsonb_agg(jsonb_build_object('code', o.kind, 'hard', false,
                        'note', o.action = 'note', 'text', t.text) order by o.kind)
                        filter (where o.action <> 'off' and t.text is not null) as struck
                from rules o
                cross join lateral (select billing.outsort_text(o.kind, o.threshold, f.total, f.quantity, f.days, f.total0,
                        f.quantity0, f.days0, f.status, f.estimated) as text) t
                where o.class = f.class or (o.class = '' and not exists (select from rules s where s.kind = o.kind
                                                                         and s.class = f.class and f.class <> ''))) r
        cross join lateral (
                select coalesce(jsonb_agg(h.value order by h.ordinality), '[]') as kept,
                       coalesce(bool_or((h.value->>'hard')::boolean), false) as hard
                from jsonb_array_elements(f.exceptions) with ordinality h
                where (h.value->>'hard')::boolean or r.kinds is null or
                      case h.value->>'code' when 'many_estimates' then 'estimated' else h.value->>'code' end <> all (r.kinds)) k
        cross join lateral (
                select k.kept || case when k.hard then '[]' else coalesce(r.struck, '[]') end as all_of_them) y
        cross join lateral (
                select y.all_of_them as exceptions, exists (select from jsonb_array_elements(y.all_of_them) e
                        where not coalesce((e->>'note')::boolean, false)) as held) x
        where f.total is not null;
end $$;

-- Judges a computed run once, a few thousand bills at a time so that memory stays small.
create function billing.outsort_run(p_run bigint) returns void language plpgsql as $$
declare r billing.run; v_after bigint := 0; v_facts billing.outsort_facts[];
begin
        select * into r from billing.run where run_id = p_run;
        if not exists (select from billing.outsort_rule where branch_id = r.branch_id) then
                return;
        end if;
        loop
                select array_agg(row(b.bill_id, c.class, b.total, b.quantity, upper(b.period) - lower(b.period), p.total,
                                p.quantity, upper(p.period) - lower(p.period), d.status,
                                case when d.status = 'estimated' and needed then
                                        billing.estimated_in_a_row(b.contract_id, lower(b.period)) else 0 end,
                                b.exceptions)::billing.outsort_facts order by b.bill_id)
                into v_facts
                from (select * from billing.bill where run_id = p_run and state in ('draft', 'held') and bill_id > v_after
                      order by bill_id limit 5000) b
                join crm.contract c using (contract_id)
                left join billing.bill p on p.bill_id = b.previous_bill_id
                left join billing.determinant d on d.bill_id = b.bill_id and d.part_no = 0
                          and d.name = b.inputs->'contract'->>'main_code'
                cross join (select exists (select from billing.outsort_rule where branch_id = r.branch_id
                                           and kind = 'estimated_periods') as needed) n;
                exit when v_facts is null;
                update billing.bill b set exceptions = o.exceptions, state = case when o.held then 'held' else 'draft' end
                from billing.outsort(r.branch_id, v_facts) o
                where b.bill_id = o.id and (b.exceptions, b.state) is distinct from
                      (o.exceptions, case when o.held then 'held' else 'draft' end);
                v_after := (v_facts[array_upper(v_facts, 1)]).id;
        end loop;
end $$;

create function billing.run_computed() returns trigger language plpgsql as $$
begin
        perform billing.outsort_run(new.run_id);
        return null;
end $$;
create trigger run_computed after update of computed_at on billing.run for each row
        when (old.computed_at is null and new.computed_at is not null and new.kind <> 'rebill')
        execute function billing.run_computed();

-- ---- holding and releasing ----
create function billing.hold_bills(p_run bigint, p_bill bigint, p_reason text, p_actor text) returns bigint
language plpgsql as $$
declare v_n bigint;
begin
        update billing.bill set state = 'held', exceptions = exceptions || jsonb_build_array(jsonb_build_object(
                'code', 'manual', 'text', p_reason, 'hard', false, 'by', p_actor))
        where run_id = p_run and bill_id = p_bill and state = 'draft';
        get diagnostics v_n = row_count;
        return v_n;
end $$;

-- Holds every draft of a run that has cause @p_exception (a note) or is over @p_over, or both.
create function billing.hold_many(p_run bigint, p_exception text, p_over bigint, p_reason text, p_actor text)
returns bigint language plpgsql as $$
declare v_n bigint;
begin
        if p_exception is null and p_over is null then
                raise exception 'Say which bills: a cause, an amount they are over, or both' using errcode = 'HR001';
        end if;
        update billing.bill set state = 'held', exceptions = exceptions || jsonb_build_array(jsonb_build_object(
                'code', 'manual', 'text', p_reason, 'hard', false, 'by', p_actor))
        where run_id = p_run and state = 'draft' and (p_over is null or abs(total) > p_over)
          and (p_exception is null or exists (select from jsonb_array_elements(exceptions) e
                                              where e->>'code' = p_exception));
        get diagnostics v_n = row_count;
        return v_n;
end $$;

-- Releases one bill, or all with cause @p_exception, or all that may be released. A bill with a
-- hard cause, or with another cause than the one named, stays held.
create function billing.release_bills(p_run bigint, p_bill bigint, p_exception text, p_reason text, p_actor text)
returns bigint language plpgsql as $$
declare v_n bigint;
begin
        update billing.bill set state = 'draft', released_by = p_actor, released_at = now(), release_reason = p_reason
        where run_id = p_run and state = 'held' and (p_bill is null or bill_id = p_bill)
          and not exists (select from jsonb_array_elements(exceptions) e where (e->>'hard')::boolean)
          and (p_exception is null or not exists (select from jsonb_array_elements(exceptions) e
                        where e->>'code' <> p_exception and not coalesce((e->>'note')::boolean, false)));
        get diagnostics v_n = row_count;
        return v_n;
end $$;

-- Few bills rest on estimates alone; finding them must not read all.
create index on billing.determinant (bill_id) where status = 'estimated';

do $$
declare t text;
begin
        foreach t in array array['policy', 'run_review', 'outsort_rule'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;
