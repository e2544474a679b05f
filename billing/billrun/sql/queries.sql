-- name: run_create
with b as (select * from core.branch where code = $1),
c as (select billing.ensure_cycle(b.branch_id, $2) from b),
k as (select c.contract_id, c.cycle from crm.contract c join b using (branch_id) where c.number = $5)
insert into billing.run (branch_id, cycle, period, contract_id, created_by, single_operator, contracts)
select b.branch_id, $2, daterange($3::date, $4::date), (select contract_id from k), $6, $7::boolean,
       (select count(*) from crm.contract x where x.branch_id = b.branch_id and x.cycle = $2
               and x.valid && daterange($3::date, $4::date)
               and ($5::text is null or x.number = $5))
from b, c
returning run_id, contracts

-- name: run_check
select (select count(*) from core.branch b where b.code = $1 and core.branch_allowed(b.branch_id)) as branches,
       (select count(*) from crm.contract c where c.number = $2) as contracts,
       (select c.cycle from crm.contract c where c.number = $2) as contract_cycle,
       $4::date - $3::date as days

-- name: cycle_exists
select billing.ensure_cycle(b.branch_id, $2) from core.branch b where b.code = $1

-- name: cycle_find
select 1 from billing.cycle c join core.branch b using (branch_id) where b.code = $1 and c.code = $2

-- name: run_set_job
update billing.run set job_id = $2::bigint where run_id = $1::bigint

-- name: job_state
select $1::jsonb->>'run' as run, coalesce($1::jsonb->>'actor', 'system') as actor,
       coalesce(($2::jsonb->>'shared')::boolean, false) as shared, coalesce(($2::jsonb->>'done')::bigint, 0) as done

-- name: run_counts
select state, contracts, issue_job_id,
       (select count(*) from billing.bill b where b.run_id = r.run_id and b.state = 'draft') as drafts
from billing.run r where run_id = $1::bigint

-- name: run_computed
update billing.run set computed_at = now() where run_id = $1::bigint and computed_at is null and state = 'draft'
returning run_id, (select count(*) from billing.bill b where b.run_id = run.run_id) as bills

-- name: run_approve
update billing.run set state = 'approved', approved_by = $2, approved_at = now()
where run_id = $1::bigint and state <> 'approved'

-- name: run_issue
update billing.run set issue_at = coalesce(issue_at, now()), issue_job_id = $2::bigint where run_id = $1::bigint

-- name: run_cancel
with r as (update billing.run set state = 'cancelled', cancelled_by = $2, cancelled_at = now()
           where run_id = $1::bigint returning run_id)
update billing.bill b set state = 'cancelled' from r where b.run_id = r.run_id and b.state in ('draft', 'held')

-- name: run_issued
with h as (update billing.bill set state = 'cancelled' where run_id = $1::bigint and state = 'held' returning 1)
update billing.run set state = 'issued', issued_at = now() where run_id = $1::bigint and state = 'approved'

-- name: issue_bills
select bill_id, account, total, currency from billing.issue_bills($1::bigint, $2::int, $3)

-- name: run_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object(
        'run', r.run_id, 'branch', b.code, 'cycle', r.cycle, 'from', lower(r.period), 'to', upper(r.period),
        'state', r.state, 'contracts', r.contracts, 'done', r.done, 'skipped', r.skipped,
        'computed', r.computed_at is not null, 'bills', c.bills, 'held', c.held, 'total', c.total,
        'currency', b.currency, 'minor_digits', b.minor_digits, 'created_by', r.created_by,
        'created_at', r.created_at, 'approved_by', r.approved_by, 'issued_at', r.issued_at)
        order by r.run_id desc), '[]'))::text as doc
from (select * from billing.run where ($1::text is null or state = $1)
              and ($2::text is null or branch_id = (select branch_id from core.branch where code = $2))
      order by run_id desc limit coalesce($3::int, 100)) r
join core.branch b using (branch_id)
cross join lateral (select count(*) filter (where x.state <> 'cancelled') as bills,
        count(*) filter (where x.state = 'held') as held,
        coalesce(sum(x.total) filter (where x.state in ('draft', 'issued')), 0) as total
        from billing.bill x where x.run_id = r.run_id) c

-- name: run_show
with x as (select b.*, p.total as previous_total from billing.bill b
           left join billing.bill p on p.bill_id = b.previous_bill_id where b.run_id = $1::bigint)
select jsonb_build_object('run', r.run_id, 'branch', b.code, 'cycle', r.cycle, 'from', lower(r.period),
        'to', upper(r.period), 'state', r.state, 'currency', b.currency, 'minor_digits', b.minor_digits,
        'created_by', r.created_by, 'created_at', r.created_at, 'approved_by', r.approved_by,
        'approved_at', r.approved_at, 'computed_at', r.computed_at, 'issued_at', r.issued_at,
        'job_id', coalesce(r.issue_job_id, r.job_id), 'job', r.job_id, 'issue_job', r.issue_job_id,
        'contracts', r.contracts, 'done', r.done, 'skipped', r.skipped,
        'bills', (select count(*) from x where state in ('draft', 'issued')),
        'held', (select count(*) from x where state = 'held'),
        'issued', (select count(*) from x where state = 'issued'),
        'left_out', (select count(*) from x where state = 'cancelled'),
        'total', (select coalesce(sum(total), 0) from x where state in ('draft', 'issued')),
        'tax', (select coalesce(sum(tax), 0) from x where state in ('draft', 'issued')),
        'quantities', (select coalesce(jsonb_agg(jsonb_build_object('unit', unit, 'quantity', q)), '[]')
                from (select unit, sum(quantity) as q from x where state in ('draft', 'issued') and unit <> ''
                      group by unit order by unit) u),
        'smallest', (select min(total) from x where state in ('draft', 'issued')),
        'largest', (select max(total) from x where state in ('draft', 'issued')),
        'exceptions', (select coalesce(jsonb_agg(jsonb_build_object('code', code, 'count', n, 'total', total)
                order by n desc, code), '[]')
                from (select e->>'code' as code, count(*) as n, sum(x.total) as total
                      from x, jsonb_array_elements(x.exceptions) e where x.state in ('held', 'cancelled')
                      group by 1) e),
        'changes', (select coalesce(jsonb_agg(jsonb_build_object('bill', bill_id, 'total', total,
                'previous', previous_total, 'change', total - previous_total) order by abs(total - previous_total) desc), '[]')
                from (select * from x where previous_total is not null and state in ('draft', 'held', 'issued')
                      order by abs(total - previous_total) desc limit 20) y))::text as doc
from billing.run r join core.branch b using (branch_id)
where r.run_id = $1::bigint

-- name: bill_list
with x as (
        select b.*, c.number as contract, a.number as account, p.name as party
        from billing.bill b
        join crm.contract c using (contract_id)
        join crm.account a on a.account_id = b.account_id
        join crm.party p using (party_id)
        where ($1::bigint is null or b.run_id = $1::bigint) and ($2::text is null or b.state = $2)
          and ($3::text is null or a.number = $3) and ($4::text is null or c.number = $4)
          and ($5::text is null or exists (select from jsonb_array_elements(b.exceptions) e where e->>'code' = $5))
          and b.bill_id < least(coalesce($6::bigint, 9223372036854775807), coalesce($7::bigint, 9223372036854775807))
        order by b.bill_id desc limit coalesce($8::int, 100)
)
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('bill', bill_id, 'run', run_id,
        'contract', contract, 'account', account, 'party', party, 'from', lower(period), 'to', upper(period),
        'state', state, 'quantity', quantity, 'unit', unit, 'total', total, 'tax', tax, 'currency', currency,
        'exceptions', exceptions, 'due', due) order by bill_id desc), '[]'),
        'next', case when count(*) = coalesce($8::int, 100) then min(bill_id)::text end)::text as doc
from x

-- name: bill_exists
select state from billing.bill where bill_id = $1::bigint

-- name: bill_show
select jsonb_build_object('bill', b.bill_id, 'run', b.run_id, 'branch', n.code, 'contract', c.number,
        'account', a.number, 'party', p.name, 'service_point', s.code, 'commodity', s.commodity,
        'tariff', c.tariff, 'class', c.class, 'from', lower(b.period), 'to', upper(b.period),
        'days', upper(b.period) - lower(b.period), 'state', b.state, 'currency', b.currency,
        'minor_digits', n.minor_digits, 'total', b.total, 'tax', b.tax, 'quantity', b.quantity, 'unit', b.unit,
        'exceptions', b.exceptions, 'due', b.due, 'issued_at', b.issued_at, 'entry', b.entry_id,
        'previous', b.previous_bill_id, 'rebill_of', b.rebill_of, 'reversed_at', b.reversed_at,
        'reversal_reason', b.reversal_reason, 'released_by', b.released_by, 'release_reason', b.release_reason,
        'determinants', (select coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'unit', d.unit,
                'quantity', d.quantity, 'status', d.status, 'readings_sha256', encode(d.readings, 'hex'),
                'sources', d.sources) order by d.part_no, d.name), '[]')
                from billing.determinant d where d.bill_id = b.bill_id),
        'lines', (select coalesce(jsonb_agg(jsonb_build_object('line', l.line_no, 'part', l.part_no, 'code', l.code,
                'component', l.component, 'kind', l.kind, 'label', l.label, 'quantity', l.quantity, 'unit', l.unit,
                'price', l.price, 'amount', l.amount, 'sha256', encode(l.hash, 'hex')) order by l.line_no), '[]')
                from billing.bill_line l where l.bill_id = b.bill_id))::text as doc
from billing.bill b
join core.branch n on n.branch_id = b.branch_id
join crm.contract c using (contract_id)
join crm.account a on a.account_id = b.account_id
join crm.party p using (party_id)
join crm.service_point s on s.service_point_id = b.service_point_id
where b.bill_id = $1::bigint

-- name: bill_explain
with b as (
        select b.*, upper(b.period) - lower(b.period) as days, p.total as t0, p.quantity as q0,
               upper(p.period) - lower(p.period) as d0, lower(p.period) as from0, upper(p.period) as to0
        from billing.bill b left join billing.bill p on p.bill_id = b.previous_bill_id
        where b.bill_id = $1::bigint
), p as (
        -- $2: what the prices changed; $3: share of both bills' use that is estimated, in millionths.
        -- By use is the rest, so that the four add up.
        select b.*, $2::bigint as by_price,
               round(t0 * (days - d0)::numeric / nullif(d0, 0))::bigint as by_days from b
), e as (
        select p.*, round((total - t0 - by_price - by_days) * $3::numeric / 1000000)::bigint as by_estimates from p
)
select jsonb_build_object('bill', e.bill_id, 'state', e.state, 'from', lower(e.period), 'to', upper(e.period),
        'days', e.days, 'total', e.total, 'currency', e.currency, 'minor_digits', n.minor_digits,
        'contract', e.inputs->'contract', 'tariff_versions', e.inputs->'parts', 'exceptions', e.exceptions,
        'given', e.inputs->'given', 'carried_in', e.inputs->'carry', 'carried_out', e.carry,
        'readings', (select coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'unit', d.unit,
                'quantity', d.quantity, 'status', d.status, 'sources', d.sources, 'daily', d.daily,
                'sha256', encode(d.readings, 'hex')) order by d.name), '[]')
                from billing.determinant d where d.bill_id = e.bill_id),
        'lines', (select coalesce(jsonb_agg(jsonb_build_object('line', l.line_no, 'part', l.part_no, 'code', l.code,
                'component', l.component, 'kind', l.kind, 'label', l.label, 'quantity', l.quantity, 'unit', l.unit,
                'price', l.price, 'exact', l.exact, 'amount', l.amount, 'tariff', e.inputs->'parts'->(l.part_no - 1),
                'steps', l.trace::jsonb) order by l.line_no), '[]')
                from billing.bill_line l where l.bill_id = e.bill_id),
        'comparison', case when e.t0 is not null then jsonb_build_object('previous_bill', e.previous_bill_id,
                'from', e.from0, 'to', e.to0, 'days', e.d0, 'quantity', e.q0, 'total', e.t0,
                'difference', e.total - e.t0, 'by_days', e.by_days,
                'by_use', e.total - e.t0 - e.by_price - e.by_days - e.by_estimates,
                'by_price', e.by_price, 'by_estimates', e.by_estimates,
                'use_a_day', round(e.quantity / e.days, 3), 'previous_use_a_day', round(e.q0 / nullif(e.d0, 0), 3),
                'estimated_share', round($3::numeric / 10000, 1)) end)::text as doc
from e join core.branch n using (branch_id)

-- name: bill_previous
select previous_bill_id from billing.bill where bill_id = $1::bigint

-- name: bill_release
update billing.bill set state = 'draft', released_by = $2, released_at = now(), release_reason = $3
where bill_id = $1::bigint and state = 'held'
  and not exists (select from jsonb_array_elements(exceptions) e where (e->>'hard')::boolean)
returning bill_id

-- name: bill_reverse
select billing.reverse_bill($1::bigint, $2, $3)

-- name: stored_determinants
select name, unit, quantity, status, encode(readings, 'hex') as readings,
       (select string_agg(distinct x->>'serial', ', ') from jsonb_array_elements(sources) x) as meters
from billing.determinant where bill_id = $1::bigint order by name

-- name: stored_lines
select line_no, part_no, code, component, kind, label, quantity, unit, price, exact, amount, trace,
       encode(hash, 'hex') as hash
from billing.bill_line where bill_id = $1::bigint order by line_no

-- name: stored_bill
select total, tax, state, exceptions from billing.bill where bill_id = $1::bigint

-- name: index_add
insert into billing.index_value (name, day, value, source, actor) values ($1, $2::date, $3::numeric, $4, $5)
on conflict (name, day) do nothing

-- name: index_find
select value = $3::numeric and source = $4 as same,
       jsonb_build_object('name', name, 'day', day, 'value', trim_scale(value)::text, 'source', source,
                          'actor', actor, 'added_at', added_at)::text as doc
from billing.index_value where name = $1 and day = $2::date

-- name: index_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('name', name, 'day', day,
        'value', trim_scale(value)::text, 'source', source, 'actor', actor) order by name, day desc), '[]'))::text as doc
from (select * from billing.index_value where $1::text is null or name = $1 order by day desc limit 1000) x
