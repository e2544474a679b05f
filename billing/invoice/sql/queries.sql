-- name: invoice_list
with x as (
        select i.*, a.number as account, p.name as party, b.minor_digits,
               coalesce((select sum(o.left_over) from ledger.open_item o join billing.bill l on l.entry_id = o.entry_id
                         where l.bill_id = i.bill_id and o.account_id = i.account_id and o.debit > 0), 0) as open
        from billing.invoice i
        join crm.account a using (account_id)
        join crm.party p using (party_id)
        join core.branch b on b.branch_id = i.branch_id
        where ($1::text is null or a.number = $1) and ($2::text is null or b.code = $2)
          and ($3::text is null or i.kind = $3)
          and ($4::text is null or (i.issued_at, i.number) < (select issued_at, number from billing.invoice where number = $4))
        order by i.issued_at desc, i.number desc limit coalesce($5::int, 100)
)
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('number', number, 'kind', kind,
        'account', account, 'party', party, 'issued_at', issued_at, 'due', due, 'total', total, 'tax', tax,
        'open', case kind when 'invoice' then open else 0 end, 'currency', currency, 'minor_digits', minor_digits,
        'bill', bill_id, 'corrects', corrects) order by issued_at desc, number desc), '[]'),
        'next', case when count(*) = coalesce($5::int, 100)
                then (array_agg(number order by issued_at, number))[1] end)::text as doc
from x

-- name: invoice_show
select jsonb_build_object('number', i.number, 'kind', i.kind, 'bill', i.bill_id, 'issued_at', i.issued_at,
        'due', i.due, 'total', i.total, 'tax', i.tax, 'currency', i.currency, 'corrects', i.corrects,
        'open', coalesce((select sum(o.left_over) from ledger.open_item o join billing.bill l on l.entry_id = o.entry_id
                where l.bill_id = i.bill_id and o.account_id = i.account_id and o.debit > 0 and i.kind = 'invoice'), 0),
        'corrected_by', (select c.number from billing.invoice c where c.corrects = i.number),
        'template', jsonb_build_object('class', i.template_class, 'language', i.template_language,
                'version', i.template_version),
        'sha256', encode(i.digest, 'hex'),
        'intact', i.digest = sha256(convert_to(i.content::text, 'UTF8')),
        'content', i.content)::text as doc
from billing.invoice i where i.number = $1

-- name: invoice_pdf
select i.content::text as content, t.document::text as template,
       i.digest = sha256(convert_to(i.content::text, 'UTF8')) as intact,
       a.document as archived, a.digest = sha256(a.document) as archived_intact
from billing.invoice i
join billing.invoice_template t on (t.class, t.language, t.version) =
        (i.template_class, i.template_language, i.template_version)
left join billing.archive a on a.number = i.number and a.form = 'pdf'
where i.number = $1

-- name: archive_pdf
select billing.archive_put($1, 'pdf', decode($2, 'hex'))

-- name: invoice_verify
select jsonb_build_object('documents', (select count(*) from billing.invoice i join core.branch b using (branch_id)
                where ($1::text is null or b.code = $1) and ($4::text is null or i.number = $4)
                  and ($2::date is null or i.issued_at >= $2::date) and ($3::date is null or i.issued_at < $3::date + 1)),
        'archived', (select count(*) from billing.archive a join billing.invoice i using (number)
                join core.branch b on b.branch_id = i.branch_id
                where ($1::text is null or b.code = $1) and ($4::text is null or i.number = $4)
                  and ($2::date is null or i.issued_at >= $2::date) and ($3::date is null or i.issued_at < $3::date + 1)),
        'faults', (select coalesce(jsonb_agg(jsonb_build_object('number', f.number, 'form', f.form, 'fault', f.fault)
                order by f.number, f.form, f.fault), '[]')
                from billing.archive_faults((select branch_id from core.branch where code = $1), $2::date, $3::date, $4) f)
        )::text as doc
where $1::text is null or exists (select from core.branch where code = $1)

-- name: template_list
select jsonb_build_object(
        'items', (select coalesce(jsonb_agg(jsonb_build_object('class', class, 'language', language, 'version', version,
                'valid_from', valid_from, 'created_by', created_by, 'approved_by', approved_by, 'created_at', created_at)
                order by class, language, version desc), '[]')
                from billing.invoice_template where $1::text is null or language = $1),
        'drafts', (select coalesce(jsonb_agg(jsonb_build_object('draft', draft_id, 'class', class, 'language', language,
                'valid_from', valid_from, 'note', note, 'created_by', created_by, 'created_at', created_at)
                order by draft_id), '[]')
                from billing.template_draft where state = 'draft' and ($1::text is null or language = $1)))::text as doc

-- name: template_show
select jsonb_build_object('class', t.class, 'language', t.language, 'version', t.version, 'valid_from', t.valid_from,
        'created_by', t.created_by, 'approved_by', t.approved_by, 'document', t.document,
        'invoices', (select count(*) from billing.invoice i where (i.template_class, i.template_language,
                i.template_version) = (t.class, t.language, t.version)))::text as doc
from billing.invoice_template t
where t.class = $1 and t.language = $2 and ($3::int is null or t.version = $3::int)
order by t.version desc limit 1

-- name: template_draft
insert into billing.template_draft (class, language, valid_from, document, note, created_by, single_operator)
values ($1, $2, $3::date, $4::jsonb, coalesce($5, ''), $6, $7::boolean)
returning jsonb_build_object('draft', draft_id, 'class', class, 'language', language, 'valid_from', valid_from,
        'state', state)::text as doc

-- name: template_decide
select jsonb_build_object('draft', d.draft_id, 'class', d.class, 'language', d.language, 'valid_from', d.valid_from,
        'state', d.state, 'version', d.version)::text as doc
from billing.template_decide($1::bigint, $2, $3) d where d.draft_id is not null

-- name: preview
-- $1 draft, $2 invoice number, $3 bill: contents of the invoice, of the bill as it would be issued now, or of the
-- newest invoice there is; printed with the draft's template, else with the one that would be chosen.
with source as (
        select i.content, i.template_class as class, i.template_language as language, i.template_version as version
        from billing.invoice i where i.number = $2
        union all
        select billing.make_invoice_content(b.bill_id, 'invoice', '-', now(), 0, (x.t).language), (x.t).class,
               (x.t).language, (x.t).version
        from billing.bill b
        join crm.contract c using (contract_id) join crm.account a on a.account_id = b.account_id
        join crm.party p using (party_id) join core.branch n on n.branch_id = b.branch_id
        cross join lateral (select billing.pick_template(c.class, p.language, n.language, current_date) as t) x
        where b.bill_id = $3::bigint
        union all
        (select i.content, i.template_class, i.template_language, i.template_version from billing.invoice i
         where $2::text is null and $3::text is null order by i.issued_at desc, i.number desc limit 1)
)
select s.content::text as content, coalesce(d.document, t.document)::text as template,
       $1::text is null or d.draft_id is not null as known_draft
from source s
join billing.invoice_template t on (t.class, t.language, t.version) = (s.class, s.language, s.version)
left join billing.template_draft d on d.draft_id = $1::bigint
limit 1

-- name: message_add
insert into billing.invoice_message (branch_id, language, class, commodity, shown, rule, percent, rank, body, created_by)
select b.branch_id, $2, $3, $4, daterange($5::date, $6::date, '[]'), coalesce($7, 'always'), coalesce($8::int, 20),
       coalesce($9::int, 100), $10, $11
from core.branch b where b.code = $1
returning jsonb_build_object('message', message_id, 'branch', $1::text, 'language', language, 'rule', rule,
        'from', lower(shown), 'until', upper(shown) - 1, 'body', body)::text as doc

-- name: message_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('message', m.message_id, 'branch', b.code,
        'language', m.language, 'class', m.class, 'commodity', m.commodity, 'from', lower(m.shown),
        'until', upper(m.shown) - 1, 'rule', m.rule, 'percent', m.percent, 'rank', m.rank, 'body', m.body)
        order by m.rank, m.message_id), '[]'))::text as doc
from billing.invoice_message m join core.branch b using (branch_id)
where ($1::text is null or b.code = $1)

-- name: message_end
delete from billing.invoice_message where message_id = $1::bigint
returning jsonb_build_object('message', message_id, 'removed', true)::text as doc

-- name: print_list
-- What a print job prints, in the order of the postman's walk. $1 job, $2 branch, $3 run, $4 and $5 days of issue,
-- $6 only what is to go on paper, $7 order
insert into billing.print_item (job_id, seq, number, branch_id)
select $1::bigint, row_number() over (order by
               case when $7 = 'postcode' then i.content->'premise'->>'postcode' end collate "C",
               case when $7 = 'postcode' then i.content->'premise'->>'address' end collate "C",
               case when $7 = 'account' then a.number end collate "C", i.branch_id, i.kind, i.year, i.seq), i.number,
       i.branch_id
from billing.invoice i
join core.branch b on b.branch_id = i.branch_id
join crm.account a using (account_id)
join billing.bill l using (bill_id)
where ($2::text is null or b.code = $2) and ($3::bigint is null or l.run_id = $3::bigint)
  and ($4::date is null or i.issued_at >= $4::date) and ($5::date is null or i.issued_at < $5::date + 1)
  and (not $6::boolean or exists (select from billing.delivery d where d.number = i.number and d.channel = 'print'
                                  and d.state in ('queued', 'failed')))
on conflict do nothing

-- name: print_count
select count(*) as n from billing.print_item where job_id = $1::bigint

-- name: print_batch
select p.seq, i.number, a.number as account,
       to_char(i.issued_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as issued_at, i.content->'premise'->>'postcode' as postcode,
       i.content::text as content, t.document::text as template,
       i.digest = sha256(convert_to(i.content::text, 'UTF8')) as intact
from billing.print_item p
join billing.invoice i using (number)
join crm.account a using (account_id)
join billing.invoice_template t on (t.class, t.language, t.version) =
        (i.template_class, i.template_language, i.template_version)
where p.job_id = $1::bigint and p.seq > $2::int and p.seq <= $3::int
order by p.seq

-- name: print_sent
select billing.delivery_result(d.delivery_id, 'sent', '', $4)
from billing.print_item p join billing.delivery d using (number)
where p.job_id = $1::bigint and p.seq > $2::int and p.seq <= $3::int
  and d.channel = 'print' and d.state in ('queued', 'failed')

-- name: print_end
delete from billing.print_item where job_id = $1::bigint

-- name: print_params
select coalesce($1::jsonb->>'format', 'merged') as format, coalesce($1::jsonb->>'order', 'postcode') as sort,
       coalesce(($1::jsonb->>'per_file')::int, 1000) as per_file, $1::jsonb->>'branch' as branch,
       $1::jsonb->>'run' as run, $1::jsonb->>'from' as from_day, $1::jsonb->>'until' as until_day,
       coalesce(($1::jsonb->>'paper')::boolean, true) as paper, coalesce(($1::jsonb->>'archive')::boolean, true) as archive,
       coalesce(($2::jsonb->>'done')::bigint, 0) as done, coalesce(($2::jsonb->>'total')::bigint, -1) as total

-- name: deliver_next
select d.delivery_id, d.number, d.channel, d.address, d.attempts, i.content->'payee'->>'name' as payee,
       i.content->'customer'->>'name' as customer, i.kind, extract(epoch from i.issued_at)::bigint as issued_s,
       t.document->'text'->>i.kind as title, t.document->'text'->>'amount_due' as amount_label,
       u.document as ubl, i.digest = sha256(convert_to(i.content::text, 'UTF8')) as intact
from billing.delivery d
join billing.invoice i using (number)
join billing.invoice_template t on (t.class, t.language, t.version) =
        (i.template_class, i.template_language, i.template_version)
left join billing.archive u on u.number = i.number and u.form = 'ubl'
where d.channel in ('email', 'app') and d.state in ('queued', 'failed') and d.next_at <= now()
order by d.next_at, d.delivery_id limit 1 for update of d skip locked

-- name: deliver_counts
select count(*) filter (where next_at <= now()) as due, min(next_at) as next_at
from billing.delivery where channel in ('email', 'app') and state in ('queued', 'failed')

-- name: deliver_result
select (r).state as state, (r).attempts as attempts
from (select billing.delivery_result($1::bigint, $2, $3, $4) as r) x

-- name: deliver_wanted
select d.delivery_id from billing.delivery d
where d.number = $1 and d.channel in ('email', 'app') and d.state in ('queued', 'failed') limit 1

-- name: deliver_wake
select w.at from billing.delivery_wake(coalesce($1::timestamptz, now())) w(at) where w.at is not null

-- name: job_run_after
update core.job set run_after = $2::timestamptz where job_id = $1::bigint

-- name: delivery_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('delivery', d.delivery_id, 'number', d.number,
        'channel', d.channel, 'address', d.address, 'state', d.state, 'attempts', d.attempts, 'reason', d.reason,
        'receipt', d.receipt, 'next_at', case when d.state in ('queued', 'failed') then d.next_at end,
        'sent_at', d.sent_at) order by d.delivery_id desc), '[]'),
        'next', case when count(*) = coalesce($6::int, 100) then min(d.delivery_id)::text end)::text as doc
from (select d.* from billing.delivery d join core.branch b using (branch_id)
      where ($1::text is null or b.code = $1) and ($2::text is null or d.state = $2)
        and ($3::text is null or d.channel = $3) and ($4::text is null or d.number = $4)
        and ($5::bigint is null or d.delivery_id < $5::bigint)
      order by d.delivery_id desc limit coalesce($6::int, 100)) d

-- name: delivery_prefer
insert into billing.delivery_preference (account_id, branch_id, channel, address)
select a.account_id, a.branch_id, $2, coalesce($3, '') from crm.account a where a.number = $1
on conflict (account_id) do update set channel = excluded.channel, address = excluded.address
returning jsonb_build_object('account', $1::text, 'channel', channel, 'address', address)::text as doc

-- name: delivery_retry
update billing.delivery set state = 'queued', attempts = 0, next_at = now()
where delivery_id = $1::bigint and state in ('failed', 'dead')
returning number, jsonb_build_object('delivery', delivery_id, 'number', number, 'state', state)::text as doc

-- name: delivery_bounce
with d as (update billing.delivery set state = 'dead', reason = $2
           where delivery_id = $1::bigint and state = 'sent' and channel <> 'print' returning *),
p as (insert into billing.delivery (branch_id, number, channel) select branch_id, number, 'print' from d returning 1)
select number, jsonb_build_object('delivery', delivery_id, 'number', number, 'state', state, 'reason', reason)::text as doc
from d

-- name: payee_set
insert into billing.payee (branch_id, name, address, tax_id, phone, email, bank_name, iban, bic, bank_bin, bank_account)
select b.branch_id, $2, coalesce($3, ''), coalesce($4, ''), coalesce($5, ''), coalesce($6, ''), coalesce($7, ''),
       coalesce($8, ''), coalesce($9, ''), coalesce($10, ''), coalesce($11, '')
from core.branch b where b.code = $1
on conflict (branch_id) do update set (name, address, tax_id, phone, email, bank_name, iban, bic, bank_bin, bank_account) =
        (excluded.name, excluded.address, excluded.tax_id, excluded.phone, excluded.email, excluded.bank_name,
         excluded.iban, excluded.bic, excluded.bank_bin, excluded.bank_account)
returning (to_jsonb(payee) - 'branch_id' || jsonb_build_object('branch', $1::text))::text as doc

-- name: payee_show
select (to_jsonb(y) - 'branch_id' || jsonb_build_object('branch', b.code))::text as doc
from billing.payee y join core.branch b using (branch_id) where b.code = $1

-- name: invoice_of_bill
select number, total, currency, account_id from billing.invoice where bill_id = $1::bigint and kind = $2
