-- name: ledger_sums
with t as (
        select * from ledger.trial_balance(coalesce($1::timestamptz, 'infinity'))
        where $2::text is null or branch_id = (select branch_id from core.branch where code = $2)
)
select jsonb_build_object(
        'at', $1::timestamptz,
        'balanced', not exists (select from t group by branch_id, currency having sum(debit) <> sum(credit)),
        'branches', (select coalesce(jsonb_agg(jsonb_build_object('branch', b.code, 'currency', s.currency,
                'debit', s.debit, 'credit', s.credit, 'difference', s.debit - s.credit)
                order by b.code, s.currency), '[]')
                from (select branch_id, currency, sum(debit) as debit, sum(credit) as credit
                      from t group by branch_id, currency) s join core.branch b using (branch_id)),
        'types', (select coalesce(jsonb_agg(jsonb_build_object('branch', b.code, 'currency', s.currency,
                'type', s.type, 'debit', s.debit, 'credit', s.credit, 'balance', s.debit - s.credit)
                order by b.code, s.currency, s.type), '[]')
                from (select branch_id, currency, type, sum(debit) as debit, sum(credit) as credit
                      from t group by branch_id, currency, type) s join core.branch b using (branch_id)),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('branch', b.code, 'gl', t.gl, 'name', t.name,
                'type', t.type, 'currency', t.currency, 'debit', t.debit, 'credit', t.credit,
                'balance', t.debit - t.credit) order by b.code, t.gl, t.currency), '[]')
                from t join core.branch b using (branch_id)))::text as doc

-- name: account_find
select a.account_id, a.branch_id, b.code as branch, b.currency, b.minor_digits
from crm.account a join core.branch b using (branch_id)
where a.number = $1

-- name: account_ledger
with a as (
        select a.account_id, a.number, p.name, b.code as branch, b.currency, b.minor_digits
        from crm.account a join crm.party p using (party_id) join core.branch b on b.branch_id = a.branch_id
        where a.account_id = $1::bigint
), l as (
        select l.*, e.kind, e.ref, e.text, e.reverses, o.left_over,
               sum(l.debit - l.credit) over (partition by l.currency order by l.at, l.entry_id, l.line_no) as balance
        from ledger.line l
        join ledger.entry e using (entry_id)
        join ledger.open_item o on (o.entry_id, o.line_no) = (l.entry_id, l.line_no)
        where l.account_id = $1::bigint and l.at <= coalesce($2::timestamptz, 'infinity')
)
select jsonb_build_object(
        'account', a.number, 'party', a.name, 'branch', a.branch,
        'currency', a.currency, 'minor_digits', a.minor_digits, 'at', $2::timestamptz,
        'balance', ledger.balance(a.account_id, a.currency, coalesce($2::timestamptz, 'infinity')),
        'items', (select coalesce(jsonb_agg(jsonb_build_object(
                'entry', l.entry_id, 'at', l.at, 'kind', l.kind, 'ref', l.ref, 'text', l.text,
                'currency', l.currency, 'debit', l.debit, 'credit', l.credit, 'due', l.due,
                'open', l.left_over, 'balance', l.balance, 'reverses', l.reverses)
                order by l.at, l.entry_id, l.line_no), '[]') from l))::text as doc
from a
