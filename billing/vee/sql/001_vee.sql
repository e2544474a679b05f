-- Validation and estimation: the rules by version, runs, what they questioned, what they estimated.
create schema vee;

create table vee.rule_set (
        version   int primary key check (version > 0),
        branch_id smallint references core.branch,       -- null: every branch without one of its own
        rules     jsonb not null,
        note      text not null default '',
        created_at timestamptz not null default now()
);
-- Ratios in thousandths. Spike, sum and high/low follow common practice, to be set per branch.
insert into vee.rule_set (version, rules, note) values
        (1, '{"spike_ratio": 1800, "spike_skip_w": 500, "sum_ratio": 1, "sum_resolution": 2, "low": 400, "high": 2500,
              "zero_days": 30, "same_count": 12, "linear_gap_s": 7200, "like_days": 4, "like_lookback_days": 90}',
         'Defaults');

create table vee.run (
        run_id    bigint generated always as identity primary key,
        branch_id smallint not null references core.branch,
        period    daterange not null,                    -- local days
        rule_set  int not null references vee.rule_set,
        state     text not null default 'running' check (state in ('running', 'done')),
        meters    int not null default 0,
        estimated bigint not null default 0,
        findings  int not null default 0,
        actor     text not null,
        created_at timestamptz not null default now(),
        done_at   timestamptz
);

-- The queue of questioned readings. Nothing is billed over an open one of severity block.
create table vee.exception (
        exception_id bigint generated always as identity primary key,
        branch_id smallint not null references core.branch,
        run_id    bigint not null references vee.run,
        meter_id  int not null references mdm.meter,
        channel   smallint not null references mdm.channel,
        rule      text not null,
        severity  text not null check (severity in ('info', 'warn', 'block')),
        state     text not null default 'open' check (state in ('open', 'accepted', 'resolved')),
        from_at   timestamptz not null,
        to_at     timestamptz not null check (to_at > from_at),
        value     bigint not null,
        "limit"   bigint not null,
        text      text not null,
        created_at timestamptz not null default now(),
        closed_by text,
        closed_at timestamptz,
        note      text not null default ''
);
create unique index exception_once on vee.exception (meter_id, channel, rule, from_at) where state in ('open', 'accepted');
create index on vee.exception (branch_id, severity, exception_id) where state = 'open';

-- Values the rules made, with where they came from. The value itself went to the reading store as
-- a message of source 4.
create table vee.estimate (
        meter_id  int not null references mdm.meter,
        channel   smallint not null references mdm.channel,
        at        timestamptz not null,                  -- start of the first interval
        run_id    bigint not null references vee.run,
        branch_id smallint not null references core.branch,
        period_s  int not null,
        method    text not null check (method in ('linear', 'like_day', 'register')),
        "values"  bigint[] not null,
        primary key (meter_id, channel, at, run_id)
);

do $$
declare t text;
begin
        foreach t in array array['run', 'exception', 'estimate'] loop
                execute format('alter table vee.%I enable row level security', t);
                execute format('alter table vee.%I force row level security', t);
                execute format('create policy branch on vee.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;
