-- name: report_control
-- A run's bills by tariff and class. What is held or was left out is counted, not added up.
with b as (
        select x.*, coalesce(nullif(x.unit, ''), max(x.unit) over (partition by c.tariff, c.class)) as in_unit
        from billing.bill x join crm.contract c using (contract_id) where x.run_id = $1::bigint
)
select c.tariff, c.class, b.in_unit as unit,
       count(*) filter (where b.state in ('draft', 'issued', 'reversed')) as bills,
       count(*) filter (where b.state = 'held') as held,
       count(*) filter (where b.state = 'cancelled') as left_out,
       trim_scale(coalesce(sum(b.quantity) filter (where b.state in ('draft', 'issued', 'reversed')), 0)) as quantity,
       coalesce(sum(b.total - b.tax) filter (where b.state in ('draft', 'issued', 'reversed')), 0) as net,
       coalesce(sum(b.tax) filter (where b.state in ('draft', 'issued', 'reversed')), 0) as tax,
       coalesce(sum(b.total) filter (where b.state in ('draft', 'issued', 'reversed')), 0) as total,
       min(b.total) filter (where b.state in ('draft', 'issued', 'reversed')) as smallest,
       max(b.total) filter (where b.state in ('draft', 'issued', 'reversed')) as largest,
       count(p.bill_id) filter (where b.state in ('draft', 'issued', 'reversed')) as compared,
       coalesce(sum(p.total) filter (where b.state in ('draft', 'issued', 'reversed')), 0) as previous,
       coalesce(sum(b.total - p.total) filter (where b.state in ('draft', 'issued', 'reversed')), 0) as change,
       round(sum(b.total - p.total) filter (where b.state in ('draft', 'issued', 'reversed')) * 100.0
             / nullif(sum(abs(p.total)) filter (where b.state in ('draft', 'issued', 'reversed')), 0), 1) as change_percent
from b join crm.contract c using (contract_id)
left join billing.bill p on p.bill_id = b.previous_bill_id
group by c.tariff, c.class, b.in_unit order by c.tariff, c.class, b.in_unit

-- name: summary_control
select jsonb_build_object('run', r.run_id, 'branch', n.code, 'state', r.state, 'from', lower(r.period), 'to', upper(r.period),
        'currency', n.currency, 'minor_digits', n.minor_digits, 'created_by', r.created_by, 'approved_by', r.approved_by,
        'contracts', r.contracts, 'skipped', r.skipped,
        'bills', count(b.bill_id) filter (where b.state in ('draft', 'issued', 'reversed')),
        'held', count(b.bill_id) filter (where b.state = 'held'),
        'left_out', count(b.bill_id) filter (where b.state = 'cancelled'),
        'total', coalesce(sum(b.total) filter (where b.state in ('draft', 'issued', 'reversed')), 0),
        'tax', coalesce(sum(b.tax) filter (where b.state in ('draft', 'issued', 'reversed')), 0))::text as doc
from billing.run r join core.branch n using (branch_id) left join billing.bill b using (run_id)
where r.run_id = $1::bigint group by r.run_id, n.branch_id

-- name: report_unbilled
-- Every service point that could be billed in [$2, $3) and is not, wholly, with one reason.
with p as (select daterange($2::date, $3::date) as span, branch_id, tz from core.branch where code = $1),
k as (
        select s.service_point_id, s.code, s.state as point_state, c.contract_id, c.number, c.cycle, c.valid * p.span as span, p.tz
        from p join crm.service_point s on s.branch_id = p.branch_id
        left join crm.contract c on c.service_point_id = s.service_point_id and c.valid && p.span
        where s.state in ('connected', 'cut') or c.contract_id is not null
), b as (
        select k.*, coalesce((select sum(upper(x.period * k.span) - lower(x.period * k.span)) from billing.bill x
                        where x.contract_id = k.contract_id and x.state = 'issued' and x.period && k.span), 0) as billed
        from k
), o as (
        select b.*, l.bill_id, l.state as bill_state, l.run_id, l.exceptions,
               exists (select from crm.installation i where i.service_point_id = b.service_point_id and i.valid &&
                       tstzrange(lower(b.span)::timestamp at time zone b.tz, upper(b.span)::timestamp at time zone b.tz)) as metered,
               exists (select from billing.run r where r.branch_id = (select branch_id from p) and r.cycle = b.cycle
                       and r.period && b.span and r.state <> 'cancelled' and r.contract_id is null) as run_there
        from b left join lateral (select * from billing.bill x where x.contract_id = b.contract_id and x.period && b.span
                                  and x.state <> 'issued'
                                  order by x.state in ('draft', 'held') desc, x.bill_id desc limit 1) l on true
        where b.contract_id is null or b.billed < upper(b.span) - lower(b.span)
)
select o.code as service_point, o.number as contract, o.cycle, lower(o.span) as "from", upper(o.span) as "to",
       upper(o.span) - lower(o.span) - o.billed as days, q.reason, o.bill_id as bill, o.run_id as run,
       case when q.reason like 'held%' or q.reason like 'left_out%' then o.exceptions->0->>'text'
            when q.reason = 'no_contract' then 'Nobody has a contract here in the period'
            when q.reason = 'no_meter' then 'No meter was installed in the period'
            when q.reason = 'not_issued' then 'The bill is a draft of its run'
            when q.reason = 'partly_billed' then 'Other days of the period are billed; bill the rest off-cycle'
            when q.reason = 'reversed' then 'The bill was reversed and none was made since'
            when q.reason = 'no_run' then 'No bill run of the contract''s cycle covers the period'
            else 'The run covers the period but made no bill; the contract may be newer than the run' end as text
from o cross join lateral (select case
        when o.contract_id is null then 'no_contract'
        when o.bill_state = 'held' then 'held:' || coalesce(o.exceptions->0->>'code', 'manual')
        when o.bill_state = 'draft' then 'not_issued'
        when o.billed > 0 then 'partly_billed'
        when o.bill_state = 'cancelled' and jsonb_array_length(o.exceptions) > 0 then 'left_out:' || (o.exceptions->0->>'code')
        when o.bill_state = 'reversed' then 'reversed'
        when not o.metered then 'no_meter'
        when not o.run_there then 'no_run'
        else 'not_in_run' end as reason) q
order by q.reason, o.code, o.number

-- name: summary_unbilled
with p as (select daterange($2::date, $3::date) as span, branch_id from core.branch where code = $1),
k as (
        select s.service_point_id, c.contract_id, c.valid * p.span as span
        from p join crm.service_point s on s.branch_id = p.branch_id
        left join crm.contract c on c.service_point_id = s.service_point_id and c.valid && p.span
        where s.state in ('connected', 'cut') or c.contract_id is not null
), b as (
        select k.*, coalesce((select sum(upper(x.period * k.span) - lower(x.period * k.span)) from billing.bill x
                        where x.contract_id = k.contract_id and x.state = 'issued' and x.period && k.span), 0) as billed from k
)
select jsonb_build_object('branch', $1::text, 'from', $2::date, 'to', $3::date, 'points', count(*),
        'billed', count(*) filter (where contract_id is not null and billed >= upper(span) - lower(span)),
        'unbilled', count(*) filter (where contract_id is null or billed < upper(span) - lower(span)))::text as doc
from b

-- name: report_consumption
-- Issued bills whose period begins in [$2, $3), by tariff, class and zone (the premise's town).
select c.tariff, c.class, m.city as zone, s.commodity, b.unit, count(*) as bills,
       count(distinct b.service_point_id) as points, trim_scale(coalesce(sum(b.quantity), 0)) as quantity,
       trim_scale(round(avg(b.quantity / (upper(b.period) - lower(b.period))), 3)) as mean_a_day,
       sum(b.total - b.tax) as net, sum(b.tax) as tax, sum(b.total) as total
from billing.bill b join crm.contract c using (contract_id)
join crm.service_point s on s.service_point_id = b.service_point_id join crm.premise m using (premise_id)
join core.branch n on n.branch_id = b.branch_id
where b.state = 'issued' and lower(b.period) >= $2::date and lower(b.period) < $3::date
  and ($1::text is null or n.code = $1)
group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5

-- name: summary_consumption
-- Straight from the bills' own determinants, so that it proves the table.
select jsonb_build_object('branch', $1::text, 'from', $2::date, 'to', $3::date,
        'billed', (select coalesce(jsonb_agg(jsonb_build_object('unit', unit, 'quantity', trim_scale(q), 'bills', k) order by unit), '[]')
        from (select d.unit, sum(d.quantity) as q, count(*) as k
              from billing.bill b join core.branch n using (branch_id)
              join billing.determinant d on d.bill_id = b.bill_id and d.part_no = 0
                   and d.name = b.inputs->'contract'->>'main_code'
              where b.state = 'issued' and lower(b.period) >= $2::date and lower(b.period) < $3::date
                and ($1::text is null or n.code = $1) group by d.unit) x))::text as doc

-- name: report_revenue
-- Revenue and taxes as they stand in the ledger for local days [$2, $3), by what the entry was for.
select n.code as branch, coalesce(c.tariff, '') as tariff, coalesce(c.class, '') as class, l.gl, g.name, l.currency,
       case when e.kind like 'bill%' then 'bill' when e.kind like 'adjustment%' then 'adjustment' else e.kind end as source,
       sum(l.credit - l.debit) as amount
from ledger.line l
join ledger.entry e using (entry_id)
join core.branch n on n.branch_id = l.branch_id
join ledger.gl_account g on g.branch_id = l.branch_id and g.code = l.gl
left join billing.bill b on b.bill_id = case when e.kind in ('bill', 'bill.reversal') then e.ref::bigint end
left join billing.adjustment a on e.kind in ('adjustment', 'adjustment.reversal') and a.number = e.ref
left join crm.contract c on c.contract_id = coalesce(b.contract_id, a.contract_id)
where (g.type = 'revenue' or l.gl = '2200') and ($1::text is null or n.code = $1)
  and l.at >= $2::date::timestamp at time zone n.tz and l.at < $3::date::timestamp at time zone n.tz
group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7

-- name: summary_revenue
select jsonb_build_object('branch', $1::text, 'from', $2::date, 'to', $3::date,
        'ledger', coalesce((select jsonb_agg(jsonb_build_object('branch', code, 'gl', gl, 'currency', currency, 'amount', amount)
                order by code, gl, currency)
        from (select n.code, l.gl, l.currency, sum(l.credit - l.debit) as amount
              from ledger.line l join core.branch n using (branch_id)
              where l.gl in (select g.code from ledger.gl_account g where g.branch_id = l.branch_id and (g.type = 'revenue' or g.code = '2200'))
                and ($1::text is null or n.code = $1)
                and l.at >= $2::date::timestamp at time zone n.tz and l.at < $3::date::timestamp at time zone n.tz
              group by 1, 2, 3) x), '[]'))::text as doc
