-- Published values that prices follow: fuel, exchange rate ... Each has the day it was published for
-- and a source. What is there stays; a bill whose tariff asks for a missing one is held.
create table billing.index_value (
        name   text not null check (name ~ '^[A-Za-z0-9._-]{1,64}$'),
        day    date not null,
        value  numeric(18,9) not null,
        source text not null check (source <> ''),
        actor  text not null default '',
        added_at timestamptz not null default now(),
        primary key (name, day)
);
create function billing.index_frozen() returns trigger language plpgsql as $$
begin
        raise exception 'A published value stays: % of an index value is refused; add the value of another day',
                lower(tg_op) using errcode = 'HR001';
end $$;
create trigger frozen before update or delete on billing.index_value
        for each row execute function billing.index_frozen();
