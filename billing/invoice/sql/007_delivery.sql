-- How invoices reach their customers: one row per document and way, with every try's outcome.
create table billing.delivery_preference (
        account_id bigint primary key references crm.account,
        branch_id  smallint not null references core.branch,
        channel    text not null check (channel in ('print', 'email', 'app')),
        address    text not null default ''
                   check (address = '' or (address ~ '^[^[:space:]<>,;@]+@[^[:space:]<>,;@]+$' and length(address) <= 254))
);
comment on constraint delivery_preference_address_check on billing.delivery_preference is
        'The address is one e-mail address, such as name@example.com';

create table billing.delivery (
        delivery_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        number     text not null references billing.invoice,
        channel    text not null check (channel in ('print', 'email', 'app')),
        address    text not null default '',
        state      text not null default 'queued' check (state in ('queued', 'sent', 'failed', 'dead')),
        attempts   int not null default 0,
        next_at    timestamptz not null default now(),   -- of a try, while queued or failed
        reason     text not null default '',             -- of the last failure
        receipt    text not null default '',             -- what the server or the print file said
        created_at timestamptz not null default now(),
        sent_at    timestamptz
);
create index on billing.delivery (number);
create index on billing.delivery (channel, next_at) where state in ('queued', 'failed');
create index on billing.delivery (branch_id, state, delivery_id desc);

-- What a print job prints, in order; gone when the job is done.
create table billing.print_item (
        job_id     bigint not null,
        seq        int not null,
        number     text not null references billing.invoice,
        branch_id  smallint not null,
        primary key (job_id, seq)
);

do $$
declare t text;
begin
        foreach t in array array['delivery_preference', 'delivery', 'print_item'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- Who prefers e-mail but has no address gets paper.
create function billing.delivery_queue() returns trigger language plpgsql as $$
declare v_channel text := 'print'; v_address text := '';
begin
        select p.channel, coalesce(nullif(p.address, ''), y.email, '') into v_channel, v_address
        from billing.delivery_preference p join crm.account a using (account_id) join crm.party y using (party_id)
        where p.account_id = new.account_id;
        if v_channel is null or v_channel = 'email' and v_address = '' then
                v_channel := 'print';
        end if;
        insert into billing.delivery (branch_id, number, channel, address)
        values (new.branch_id, new.number, v_channel, case v_channel when 'email' then v_address else '' end);
        return null;
end $$;
create trigger delivery_queue after insert on billing.invoice
        for each row execute function billing.delivery_queue();

-- Outcome of a try. After five minutes, then 20, 80 and so on it is tried again, six times in all; what
-- can never work, or did not six times, is dead and goes on paper instead.
create function billing.delivery_result(p_delivery bigint, p_outcome text, p_reason text, p_receipt text)
returns billing.delivery language plpgsql as $$
declare d billing.delivery;
begin
        update billing.delivery set attempts = attempts + 1,
                state = case when p_outcome = 'sent' then 'sent'
                             when p_outcome = 'never' or attempts + 1 >= 6 then 'dead' else 'failed' end,
                reason = case p_outcome when 'sent' then '' else p_reason end, receipt = p_receipt,
                sent_at = case p_outcome when 'sent' then now() end,
                next_at = now() + interval '5 minutes' * power(4, attempts)
        where delivery_id = p_delivery returning * into d;
        if d.state = 'dead' and d.channel <> 'print' then
                insert into billing.delivery (branch_id, number, channel) values (d.branch_id, d.number, 'print');
        end if;
        return d;
end $$;

-- When the delivering job should be started for what was queued: null when one is waiting already; a
-- minute from now while one runs, which may just have looked for the last time.
create function billing.delivery_wake(p_at timestamptz) returns timestamptz language sql stable as $$
        select case when exists (select from core.job where type = 'invoice.deliver' and status = 'queued'
                                 and run_after <= greatest(p_at, now() + interval '1 minute')) then null
                    when exists (select from core.job where type = 'invoice.deliver' and status = 'running')
                    then greatest(p_at, now() + interval '1 minute')
                    else p_at end
$$;
