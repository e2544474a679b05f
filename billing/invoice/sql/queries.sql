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
       i.digest = sha256(convert_to(i.content::text, 'UTF8')) as intact
from billing.invoice i
join billing.invoice_template t on (t.class, t.language, t.version) =
        (i.template_class, i.template_language, i.template_version)
where i.number = $1

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
