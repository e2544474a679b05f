-- Cycles with a calendar: which days are read, billed and due. Business days are the branch's.
alter table billing.cycle
        add column start_day smallint not null default 1 check (start_day between 1 and 28),    -- of a period
        add column read_before smallint not null default 3 check (read_before between 0 and 30),        -- days before its end
        add column read_after smallint not null default 3 check (read_after between 0 and 30),
        add column bill_after smallint not null default 3 check (bill_after between 0 and 60),  -- business days after its end
        add column due_kind text not null default 'calendar' check (due_kind in ('calendar', 'business')),
        add column due_roll text not null default 'none' check (due_roll in ('none', 'next', 'previous'));

create function billing.is_business_day(p_branch smallint, p_day date) returns boolean language plpgsql stable as $$
declare p billing.policy := billing.policy_of(p_branch);
begin
        return position(extract(isodow from p_day)::int::text in p.weekend) = 0
               and not exists (select from billing.holiday h where h.calendar = p.calendar and h.day = p_day);
end $$;

-- The day itself when it is a business day, else the nearest one after or before it.
create function billing.roll_day(p_branch smallint, p_day date, p_how text) returns date language plpgsql stable as $$
declare v_day date := p_day;
begin
        if p_how = 'none' then
                return p_day;
        end if;
        for i in 1..366 loop
                exit when billing.is_business_day(p_branch, v_day);
                v_day := v_day + case p_how when 'previous' then -1 else 1 end;
        end loop;
        return v_day;
end $$;

create function billing.add_business_days(p_branch smallint, p_day date, p_n int) returns date
language plpgsql stable as $$
declare v_day date := p_day;
begin
        for i in 1..p_n loop
                v_day := billing.roll_day(p_branch, v_day + 1, 'next');
        end loop;
        return v_day;
end $$;

create function billing.due_from(p_branch smallint, p_cycle text, p_day date) returns date language plpgsql stable as $$
declare c billing.cycle;
begin
        select * into c from billing.cycle where branch_id = p_branch and code = p_cycle;
        return billing.roll_day(p_branch, case c.due_kind when 'business'
                then billing.add_business_days(p_branch, p_day, c.due_days) else p_day + c.due_days end, c.due_roll);
end $$;

create table billing.cycle_period (
        branch_id smallint not null,
        cycle     text not null,
        period    daterange not null check (not isempty(period) and not lower_inf(period) and not upper_inf(period)),
        read_from date not null, read_to date not null,  -- both inclusive
        bill_on   date not null, due_on date not null,
        run_id    bigint references billing.run,
        primary key (branch_id, cycle, period),
        foreign key (branch_id, cycle) references billing.cycle,
        check (read_from <= read_to and read_from <= bill_on and bill_on <= due_on),
        constraint cycle_period_once exclude using gist (branch_id with =, cycle with =, period with &&)
);
comment on constraint cycle_period_once on billing.cycle_period is
        'The calendar of this cycle already has a period with some of these days';
alter table billing.cycle_period enable row level security;
alter table billing.cycle_period force row level security;
create policy branch on billing.cycle_period using (core.branch_allowed(branch_id));

-- Fills the calendar for @p_months months, from the period that holds @p_from or from where it ends
-- so far. Periods there stay as they are. Returns how many were added.
create function billing.plan_cycle(p_branch smallint, p_cycle text, p_from date, p_months int) returns int
language plpgsql as $$
declare c billing.cycle; v_start date; v_end date; v_bill date; v_last date; v_n int := 0;
begin
        select * into c from billing.cycle where branch_id = p_branch and code = p_cycle;
        if not found then
                raise exception 'There is no cycle % in this branch; set it first', p_cycle using errcode = 'HR001';
        end if;
        v_start := date_trunc('month', p_from)::date + c.start_day - 1;
        if v_start > p_from then
                v_start := v_start - interval '1 month';
        end if;
        v_last := v_start + make_interval(months => p_months);
        select greatest(v_start, coalesce(max(upper(period)), v_start)) into v_start from billing.cycle_period
        where branch_id = p_branch and cycle = p_cycle;
        while v_start < v_last loop
                v_end := v_start + make_interval(months => c.months);
                v_bill := billing.add_business_days(p_branch, billing.roll_day(p_branch, v_end, 'next'), c.bill_after);
                v_bill := greatest(v_bill, v_end - c.read_before);
                insert into billing.cycle_period (branch_id, cycle, period, read_from, read_to, bill_on, due_on)
                values (p_branch, p_cycle, daterange(v_start, v_end), v_end - c.read_before, v_end + c.read_after, v_bill,
                        greatest(v_bill, billing.due_from(p_branch, p_cycle, v_bill)));
                v_n := v_n + 1;
                v_start := v_end;
        end loop;
        return v_n;
end $$;
