-- name: payment_target
-- Who is paid for: $1 account number, $2 invoice number, $3 branch code.
with a as (select a.account_id, a.branch_id, null::text as invoice from crm.account a where a.number = $1),
i as (select i.account_id, i.branch_id, i.number as invoice from billing.invoice i where i.number = $2 and i.kind = 'invoice'),
t as (select * from i union all select * from a where not exists (select from i) limit 1),
n as (select b.branch_id, count(*) over () as n from core.branch b where core.branch_allowed(b.branch_id))
select (select account_id from t) as account_id, (select invoice from t) as invoice,
       (select i.account_id <> a.account_id from i, a) as contradiction,
       b.branch_id, b.code as branch, b.currency, b.minor_digits
from core.branch b
where b.branch_id = coalesce((select branch_id from t),
        (select branch_id from core.branch where code = $3 and core.branch_allowed(branch_id)),
        (select branch_id from n where n = 1 and $3::text is null limit 1))

-- name: payment_post
select payment_id, repeated, same
from billing.post_payment($1::smallint, $2, $3, $4::bigint, $5, $6::bigint, $7, $8, coalesce($9::timestamptz, now()), $10)

-- name: payment_show
select jsonb_build_object('payment', p.payment_id, 'receipt', p.receipt, 'branch', b.code, 'channel', p.channel,
        'reference', p.reference, 'amount', p.amount, 'currency', p.currency, 'minor_digits', b.minor_digits,
        'account', a.number, 'party', y.name, 'invoice', p.invoice, 'said', p.said, 'state', p.state,
        'suspense', p.account_id is null, 'paid_at', p.paid_at, 'entry', p.entry_id,
        'allocated', p.allocated, 'credit', case when p.account_id is null then 0 else p.amount - p.allocated end,
        'balance', case when p.account_id is not null then ledger.balance(p.account_id, p.currency) end,
        'settled', (select coalesce(jsonb_agg(jsonb_build_object('kind', e.kind, 'ref', e.ref, 'invoice', i.number,
                'amount', s.amount, 'due', l.due) order by l.due, e.entry_id), '[]')
                from (select debit_entry, debit_line, sum(amount) as amount from ledger.allocation
                      where credit_entry = p.entry_id group by 1, 2 having sum(amount) > 0) s
                join ledger.line l on (l.entry_id, l.line_no) = (s.debit_entry, s.debit_line)
                join ledger.entry e on e.entry_id = s.debit_entry
                left join billing.bill bb on bb.entry_id = e.entry_id
                left join billing.invoice i on i.bill_id = bb.bill_id and i.kind = 'invoice'),
        'reversed_at', p.reversed_at, 'reversal_reason', p.reversal_reason, 'repeated', $2::boolean)::text as doc,
       p.channel, p.reference, p.amount, p.currency, coalesce(a.number, '') as account, p.receipt, p.state
from billing.payment p
join core.branch b on b.branch_id = p.branch_id
left join crm.account a on a.account_id = p.account_id
left join crm.party y using (party_id)
where p.payment_id = $1::bigint

-- name: payment_reverse
select billing.reverse_payment($1::bigint, $2, $3)

-- name: payment_list
with x as (
        select p.*, a.number as account, y.name as party, b.code as branch, b.minor_digits
        from billing.payment p
        join core.branch b on b.branch_id = p.branch_id
        left join crm.account a on a.account_id = p.account_id
        left join crm.party y using (party_id)
        where ($1::text is null or a.number = $1) and ($2::text is null or b.code = $2)
          and ($3::text is null or p.channel = $3) and ($4::text is null or p.state = $4)
          and ($5::boolean is null or (p.account_id is null) = $5::boolean)
          and p.payment_id < coalesce($6::bigint, 9223372036854775807)
        order by p.payment_id desc limit coalesce($7::int, 100)
)
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('payment', payment_id, 'receipt', receipt,
        'branch', branch, 'paid_at', paid_at, 'channel', channel, 'reference', reference, 'account', account,
        'party', party, 'amount', amount, 'allocated', allocated, 'currency', currency, 'minor_digits', minor_digits,
        'state', state, 'suspense', account_id is null) order by payment_id desc), '[]'),
        'next', case when count(*) = coalesce($7::int, 100) then min(payment_id)::text end)::text as doc
from x
