-- Invoices: numbers without gaps, contents frozen at issue, templates as versioned data.

-- One row per branch, series and year. The row lock of the issuing transaction is what keeps numbers
-- without gaps: a rolled-back transaction gives its numbers back.
create table billing.number_range (
        branch_id smallint not null references core.branch,
        series    text not null check (series in ('invoice', 'credit_note', 'receipt')),
        year      smallint not null check (year between 2000 and 9999),
        last      bigint not null default 0,
        primary key (branch_id, series, year)
);

-- "HN-2026-000017", "HN-CN-2026-000003", "HN-R-2026-000042"
create function billing.next_number(p_branch smallint, p_series text, p_at timestamptz)
returns table (number text, year smallint, seq bigint) language plpgsql as $$
declare b core.branch; v_year smallint; v_seq bigint;
begin
        select * into b from core.branch where branch_id = p_branch;
        v_year := extract(year from p_at at time zone b.tz);
        insert into billing.number_range as n (branch_id, series, year, last) values (p_branch, p_series, v_year, 1)
        on conflict on constraint number_range_pkey do update set last = n.last + 1
        returning n.last into v_seq;
        return query select b.code || case p_series when 'credit_note' then '-CN' when 'receipt' then '-R' else '' end
                || '-' || v_year || '-' || lpad(v_seq::text, greatest(6, length(v_seq::text)), '0'), v_year, v_seq;
end $$;

-- Who is paid, as printed on the invoices of a branch.
create table billing.payee (
        branch_id smallint primary key references core.branch,
        name      text not null check (name <> ''),
        address   text not null default '',
        tax_id    text not null default '',
        phone     text not null default '',
        email     text not null default '',
        bank_name text not null default '',
        iban      text not null default '' check (iban ~ '^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$'),
        bic       text not null default '' check (bic ~ '^([A-Z0-9]{8}([A-Z0-9]{3})?)?$'),
        bank_bin  text not null default '' check (bank_bin ~ '^([0-9]{6})?$'),       -- VietQR: acquirer
        bank_account text not null default '' check (bank_account ~ '^[0-9A-Za-z]{0,19}$')
);

-- Layout parameters and texts per customer class and language; old versions stay for reprints.
create table billing.invoice_template (
        class    text not null,
        language text not null check (language ~ '^[a-z]{2}$'),
        version  int not null check (version > 0),
        document jsonb not null,
        created_at timestamptz not null default now(),
        primary key (class, language, version)
);

create table billing.invoice (
        number     text primary key,
        branch_id  smallint not null references core.branch,
        kind       text not null check (kind in ('invoice', 'credit_note')),
        year       smallint not null,
        seq        bigint not null,
        bill_id    bigint not null references billing.bill,
        account_id bigint not null references crm.account,
        corrects   text references billing.invoice,
        issued_at  timestamptz not null,
        due        date,
        currency   text not null,
        total      bigint not null,
        tax        bigint not null,
        template_class text not null, template_language text not null, template_version int not null,
        content    jsonb not null,                       -- everything printed
        digest     bytea not null,                       -- sha256 of content as text
        unique (branch_id, kind, year, seq),
        unique (bill_id, kind),
        foreign key (template_class, template_language, template_version) references billing.invoice_template
);
create index on billing.invoice (account_id, issued_at desc);

do $$
declare t text;
begin
        foreach t in array array['number_range', 'payee', 'invoice'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;

create function billing.invoice_frozen() returns trigger language plpgsql as $$
begin
        raise exception 'An issued document is frozen: % of % is refused; issue a correction', lower(tg_op),
                tg_table_name using errcode = 'HR001';
end $$;
create trigger frozen before update or delete on billing.invoice
        for each row execute function billing.invoice_frozen();
create trigger frozen before update or delete on billing.invoice_template
        for each row execute function billing.invoice_frozen();

-- ---- contents ----
create function billing.decimal_text(p numeric) returns text language sql immutable as $$
        select trim_scale(p)::text
$$;

-- Meters of a bill with register readings where the store has them, in the billing unit.
create function billing.invoice_meters(p_bill bigint) returns jsonb language plpgsql stable as $$
declare v_doc jsonb;
begin
        select coalesce(jsonb_agg(jsonb_build_object('serial', s->>'serial', 'name', d.name, 'unit', d.unit,
                'from', (to_timestamp((s->>'from_s')::bigint) at time zone n.tz)::date,
                'until', (to_timestamp((s->>'to_s')::bigint - 1) at time zone n.tz)::date,
                'multiplier', s->>'multiplier', 'values', (s->>'values')::int, 'status', d.status,
                'start', billing.decimal_text(r0.value::numeric / f.div),
                'end', billing.decimal_text(r1.value::numeric / f.div))
                order by d.name, (s->>'from_s')::bigint), '[]')
        into v_doc
        from billing.determinant d
        join core.branch n using (branch_id)
        cross join jsonb_array_elements(d.sources) s
        cross join lateral (select case when s->>'unit' in ('Wh', 'varh', 'L') then 1000 else 1 end as div) f
        left join mdm.channel c on c.register_of = (s->>'channel')::smallint
        left join lateral mdm.register_at((s->>'meter_id')::int, c.channel, to_timestamp((s->>'from_s')::bigint)) r0 on true
        left join lateral mdm.register_at((s->>'meter_id')::int, c.channel, to_timestamp((s->>'to_s')::bigint)) r1 on true
        where d.bill_id = p_bill;
        return v_doc;
end $$;

-- The last periods of the contract, this one included, oldest first, at most thirteen. (PL/pgSQL here
-- and below, so that a plan is made once a session and not for each bill.)
create function billing.invoice_history(p_bill bigint) returns jsonb language plpgsql stable as $$
begin
        return (
        select coalesce(jsonb_agg(jsonb_build_object('from', lower(h.period), 'to', upper(h.period),
                'days', upper(h.period) - lower(h.period), 'quantity', billing.decimal_text(h.quantity))
                order by lower(h.period)), '[]')
        from (select x.* from billing.bill b join billing.bill x on x.contract_id = b.contract_id
                      and (x.bill_id = b.bill_id or x.state = 'issued') and lower(x.period) <= lower(b.period)
                      and x.quantity is not null
              where b.bill_id = p_bill order by lower(x.period) desc limit 13) h
        );
end $$;

create function billing.invoice_content(p_bill bigint, p_kind text, p_number text, p_at timestamptz, p_credit bigint)
returns jsonb language plpgsql stable as $$
begin
        return (
        select jsonb_build_object(
                'kind', p_kind, 'number', p_number, 'issued_at', p_at, 'issued', (p_at at time zone n.tz)::date,
                'due', b.due, 'bill', b.bill_id, 'currency', b.currency, 'minor_digits', n.minor_digits,
                'branch', jsonb_build_object('code', n.code, 'name', n.name, 'tz', n.tz),
                'payee', (select to_jsonb(y) - 'branch_id' from billing.payee y where y.branch_id = n.branch_id),
                'customer', jsonb_build_object('name', p.name, 'account', a.number, 'tax_id', p.tax_id),
                'premise', jsonb_build_object('address', m.address, 'city', m.city, 'postcode', m.postcode,
                        'service_point', s.code, 'commodity', s.commodity),
                'contract', jsonb_build_object('number', c.number, 'class', c.class, 'tariff', c.tariff,
                        'tariff_name', t.name),
                'period', jsonb_build_object('from', lower(b.period), 'until', upper(b.period) - 1,
                        'days', upper(b.period) - lower(b.period)),
                'parts', b.inputs->'parts',
                'meters', billing.invoice_meters(b.bill_id),
                'quantity', billing.decimal_text(b.quantity), 'unit', b.unit,
                'lines', (select coalesce(jsonb_agg(jsonb_build_object('part', l.part_no, 'code', l.code,
                        'component', l.component,
                        'kind', l.kind, 'label', l.label, 'quantity', l.quantity, 'unit', l.unit, 'price', l.price,
                        'amount', l.amount) order by l.line_no), '[]')
                        from billing.bill_line l where l.bill_id = b.bill_id),
                'net', b.total - b.tax, 'tax', b.tax, 'total', b.total, 'credit', p_credit,
                'amount_due', greatest(b.total - p_credit, 0),
                'history', billing.invoice_history(b.bill_id),
                'daily', (select d.daily from billing.determinant d where d.bill_id = b.bill_id
                          order by (d.name = b.inputs->'contract'->>'main_code') desc, d.name limit 1),
                'corrects', (select i.number from billing.invoice i where i.bill_id = b.bill_id
                             and i.kind = 'invoice' and p_kind = 'credit_note'),
                'reason', case when p_kind = 'credit_note' then b.reversal_reason end)
        from billing.bill b
        join core.branch n on n.branch_id = b.branch_id
        join crm.account a on a.account_id = b.account_id
        join crm.party p using (party_id)
        join crm.contract c on c.contract_id = b.contract_id
        join crm.service_point s on s.service_point_id = b.service_point_id
        join crm.premise m using (premise_id)
        left join billing.tariff t on t.code = c.tariff
        where b.bill_id = p_bill
        );
end $$;

-- The newest template for class and language, falling back to the class "default", then to the
-- branch's language, then to English.
create function billing.pick_template(p_class text, p_language text, p_branch_language text)
returns billing.invoice_template language plpgsql stable as $$
begin
        return (
        select t from billing.invoice_template t
        where t.class in (p_class, 'default') and t.language in (p_language, p_branch_language, 'en')
        order by (t.language = p_language) desc, (t.language = p_branch_language) desc, (t.class = p_class) desc,
                 t.version desc
        limit 1
        );
end $$;

create function billing.make_invoice(p_bill bigint, p_kind text, p_at timestamptz, p_credit bigint) returns text
language plpgsql as $$
declare b billing.bill; v_class text; v_lang text; v_branch_lang text; t billing.invoice_template; n record; v_doc jsonb;
        v_sign int := case p_kind when 'credit_note' then -1 else 1 end;
begin
        select * into b from billing.bill where bill_id = p_bill;
        select c.class, p.language, x.language into v_class, v_lang, v_branch_lang
        from crm.contract c join crm.account a on a.account_id = b.account_id join crm.party p using (party_id)
        join core.branch x on x.branch_id = b.branch_id where c.contract_id = b.contract_id;
        t := billing.pick_template(v_class, v_lang, v_branch_lang);
        select * into n from billing.next_number(b.branch_id, p_kind, p_at);
        v_doc := billing.invoice_content(p_bill, p_kind, n.number, p_at, p_credit);
        insert into billing.invoice (number, branch_id, kind, year, seq, bill_id, account_id, corrects, issued_at, due,
                currency, total, tax, template_class, template_language, template_version, content, digest)
        values (n.number, b.branch_id, p_kind, n.year, n.seq, p_bill, b.account_id, v_doc->>'corrects', p_at,
                case p_kind when 'invoice' then b.due end, b.currency, v_sign * b.total, v_sign * b.tax, t.class,
                t.language, t.version, v_doc, sha256(convert_to(v_doc::text, 'UTF8')));
        return n.number;
end $$;

-- Unused credit of the account, shown against the first of its bills in this batch.
create or replace function billing.on_issue(p_bills bigint[]) returns void language plpgsql as $$
declare b record; v_credit bigint;
begin
        for b in select x.bill_id, x.issued_at, x.account_id, x.currency, x.total,
                        row_number() over (partition by x.account_id, x.currency order by x.bill_id) as nth
                 from billing.bill x where x.bill_id = any (p_bills) order by x.bill_id loop
                v_credit := 0;
                if b.nth = 1 and b.total > 0 then
                        select least(coalesce(sum(o.left_over), 0), b.total) into v_credit from ledger.open_item o
                        where o.account_id = b.account_id and o.currency = b.currency and o.credit > 0;
                end if;
                perform billing.make_invoice(b.bill_id, 'invoice', b.issued_at, v_credit);
        end loop;
end $$;

create or replace function billing.on_reverse(p_bill bigint, p_actor text) returns void language plpgsql as $$
begin
        if exists (select from billing.invoice where bill_id = p_bill and kind = 'invoice') then
                perform billing.make_invoice(p_bill, 'credit_note', now(), 0);
        end if;
end $$;
