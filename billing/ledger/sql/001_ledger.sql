-- Double entry. What is posted stays: no update, no delete; a mistake is corrected by a reversal
-- that points to what it reverses. Σ debit = Σ credit per entry and currency, checked at commit.
create schema ledger;

-- Account chart of a branch. `control` accounts are kept per customer (crm.account).
create table ledger.gl_account (
        branch_id smallint not null references core.branch,
        code      text not null check (code ~ '^[0-9]{4,8}$'),
        name      text not null check (name <> ''),
        type      text not null check (type in ('asset', 'liability', 'equity', 'revenue', 'expense')),
        control   boolean not null default false,
        primary key (branch_id, code)
);

create table ledger.entry (
        entry_id  bigint generated always as identity primary key,
        branch_id smallint not null references core.branch,
        kind      text not null check (kind ~ '^[a-z][a-z_.]*$'),   -- bill, payment, bill.reversal ...
        ref       text not null check (ref <> ''),                  -- the document's own number
        at        timestamptz not null,                             -- when it counts
        text      text not null default '',
        actor     text not null default '',
        reverses  bigint references ledger.entry,
        digest    bytea not null,                                   -- sha256 of branch, at and lines
        txid      xid8 not null default pg_current_xact_id(),       -- lines join in this transaction only
        posted_at timestamptz not null default now(),
        constraint entry_once unique (kind, ref),
        constraint entry_reversed_once unique (reverses)
);
create index on ledger.entry (branch_id, at);
comment on constraint entry_once on ledger.entry is
        'An entry of this kind and reference is already in the ledger';
comment on constraint entry_reversed_once on ledger.entry is
        'This ledger entry has been reversed already; an entry is reversed once only';

create table ledger.line (
        entry_id   bigint not null references ledger.entry,
        line_no    smallint not null check (line_no > 0),
        branch_id  smallint not null,
        gl         text not null,
        account_id bigint references crm.account,     -- customer sub-ledger, with a control account
        currency   text not null check (currency ~ '^[A-Z]{3}$'),
        debit      bigint not null default 0 check (debit >= 0),   -- minor units
        credit     bigint not null default 0 check (credit >= 0),
        at         timestamptz not null,              -- the entry's, for balances at a date
        due        date,                              -- a debt's due day
        component  text not null default '',          -- tariff component, tax code ...
        primary key (entry_id, line_no),
        foreign key (branch_id, gl) references ledger.gl_account,
        constraint line_one_side check ((debit = 0) <> (credit = 0))
);
create index on ledger.line (account_id, at) where account_id is not null;
create index on ledger.line (branch_id, gl, at);

-- Which payment settled which debt. Amounts taken back are rows of their own with the opposite sign.
create table ledger.allocation (
        allocation_id bigint generated always as identity primary key,
        branch_id    smallint not null references core.branch,
        credit_entry bigint not null, credit_line smallint not null,
        debit_entry  bigint not null, debit_line  smallint not null,
        amount       bigint not null check (amount <> 0),
        reverses     bigint references ledger.allocation,
        actor        text not null default '',
        at           timestamptz not null default now(),
        foreign key (credit_entry, credit_line) references ledger.line,
        foreign key (debit_entry, debit_line) references ledger.line,
        constraint allocation_reversed_once unique (reverses),
        constraint allocation_sign check ((reverses is null) = (amount > 0))
);
create index on ledger.allocation (credit_entry, credit_line);
create index on ledger.allocation (debit_entry, debit_line);

do $$
declare t text;
begin
        foreach t in array array['gl_account', 'entry', 'line', 'allocation'] loop
                execute format('alter table ledger.%I enable row level security', t);
                execute format('alter table ledger.%I force row level security', t);
                execute format('create policy branch on ledger.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- ---- append-only ----
create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
        raise exception 'The ledger is append-only: % of ledger.% is refused; post a reversal instead',
                lower(tg_op), tg_table_name using errcode = 'HR001';
end $$;

do $$
declare t text;
begin
        foreach t in array array['entry', 'line', 'allocation'] loop
                execute format('create trigger append_only before update or delete on ledger.%I '
                               'for each row execute function ledger.refuse_change()', t);
                execute format('create trigger no_truncate before truncate on ledger.%I '
                               'for each statement execute function ledger.refuse_change()', t);
        end loop;
end $$;

create function ledger.entry_before() returns trigger language plpgsql as $$
begin
        new.txid := pg_current_xact_id();
        new.posted_at := now();
        return new;
end $$;
create trigger entry_before before insert on ledger.entry
        for each row execute function ledger.entry_before();

-- A line belongs to an entry of the same transaction and takes branch and time from it: lines
-- cannot be slipped into yesterday's entries, not even balanced ones.
create function ledger.line_before() returns trigger language plpgsql as $$
declare e ledger.entry; g ledger.gl_account;
begin
        select * into e from ledger.entry where entry_id = new.entry_id;
        if not found or e.txid <> pg_current_xact_id() then
                raise exception 'Ledger entry % is closed; lines cannot be added to it', new.entry_id
                        using errcode = 'HR001';
        end if;
        select * into g from ledger.gl_account where branch_id = e.branch_id and code = new.gl;
        if not found then
                raise exception 'Branch % has no ledger account %', e.branch_id, new.gl using errcode = 'HR001';
        end if;
        if g.control <> (new.account_id is not null) then
                raise exception 'Ledger account % is kept per customer: %', new.gl,
                        case when g.control then 'the line must name a customer account'
                             else 'it is not, the line must not name one' end using errcode = 'HR001';
        end if;
        new.branch_id := e.branch_id;
        new.at := e.at;
        return new;
end $$;
create trigger line_before before insert on ledger.line
        for each row execute function ledger.line_before();

-- ---- balance ----
create function ledger.check_balanced() returns trigger language plpgsql as $$
declare c text; d numeric; k numeric;
begin
        select currency, sum(debit), sum(credit) into c, d, k
        from ledger.line where entry_id = new.entry_id
        group by currency having sum(debit) <> sum(credit) limit 1;
        if found then
                raise exception 'Ledger entry % does not balance in %: debit %, credit %', new.entry_id, c, d, k
                        using errcode = 'HR001';
        end if;
        return null;
end $$;
create constraint trigger balanced after insert on ledger.line deferrable initially deferred
        for each row execute function ledger.check_balanced();

create function ledger.check_has_lines() returns trigger language plpgsql as $$
begin
        if not exists (select from ledger.line where entry_id = new.entry_id) then
                raise exception 'Ledger entry % has no lines', new.entry_id using errcode = 'HR001';
        end if;
        return null;
end $$;
create constraint trigger has_lines after insert on ledger.entry deferrable initially deferred
        for each row execute function ledger.check_has_lines();

-- ---- allocations ----
-- Both lines are locked in key order, so two payments at once cannot settle one debt twice.
create function ledger.check_allocation() returns trigger language plpgsql as $$
declare cr ledger.line; de ledger.line; r ledger.allocation; used_c numeric; used_d numeric;
begin
        perform 1 from ledger.line l
        where (l.entry_id, l.line_no) in ((new.credit_entry, new.credit_line), (new.debit_entry, new.debit_line))
        order by l.entry_id, l.line_no for no key update;
        select * into cr from ledger.line where (entry_id, line_no) = (new.credit_entry, new.credit_line);
        select * into de from ledger.line where (entry_id, line_no) = (new.debit_entry, new.debit_line);
        if cr.entry_id is null or de.entry_id is null or cr.credit = 0 or de.debit = 0
           or (cr.account_id, cr.gl, cr.currency, cr.branch_id) is distinct from
              (de.account_id, de.gl, de.currency, de.branch_id)
           or cr.account_id is null or new.branch_id <> cr.branch_id then
                raise exception 'An allocation joins a credit and a debit of one customer account and currency'
                        using errcode = 'HR001';
        end if;
        if new.reverses is not null then
                select * into r from ledger.allocation where allocation_id = new.reverses;
                if not found or r.reverses is not null or r.amount <> -new.amount
                   or (r.credit_entry, r.credit_line, r.debit_entry, r.debit_line) is distinct from
                      (new.credit_entry, new.credit_line, new.debit_entry, new.debit_line) then
                        raise exception 'Allocation % cannot be taken back this way', new.reverses
                                using errcode = 'HR001';
                end if;
        end if;
        select coalesce(sum(amount), 0) into used_c from ledger.allocation
        where (credit_entry, credit_line) = (new.credit_entry, new.credit_line);
        select coalesce(sum(amount), 0) into used_d from ledger.allocation
        where (debit_entry, debit_line) = (new.debit_entry, new.debit_line);
        if used_c + new.amount > cr.credit then
                raise exception 'The allocation exceeds what is left of the payment: % of %',
                        cr.credit - used_c, cr.credit using errcode = 'HR001';
        end if;
        if used_d + new.amount > de.debit then
                raise exception 'The allocation exceeds what is left of the debt: % of %',
                        de.debit - used_d, de.debit using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger allocation_before before insert on ledger.allocation
        for each row execute function ledger.check_allocation();
