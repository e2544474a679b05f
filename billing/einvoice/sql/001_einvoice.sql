-- E-invoices: what seller and buyer say about themselves, and the state of each document. The
-- documents themselves are in the archive.
create table billing.einvoice_seller (
        branch_id smallint primary key references core.branch,
        profile   text not null default 'en16931' check (profile in ('en16931', 'peppol')),
        everyone  boolean not null default false,        -- e-invoices for all, not only for buyers below
        street    text not null default '', city text not null default '', postcode text not null default '',
        country   text not null check (country ~ '^[A-Z]{2}$'),
        vat_id    text not null default '' check (vat_id ~ '^([A-Z]{2}[A-Z0-9+*.]{2,13})?$'),
        legal_id  text not null default '',
        endpoint  text not null default '', endpoint_scheme text not null default ''
                  check (endpoint_scheme ~ '^([0-9]{4}|[A-Z]{2})?$'),
        vat_codes text[] not null default '{vat,gst,mwst,ust,tva,iva,btw,moms}', -- begins of the taxes that are VAT
        untaxed   jsonb not null default '{}'            -- category, reason, reason_code of lines without VAT
);
comment on constraint einvoice_seller_country_check on billing.einvoice_seller is
        'The country is two capital letters such as DE';
comment on constraint einvoice_seller_vat_id_check on billing.einvoice_seller is
        'A VAT identifier begins with the two letters of its country, such as DE123456789';

create table billing.einvoice_buyer (
        account_id bigint primary key references crm.account,
        branch_id smallint not null references core.branch,
        profile   text check (profile in ('en16931', 'peppol')),   -- null: the branch's
        country   text check (country ~ '^[A-Z]{2}$'),             -- null: the branch's
        vat_id    text not null default '' check (vat_id ~ '^([A-Z]{2}[A-Z0-9+*.]{2,13})?$'),
        legal_id  text not null default '',
        endpoint  text not null default '', endpoint_scheme text not null default ''
                  check (endpoint_scheme ~ '^([0-9]{4}|[A-Z]{2})?$'),
        buyer_reference text not null default ''
);

create table billing.einvoice (
        number    text primary key references billing.invoice,
        branch_id smallint not null references core.branch,
        profile   text not null,
        state     text not null check (state in ('invalid', 'made', 'sent', 'accepted', 'rejected')),
        reason    text not null default '',              -- why invalid or rejected, with the rule
        receipt   text not null default '',              -- of the network or authority that took it
        changed_at timestamptz not null default now(),
        changed_by text not null
);
create index on billing.einvoice (branch_id, state, changed_at desc);

create table billing.einvoice_step (
        number    text not null references billing.einvoice,
        step      int not null,
        branch_id smallint not null,
        state     text not null, reason text not null, receipt text not null,
        at        timestamptz not null, by_whom text not null,
        primary key (number, step)
);

do $$
declare t text;
begin
        foreach t in array array['einvoice_seller', 'einvoice_buyer', 'einvoice', 'einvoice_step'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

-- A document that exists is sent, then accepted or rejected; a rejected one can be sent again (the
-- same bytes) or is cancelled by a credit note. Every step is kept.
create function billing.einvoice_before() returns trigger language plpgsql as $$
begin
        if tg_op = 'DELETE' then
                raise exception 'An e-invoice is kept' using errcode = 'HR001';
        end if;
        if tg_op = 'UPDATE' and (old.state, new.state) not in (('invalid', 'invalid'), ('invalid', 'made'),
                        ('made', 'sent'), ('sent', 'accepted'), ('sent', 'rejected'), ('rejected', 'sent')) then
                raise exception 'E-invoice % is %; it cannot become %', old.number, old.state, new.state
                        using errcode = 'HR001';
        end if;
        if new.state not in ('invalid') and not exists (
                        select from billing.archive a where a.number = new.number and a.form = 'ubl') then
                raise exception 'E-invoice % is not in the archive', new.number using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger einvoice_before before insert or update or delete on billing.einvoice
        for each row execute function billing.einvoice_before();

create function billing.einvoice_after() returns trigger language plpgsql as $$
begin
        insert into billing.einvoice_step (number, step, branch_id, state, reason, receipt, at, by_whom)
        select new.number, coalesce(max(step), 0) + 1, new.branch_id, new.state, new.reason, new.receipt,
               new.changed_at, new.changed_by
        from billing.einvoice_step where number = new.number;
        return null;
end $$;
create trigger einvoice_after after insert or update on billing.einvoice
        for each row execute function billing.einvoice_after();
create trigger frozen before update or delete on billing.einvoice_step
        for each row execute function billing.invoice_frozen();

-- What each tax of the bill's tariff versions is: VAT or a levy, and of what it is a percentage.
create function billing.einvoice_taxes(p_bill bigint, p_vat_codes text[]) returns jsonb language sql stable as $$
        select coalesce(jsonb_agg(jsonb_build_object('part', p.part, 'component', c->>'code',
                'vat', exists (select from unnest(p_vat_codes) v where starts_with(lower(c->>'code'), v)),
                'category', 'S', 'of', case jsonb_typeof(c->'of') when 'array' then c->'of' else '[]' end)
                order by p.part, c->>'code'), '[]')
        from billing.bill b
        cross join jsonb_array_elements(b.inputs->'parts') with ordinality as p(doc, part)
        join billing.tariff_version v on v.code = p.doc->>'code' and v.version = (p.doc->>'version')::int
        cross join jsonb_array_elements(v.document->'components') c
        where b.bill_id = p_bill and (c->>'tax')::boolean
$$;

create function billing.einvoice_settings(p_number text) returns jsonb language sql stable as $$
        select jsonb_build_object(
                'profile', coalesce(y.profile, s.profile), 'buyer_reference', coalesce(nullif(y.buyer_reference, ''),
                        i.content->'customer'->>'account'),
                'corrects_issued', (select o.content->>'issued' from billing.invoice o where o.number = i.corrects),
                'untaxed', s.untaxed, 'taxes', billing.einvoice_taxes(i.bill_id, s.vat_codes),
                'seller', jsonb_build_object('name', coalesce(i.content->'payee'->>'name', i.content->'branch'->>'name'),
                        'street', coalesce(nullif(s.street, ''), i.content->'payee'->>'address', ''), 'city', s.city,
                        'postcode', s.postcode, 'country', s.country, 'vat_id', s.vat_id, 'legal_id', s.legal_id,
                        'tax_id', case when s.vat_id = '' then coalesce(i.content->'payee'->>'tax_id', '') else '' end,
                        'endpoint', s.endpoint, 'endpoint_scheme', s.endpoint_scheme,
                        'phone', i.content->'payee'->>'phone', 'email', i.content->'payee'->>'email'),
                'buyer', jsonb_build_object('name', i.content->'customer'->>'name',
                        'street', i.content->'premise'->>'address', 'city', i.content->'premise'->>'city',
                        'postcode', i.content->'premise'->>'postcode', 'country', coalesce(y.country, s.country),
                        'vat_id', coalesce(y.vat_id, ''),
                        'legal_id', coalesce(nullif(y.legal_id, ''), i.content->'customer'->>'tax_id', ''),
                        'endpoint', coalesce(y.endpoint, ''), 'endpoint_scheme', coalesce(y.endpoint_scheme, '')))
        from billing.invoice i
        join billing.einvoice_seller s on s.branch_id = i.branch_id
        left join billing.einvoice_buyer y on y.account_id = i.account_id
        where i.number = p_number
$$;

create function billing.einvoice_put(p_number text, p_profile text, p_document bytea, p_reason text, p_actor text)
returns void language plpgsql as $$
begin
        if p_document is not null then
                perform billing.archive_put(p_number, 'ubl', p_document);
        end if;
        insert into billing.einvoice (number, branch_id, profile, state, reason, changed_by)
        select i.number, i.branch_id, p_profile, case when p_document is null then 'invalid' else 'made' end, p_reason,
               p_actor
        from billing.invoice i where i.number = p_number
        on conflict (number) do update set profile = excluded.profile, state = excluded.state,
                reason = excluded.reason, changed_at = now(), changed_by = excluded.changed_by
        where einvoice.state = 'invalid';
end $$;
