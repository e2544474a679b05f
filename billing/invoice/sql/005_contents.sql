-- What an invoice says about why it is what it is, messages by rule, and templates that come into
-- force on a day after a second person released them.

-- ---- templates ----
alter table billing.invoice_template
        add column valid_from date not null default '2000-01-01',
        add column created_by text not null default 'system',
        add column approved_by text not null default 'system';

create table billing.template_draft (
        draft_id   bigint generated always as identity primary key,
        class      text not null check (class ~ '^[a-z0-9_-]{1,32}$'),
        language   text not null check (language ~ '^[a-z]{2}$'),
        valid_from date not null,
        document   jsonb not null,
        note       text not null default '',
        state      text not null default 'draft' check (state in ('draft', 'approved', 'withdrawn')),
        single_operator boolean not null default false,
        created_by text not null, created_at timestamptz not null default now(),
        decided_by text, decided_at timestamptz,
        version    int,
        constraint template_four_eyes check (state <> 'approved' or single_operator or decided_by <> created_by)
);
comment on constraint template_four_eyes on billing.template_draft is
        'An invoice template is released by someone other than the person who wrote it';

create function billing.template_decide(p_draft bigint, p_state text, p_actor text) returns billing.template_draft
language plpgsql as $$
declare d billing.template_draft;
begin
        select * into d from billing.template_draft where draft_id = p_draft for update;
        if not found then
                return null;
        end if;
        if d.state <> 'draft' then
                raise exception 'Draft % of a template is %; make a new one', p_draft, d.state using errcode = 'HR001';
        end if;
        if p_state = 'approved' and d.valid_from < current_date then
                raise exception 'Draft % would have come into force on %; what was issued since keeps its template. '
                        'Choose a later day', p_draft, d.valid_from using errcode = 'HR001';
        end if;
        if p_state = 'approved' then
                lock table billing.invoice_template in share row exclusive mode;
                select coalesce(max(version), 0) + 1 into d.version from billing.invoice_template t
                where (t.class, t.language) = (d.class, d.language);
        end if;
        update billing.template_draft set state = p_state, decided_by = p_actor, decided_at = now(), version = d.version
        where draft_id = p_draft returning * into d;
        if p_state = 'approved' then
                insert into billing.invoice_template (class, language, version, document, valid_from, created_by,
                        approved_by)
                values (d.class, d.language, d.version, d.document, d.valid_from, d.created_by, d.decided_by);
        end if;
        return d;
end $$;

-- As before, among the versions in force on @p_day.
create function billing.pick_template(p_class text, p_language text, p_branch_language text, p_day date)
returns billing.invoice_template language plpgsql stable as $$
begin
        return (
        select t from billing.invoice_template t
        where t.class in (p_class, 'default') and t.language in (p_language, p_branch_language, 'en')
          and t.valid_from <= p_day
        order by (t.language = p_language) desc, (t.language = p_branch_language) desc, (t.class = p_class) desc,
                 t.valid_from desc, t.version desc
        limit 1
        );
end $$;
drop function billing.pick_template(text, text, text);

-- ---- messages ----
create table billing.invoice_message (
        message_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        language   text not null check (language ~ '^[a-z]{2}$'),
        class      text,                                 -- null: every class of customer
        commodity  text check (commodity in ('electricity', 'water', 'gas', 'heat')),
        shown      daterange not null check (not isempty(shown)), -- local days of issue
        rule       text not null default 'always'
                   check (rule in ('always', 'estimated', 'higher', 'lower', 'first', 'credit')),
        percent    int not null default 20 check (percent between 1 and 1000), -- of 'higher' and 'lower'
        rank       int not null default 100,             -- smaller comes first; three are printed
        body       text not null check (body <> '' and length(body) <= 500),
        created_by text not null, created_at timestamptz not null default now()
);
alter table billing.invoice_message enable row level security;
alter table billing.invoice_message force row level security;
create policy branch on billing.invoice_message using (core.branch_allowed(branch_id));

-- ---- why the amount changed ----
-- The bill before, the one of a year ago, and the difference in money by cause. Days are what the
-- bill before would have cost for as many days as this one; use is what more or less use at the
-- earlier average price comes to; the rest is prices and fees. The three add up to the difference.
create function billing.invoice_compare(p_bill bigint) returns jsonb language plpgsql stable as $$
declare b billing.bill; p billing.bill; y billing.bill; d0 int; d1 int; v_days bigint; v_use bigint;
begin
        select * into b from billing.bill where bill_id = p_bill;
        select x.* into p from billing.bill x
        where x.contract_id = b.contract_id and x.state = 'issued' and upper(x.period) <= lower(b.period)
          and x.currency = b.currency
        order by lower(x.period) desc limit 1;
        select x.* into y from billing.bill x
        where x.contract_id = b.contract_id and x.state = 'issued' and x.unit = b.unit and x.quantity > 0
          and x.period && daterange((lower(b.period) - interval '1 year')::date, (upper(b.period) - interval '1 year')::date)
        order by abs(lower(x.period) - (lower(b.period) - interval '1 year')::date) limit 1;
        d1 := upper(b.period) - lower(b.period);
        if p.bill_id is not null then
                d0 := upper(p.period) - lower(p.period);
                v_days := round(p.total::numeric * (d1 - d0) / d0);
                if p.quantity > 0 and b.quantity is not null and p.unit = b.unit then
                        v_use := round(p.total::numeric * (b.quantity * d0 - p.quantity * d1) / (p.quantity * d0));
                else
                        v_use := 0;
                end if;
        end if;
        return jsonb_strip_nulls(jsonb_build_object(
                'previous', case when p.bill_id is not null then jsonb_build_object('from', lower(p.period),
                        'until', upper(p.period) - 1, 'days', d0, 'quantity', billing.decimal_text(p.quantity),
                        'total', p.total) end,
                'causes', case when p.bill_id is not null then jsonb_build_object('days', v_days, 'use', v_use,
                        'price', b.total - p.total - v_days - v_use) end,
                -- Use per day against the one before and a year ago, in whole percent.
                'previous_percent', case when p.quantity > 0 and p.unit = b.unit then
                        round((b.quantity / d1) / (p.quantity / d0) * 100 - 100)::int end,
                'year_percent', case when y.bill_id is not null then
                        round((b.quantity / d1) / (y.quantity / (upper(y.period) - lower(y.period))) * 100 - 100)::int end));
end $$;

create function billing.invoice_messages(p_bill bigint, p_kind text, p_language text, p_day date, p_compare jsonb)
returns jsonb language plpgsql stable as $$
begin
        if p_kind <> 'invoice' or not exists (select from billing.invoice_message) then
                return '[]';
        end if;
        return (
        select coalesce(jsonb_agg(m.body order by m.rank, m.message_id), '[]')
        from (select m.* from billing.invoice_message m
              join billing.bill b on b.bill_id = p_bill and m.branch_id = b.branch_id
              join crm.contract c on c.contract_id = b.contract_id
              join crm.service_point s on s.service_point_id = b.service_point_id
              where m.language = p_language and m.shown @> p_day and (m.class is null or m.class = c.class)
                and (m.commodity is null or m.commodity = s.commodity)
                and case m.rule when 'always' then true
                         when 'estimated' then exists (select from billing.determinant d where d.bill_id = b.bill_id
                                                       and d.status in ('estimated', 'mixed'))
                         when 'higher' then (p_compare->>'previous_percent')::int >= m.percent
                         when 'lower' then (p_compare->>'previous_percent')::int <= -m.percent
                         when 'first' then not p_compare ? 'previous'
                         when 'credit' then b.total < 0 end
              order by m.rank, m.message_id limit 3) m
        );
end $$;

create function billing.make_invoice_content(p_bill bigint, p_kind text, p_number text, p_at timestamptz,
        p_credit bigint, p_language text) returns jsonb language plpgsql stable as $$
declare v_doc jsonb := billing.invoice_content(p_bill, p_kind, p_number, p_at, p_credit);
        v_compare jsonb := case p_kind when 'invoice' then billing.invoice_compare(p_bill) else '{}' end;
begin
        return v_doc || jsonb_build_object('compare', v_compare, 'messages',
                billing.invoice_messages(p_bill, p_kind, p_language, (v_doc->>'issued')::date, v_compare));
end $$;

create or replace function billing.make_invoice(p_bill bigint, p_kind text, p_at timestamptz, p_credit bigint)
returns text language plpgsql as $$
declare b billing.bill; v_class text; v_lang text; x core.branch; t billing.invoice_template; n record; v_doc jsonb;
        v_sign int := case p_kind when 'credit_note' then -1 else 1 end;
begin
        select * into b from billing.bill where bill_id = p_bill;
        select * into x from core.branch where branch_id = b.branch_id;
        select c.class, p.language into v_class, v_lang
        from crm.contract c join crm.account a on a.account_id = b.account_id join crm.party p using (party_id)
        where c.contract_id = b.contract_id;
        t := billing.pick_template(v_class, v_lang, x.language, (p_at at time zone x.tz)::date);
        select * into n from billing.next_number(b.branch_id, p_kind, p_at);
        v_doc := billing.make_invoice_content(p_bill, p_kind, n.number, p_at, p_credit, t.language);
        insert into billing.invoice (number, branch_id, kind, year, seq, bill_id, account_id, corrects, issued_at, due,
                currency, total, tax, template_class, template_language, template_version, content, digest)
        values (n.number, b.branch_id, p_kind, n.year, n.seq, p_bill, b.account_id, v_doc->>'corrects', p_at,
                case p_kind when 'invoice' then b.due end, b.currency, v_sign * b.total, v_sign * b.tax, t.class,
                t.language, t.version, v_doc, sha256(convert_to(v_doc::text, 'UTF8')));
        return n.number;
end $$;

-- Clerks write templates and messages, approvers release templates.
update core.role set permissions = permissions || '{template.write}' where role = 'clerk';
update core.role set permissions = permissions || '{template.approve}' where role = 'approver';
