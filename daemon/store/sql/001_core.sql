-- What every part of the system stands on: branches, and who may see which rows.
create schema if not exists core;

create table core.branch (
        branch_id smallint primary key,
        code      text not null unique check (code ~ '^[A-Z0-9]{2,12}$'),
        name      text not null,
        tz        text not null default 'UTC',           -- IANA name; local days and price periods
        currency  text not null default 'EUR' check (currency ~ '^[A-Z]{3}$'),
        minor_digits smallint not null default 2 check (minor_digits between 0 and 3),
        language  text not null default 'en'
);
comment on table core.branch is 'One operating branch of the utility; the scope of every row a person sees';

-- The host sets headrace.branches at the start of every transaction: '*' or '{1,2,3}'.
-- Without it nothing is visible.
create function core.branch_allowed(b smallint) returns boolean
language sql stable parallel safe as $$
        select case current_setting('headrace.branches', true)
               when '*' then true
               when null then false
               when '' then false
               else b = any (current_setting('headrace.branches', true)::smallint[])
               end
$$;
