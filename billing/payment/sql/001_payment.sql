-- Payments: once per channel and reference, posted to the ledger, settled with the oldest debt first.
create table billing.payment (
        payment_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        channel    text not null check (channel ~ '^[a-z][a-z0-9_-]{0,31}$'), -- cash, bank, card, vnpay ...
        reference  text not null check (reference <> '' and length(reference) <= 128),
        amount     bigint not null check (amount > 0),       -- minor units
        currency   text not null check (currency ~ '^[A-Z]{3}$'),
        account_id bigint references crm.account,            -- null: unidentified, kept in suspense
        invoice    text references billing.invoice,          -- the invoice the payer named
        said       text not null default '',                 -- account or invoice number as it came
        state      text not null default 'posted' check (state in ('posted', 'reversed')),
        paid_at    timestamptz not null,
        receipt    text not null unique,
        entry_id   bigint not null references ledger.entry,
        allocated  bigint not null default 0,                -- settled with debts when it was posted
        actor      text not null,
        created_at timestamptz not null default now(),
        reversal_entry_id bigint references ledger.entry,
        reversed_by text, reversed_at timestamptz, reversal_reason text,
        constraint payment_once unique (channel, reference)
);
create index on billing.payment (account_id, paid_at desc);
create index on billing.payment (branch_id, paid_at desc);
comment on constraint payment_once on billing.payment is 'This payment is already posted';
alter table billing.payment enable row level security;
alter table billing.payment force row level security;
create policy branch on billing.payment using (core.branch_allowed(branch_id));

create function billing.payment_before() returns trigger language plpgsql as $$
begin
        if tg_op = 'DELETE' then
                raise exception 'A payment is kept; reverse it instead' using errcode = 'HR001';
        end if;
        if old.state = 'reversed' or
           (to_jsonb(new) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason',
                                  'allocated']) <>
           (to_jsonb(old) - array['state', 'reversal_entry_id', 'reversed_by', 'reversed_at', 'reversal_reason',
                                  'allocated']) then
                raise exception 'Payment % is posted; reverse it and post the right one', old.payment_id
                        using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger payment_before before update or delete on billing.payment
        for each row execute function billing.payment_before();

create function billing.payment_gl(p_channel text) returns text language sql immutable as $$
        select case when p_channel = 'cash' then '1000' when p_channel in ('bank', 'transfer') then '1010'
               else '1020' end
$$;

-- Posts a payment, or finds the one posted before under the same channel and reference. @repeated
-- says which; `same` is false when the earlier one differs from what is posted now.
create function billing.post_payment(p_branch smallint, p_channel text, p_reference text, p_amount bigint,
        p_currency text, p_account bigint, p_invoice text, p_said text, p_paid_at timestamptz, p_actor text)
returns table (payment_id bigint, repeated boolean, same boolean) language plpgsql as $$
declare v billing.payment; v_entry bigint; v_receipt text; v_allocated bigint := 0; v_id bigint; v_first bigint;
begin
        -- Two posts of one reference at the same time: the second waits here and finds the first.
        perform pg_advisory_xact_lock(hashtextextended(p_channel || chr(31) || p_reference, 4711));
        select * into v from billing.payment p where p.channel = p_channel and p.reference = p_reference;
        if found then
                return query select v.payment_id, true,
                        (v.amount, v.currency, v.account_id, v.said) is not distinct from
                        (p_amount, p_currency, p_account, p_said);
                return;
        end if;
        v_entry := ledger.post(p_branch, 'payment', p_channel || ':' || p_reference, p_paid_at,
                jsonb_build_array(
                        jsonb_build_object('gl', billing.payment_gl(p_channel), 'debit', p_amount,
                                           'currency', p_currency),
                        case when p_account is null
                             then jsonb_build_object('gl', '2100', 'credit', p_amount, 'currency', p_currency)
                             else jsonb_build_object('gl', '1200', 'account', p_account, 'credit', p_amount,
                                                     'currency', p_currency) end),
                'Payment ' || p_channel || ' ' || p_reference, p_actor);
        select n.number into v_receipt from billing.next_number(p_branch, 'receipt', p_paid_at) n;
        insert into billing.payment (branch_id, channel, reference, amount, currency, account_id, invoice, said,
                paid_at, receipt, entry_id, actor)
        values (p_branch, p_channel, p_reference, p_amount, p_currency, p_account, p_invoice, p_said, p_paid_at,
                v_receipt, v_entry, p_actor)
        returning billing.payment.payment_id into v_id;
        if p_account is not null then
                select b.entry_id into v_first from billing.invoice i join billing.bill b using (bill_id)
                where i.number = p_invoice;
                perform ledger.allocate(p_account, p_currency, p_actor, v_first);
                select coalesce(sum(a.amount), 0) into v_allocated from ledger.allocation a
                where a.credit_entry = v_entry;
                update billing.payment p set allocated = v_allocated where p.payment_id = v_id;
        end if;
        return query select v_id, false, true;
end $$;

create function billing.reverse_payment(p_payment bigint, p_reason text, p_actor text) returns void
language plpgsql as $$
declare v billing.payment; v_entry bigint;
begin
        select * into v from billing.payment where payment_id = p_payment for update;
        if v.state is distinct from 'posted' then
                raise exception 'Payment % is %; it cannot be reversed', p_payment, coalesce(v.state, 'unknown')
                        using errcode = 'HR001';
        end if;
        v_entry := ledger.reverse(v.entry_id, now(), p_reason, p_actor);
        update billing.payment set state = 'reversed', reversal_entry_id = v_entry, reversed_by = p_actor,
                reversed_at = now(), reversal_reason = p_reason
        where payment_id = p_payment;
        -- Debts it had settled are open again; other unused money of the account may settle them.
        if v.account_id is not null then
                perform ledger.allocate(v.account_id, v.currency, p_actor);
        end if;
end $$;
