-- name: einvoice_source
select i.content::text as content, i.digest = sha256(convert_to(i.content::text, 'UTF8')) as intact,
       billing.einvoice_settings(i.number)::text as settings,
       billing.einvoice_settings(i.number)->>'profile' as profile,
       coalesce((select e.state from billing.einvoice e where e.number = i.number), '') as state,
       s.everyone or y.account_id is not null as wanted
from billing.invoice i
left join billing.einvoice_seller s on s.branch_id = i.branch_id
left join billing.einvoice_buyer y on y.account_id = i.account_id
where i.number = $1

-- name: einvoice_put
select billing.einvoice_put($1, $2, decode($3, 'hex'), coalesce($4, ''), $5)

-- name: einvoice_show
select jsonb_build_object('number', e.number, 'profile', e.profile, 'state', e.state, 'reason', e.reason,
        'receipt', e.receipt, 'changed_at', e.changed_at, 'sha256', encode(a.digest, 'hex'),
        'archive_seq', a.seq, 'steps', (select jsonb_agg(jsonb_build_object('state', s.state, 'reason', s.reason,
                'receipt', s.receipt, 'at', s.at, 'by', s.by_whom) order by s.step)
                from billing.einvoice_step s where s.number = e.number))::text as doc
from billing.einvoice e
left join billing.archive a on a.number = e.number and a.form = 'ubl'
where e.number = $1

-- name: einvoice_xml
select a.document, a.digest = sha256(a.document) as intact from billing.archive a where a.number = $1 and a.form = 'ubl'

-- name: einvoice_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('number', x.number, 'kind', x.kind,
        'party', x.party, 'profile', x.profile, 'state', x.state, 'reason', x.reason, 'changed_at', x.changed_at)
        order by x.changed_at desc, x.number desc), '[]'),
        'next', case when count(*) = coalesce($4::int, 100)
                then (array_agg(x.number order by x.changed_at, x.number))[1] end)::text as doc
from (select e.*, i.kind, i.content->'customer'->>'name' as party
      from billing.einvoice e join billing.invoice i using (number) join core.branch b on b.branch_id = e.branch_id
      where ($1::text is null or b.code = $1) and ($2::text is null or e.state = $2)
        and ($3::text is null or (e.changed_at, e.number) < (select changed_at, number from billing.einvoice
                                                             where number = $3))
      order by e.changed_at desc, e.number desc limit coalesce($4::int, 100)) x

-- name: einvoice_mark
update billing.einvoice set state = $2, reason = coalesce($3, ''), receipt = coalesce($4, receipt), changed_at = now(),
       changed_by = $5
where number = $1 returning number

-- name: seller_set
insert into billing.einvoice_seller (branch_id, profile, everyone, street, city, postcode, country, vat_id, legal_id,
        endpoint, endpoint_scheme, vat_codes, untaxed)
select b.branch_id, coalesce($2, 'en16931'), coalesce($3::boolean, false), coalesce($4, ''), coalesce($5, ''),
       coalesce($6, ''), $7, coalesce($8, ''), coalesce($9, ''), coalesce($10, ''), coalesce($11, ''),
       coalesce(string_to_array($12, ','), '{vat,gst,mwst,ust,tva,iva,btw,moms}'), coalesce($13::jsonb, '{}')
from core.branch b where b.code = $1
on conflict (branch_id) do update set (profile, everyone, street, city, postcode, country, vat_id, legal_id, endpoint,
        endpoint_scheme, vat_codes, untaxed) = (excluded.profile, excluded.everyone, excluded.street, excluded.city,
        excluded.postcode, excluded.country, excluded.vat_id, excluded.legal_id, excluded.endpoint,
        excluded.endpoint_scheme, excluded.vat_codes, excluded.untaxed)
returning (to_jsonb(einvoice_seller) - 'branch_id' || jsonb_build_object('branch', $1::text))::text as doc

-- name: seller_show
select (to_jsonb(s) - 'branch_id' || jsonb_build_object('branch', b.code))::text as doc
from billing.einvoice_seller s join core.branch b using (branch_id) where b.code = $1

-- name: buyer_set
insert into billing.einvoice_buyer (account_id, branch_id, profile, country, vat_id, legal_id, endpoint,
        endpoint_scheme, buyer_reference)
select a.account_id, a.branch_id, $2, $3, coalesce($4, ''), coalesce($5, ''), coalesce($6, ''), coalesce($7, ''),
       coalesce($8, '')
from crm.account a where a.number = $1
on conflict (account_id) do update set (profile, country, vat_id, legal_id, endpoint, endpoint_scheme, buyer_reference) =
        (excluded.profile, excluded.country, excluded.vat_id, excluded.legal_id, excluded.endpoint,
         excluded.endpoint_scheme, excluded.buyer_reference)
returning (to_jsonb(einvoice_buyer) - 'branch_id' - 'account_id' || jsonb_build_object('account', $1::text))::text as doc

-- name: buyer_show
select (to_jsonb(y) - 'branch_id' - 'account_id' || jsonb_build_object('account', a.number))::text as doc
from billing.einvoice_buyer y join crm.account a using (account_id) where a.number = $1
