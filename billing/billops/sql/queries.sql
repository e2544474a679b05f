-- name: savepoint
savepoint billops

-- name: rollback_savepoint
rollback to savepoint billops

-- name: release_savepoint
release savepoint billops

-- name: branch_id
select branch_id from core.branch where code = $1 and core.branch_allowed(branch_id)

-- name: policy_set
insert into billing.policy as p (branch_id, review_required, sample, adjust_limit, estimate_limit, weekend, calendar)
select b.branch_id, coalesce($2::boolean, o.review_required), coalesce($3::smallint, o.sample), coalesce($4::bigint, o.adjust_limit),
       coalesce($5::smallint, o.estimate_limit), coalesce($6, o.weekend), nullif(coalesce($7, o.calendar), '')
from core.branch b cross join lateral billing.policy_of(b.branch_id) o
where b.code = $1
on conflict (branch_id) do update set (review_required, sample, adjust_limit, estimate_limit, weekend, calendar) =
        (excluded.review_required, excluded.sample, excluded.adjust_limit, excluded.estimate_limit, excluded.weekend,
         excluded.calendar)
returning (to_jsonb(p) - 'branch_id' || jsonb_build_object('branch', $1::text))::text as doc

-- name: policy_show
select (to_jsonb(o) - 'branch_id' || jsonb_build_object('branch', b.code))::text as doc
from core.branch b cross join lateral billing.policy_of(b.branch_id) o where b.code = $1

-- name: person_set
insert into billing.login_person as p (login, person) select login, $2 from core.login where login = $1
on conflict (login) do update set person = excluded.person
returning jsonb_build_object('login', login, 'person', person)::text as doc

-- name: outsort_set
insert into billing.outsort_rule as r (branch_id, kind, class, threshold, action, set_by)
select branch_id, $2, coalesce($3, ''), coalesce($4::numeric, 0), coalesce($5, 'hold'), $6 from core.branch where code = $1
on conflict (branch_id, kind, class) do update set threshold = excluded.threshold, action = excluded.action,
        set_by = excluded.set_by, set_at = now()
returning jsonb_build_object('branch', $1::text, 'kind', kind, 'class', class, 'threshold', trim_scale(threshold)::text,
        'action', action)::text as doc

-- name: outsort_rules
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('branch', b.code, 'kind', r.kind, 'class', r.class,
        'threshold', trim_scale(r.threshold)::text, 'action', r.action, 'set_by', r.set_by, 'set_at', r.set_at)
        order by b.code, r.kind, r.class), '[]'))::text as doc
from billing.outsort_rule r join core.branch b using (branch_id)
where $1::text is null or b.code = $1

-- name: run_outsort
-- Held and noted bills by cause, with money; a bill with two causes counts under both.
with x as (
        select b.bill_id, b.state, b.total, b.quantity, p.total as total0, e.value as e
        from billing.bill b
        left join billing.bill p on p.bill_id = b.previous_bill_id
        cross join jsonb_array_elements(b.exceptions) e
        where b.run_id = $1::bigint
)
select jsonb_build_object('run', r.run_id, 'state', r.state,
        'held', (select count(*) from billing.bill b where b.run_id = r.run_id and b.state = 'held'),
        'held_total', (select coalesce(sum(total), 0) from billing.bill b where b.run_id = r.run_id and b.state = 'held'),
        'causes', (select coalesce(jsonb_agg(c order by (c->>'held')::bigint desc, c->>'code'), '[]') from (
                select jsonb_build_object('code', e->>'code', 'count', count(*),
                        'held', count(*) filter (where state = 'held'),
                        'releasable', count(*) filter (where state = 'held' and not exists (
                                select from billing.bill b, jsonb_array_elements(b.exceptions) h
                                where b.bill_id = x.bill_id and (h->>'hard')::boolean)),
                        'total', sum(total), 'change', sum(total - total0)) as c
                from x group by e->>'code') c),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('bill', bill_id, 'state', state, 'code', e->>'code',
                'text', e->>'text', 'hard', (e->>'hard')::boolean, 'total', total, 'previous', total0,
                'change', total - total0, 'quantity', quantity) order by abs(total - coalesce(total0, 0)) desc, bill_id), '[]')
                from (select * from x where $2::text is null or e->>'code' = $2
                      order by abs(total - coalesce(total0, 0)) desc, bill_id limit coalesce($3::int, 500)) y))::text as doc
from billing.run r where r.run_id = $1::bigint

-- name: run_review
-- Everything odd and a sample of the rest, remembered with the digest of what was there to see.
with r as (select x.*, billing.run_digest(run_id) as digest, (billing.policy_of(branch_id)).sample as sample
           from billing.run x where run_id = $1::bigint),
b as (select x.*, c.number as contract, p.total as total0, p.quantity as quantity0,
             jsonb_array_length(x.exceptions) > 0 as odd
      from billing.bill x join crm.contract c using (contract_id) join r on r.run_id = x.run_id
      left join billing.bill p on p.bill_id = x.previous_bill_id
      where x.state in ('draft', 'held', 'issued')),
s as (select * from b where not odd order by md5(bill_id || '/' || run_id), bill_id limit (select sample from r)),
shown as (select * from b where odd union all select * from s),
put as (insert into billing.run_review (run_id, branch_id, reviewer, digest, outliers, sample)
        select run_id, branch_id, $2, digest, (select count(*) from b where odd), (select count(*) from s) from r)
select jsonb_build_object('run', r.run_id, 'state', r.state, 'seen', r.digest, 'bills', (select count(*) from b),
        'total', (select coalesce(sum(total), 0) from b where state <> 'held'),
        'outliers', (select count(*) from b where odd), 'sample', (select count(*) from s),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('bill', bill_id, 'contract', contract, 'state', state,
                'outlier', odd, 'total', total, 'previous', total0, 'change', total - total0, 'quantity', quantity,
                'previous_quantity', quantity0, 'unit', unit, 'exceptions', exceptions)
                order by odd desc, abs(total - coalesce(total0, 0)) desc, bill_id), '[]') from shown))::text as doc
from r

-- name: run_reviews
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('reviewer', v.reviewer, 'at', v.at,
        'outliers', v.outliers, 'sample', v.sample, 'current', v.digest = d.digest) order by v.review_id desc), '[]'))::text as doc
from (select billing.run_digest($1::bigint) as digest) d left join billing.run_review v on v.run_id = $1::bigint
where v.run_id is not null

-- name: run_state
select r.state, r.issue_job_id, r.job_id, r.computed_at is not null as computed, j.status as job_status
from billing.run r left join core.job j on j.job_id = coalesce(r.issue_job_id, r.job_id)
where run_id = $1::bigint

-- name: run_undo
update billing.run set state = 'draft' where run_id = $1::bigint and state = 'approved'
returning jsonb_build_object('run', run_id, 'state', state, 'undone', undone)::text as doc

-- name: bill_hold
select billing.hold_bills(b.run_id, b.bill_id, $2, $3) as n, b.bill_id, b.state
from billing.bill b where b.bill_id = $1::bigint

-- name: run_hold_many
select jsonb_build_object('run', $1::bigint, 'held', billing.hold_many($1::bigint, $2, $3::bigint, $4, $5))::text as doc

-- name: run_release
select jsonb_build_object('run', $1::bigint, 'released', billing.release_bills($1::bigint, $2::bigint, $3, $4, $5))::text as doc

-- name: run_monitor
select jsonb_build_object('run', r.run_id, 'state', r.state, 'contracts', r.contracts, 'done', r.done, 'skipped', r.skipped,
        'held', (select count(*) from billing.bill b where b.run_id = r.run_id and b.state = 'held'),
        'errors', (select count(*) from billing.bill b where b.run_id = r.run_id and b.state = 'held'
                   and exists (select from jsonb_array_elements(b.exceptions) e where (e->>'hard')::boolean)),
        'job', j.job_id, 'status', j.status, 'job_done', j.done, 'job_total', j.total, 'error', j.error,
        'attempts', j.attempts, 'started_at', j.started_at, 'changed_at', j.changed_at,
        'rate', round(j.done / nullif(s.secs, 0), 1),
        'eta_s', case when j.status in ('running', 'queued') and j.done > 0 and j.total > j.done
                      then ceil((j.total - j.done) * s.secs / j.done) end)::text as doc
from billing.run r
left join core.job j on j.job_id = coalesce(r.issue_job_id, r.job_id)
cross join lateral (select extract(epoch from coalesce(j.ended_at, j.changed_at) - j.started_at) as secs) s
where r.run_id = $1::bigint

-- name: run_resume
update core.job j set status = 'queued', cancel = false, error = '', attempts = 0, run_after = now(), ended_at = null
from billing.run r
where r.run_id = $1::bigint and j.job_id = coalesce(r.issue_job_id, r.job_id) and j.status in ('cancelled', 'failed')
  and ((r.state = 'draft' and r.computed_at is null) or (r.state = 'approved' and r.issue_job_id is not null))
returning j.job_id

-- name: bill_final
-- From where the contract's last bill ends to the end of the contract (or day $2).
with c as (
        select c.*, coalesce((select max(upper(b.period)) from billing.bill b where b.contract_id = c.contract_id
                              and b.state in ('draft', 'held', 'issued')), lower(c.valid)) as d0,
               least(coalesce($2::date, upper(c.valid)), coalesce(upper(c.valid), $2::date)) as d1
        from crm.contract c where c.number = $1
), y as (select billing.ensure_cycle(branch_id, cycle) from c)
select c.contract_id, c.branch_id, c.cycle, c.d0, c.d1, coalesce(c.d1 - c.d0, 0) as days, upper_inf(c.valid) as open_end,
       c.d1 is null as no_end from c, y

-- name: run_insert
insert into billing.run (branch_id, cycle, period, contract_id, created_by, kind, single_operator, contracts)
select $1::smallint, $2, daterange($3::date, $4::date), $5::bigint, $6, $7, $8::boolean,
       (select count(*) from crm.contract x where x.branch_id = $1::smallint and x.cycle = $2
        and x.valid && daterange($3::date, $4::date) and ($5::bigint is null or x.contract_id = $5::bigint))
returning run_id, contracts

-- name: run_set_job
update billing.run set job_id = $2::bigint where run_id = $1::bigint

-- name: cycle_set
insert into billing.cycle as c (branch_id, code, name, months, due_days, start_day, read_before, read_after, bill_after,
                                due_kind, due_roll)
select branch_id, $2, coalesce($3, initcap($2)), coalesce($4::smallint, 1), coalesce($5::smallint, 14),
       coalesce($6::smallint, 1), coalesce($7::smallint, 3), coalesce($8::smallint, 3), coalesce($9::smallint, 3),
       coalesce($10, 'calendar'), coalesce($11, 'none')
from core.branch where code = $1
on conflict (branch_id, code) do update set name = coalesce($3, c.name), months = coalesce($4::smallint, c.months),
        due_days = coalesce($5::smallint, c.due_days), start_day = coalesce($6::smallint, c.start_day),
        read_before = coalesce($7::smallint, c.read_before), read_after = coalesce($8::smallint, c.read_after),
        bill_after = coalesce($9::smallint, c.bill_after), due_kind = coalesce($10, c.due_kind),
        due_roll = coalesce($11, c.due_roll)
returning (to_jsonb(c) - 'branch_id' || jsonb_build_object('branch', $1::text))::text as doc

-- name: cycle_list
select jsonb_build_object('items', coalesce(jsonb_agg(to_jsonb(c) - 'branch_id' || jsonb_build_object('branch', b.code,
        'contracts', (select count(*) from crm.contract k where k.branch_id = c.branch_id and k.cycle = c.code
                      and k.valid @> current_date),
        'planned_until', (select max(upper(period)) from billing.cycle_period p where p.branch_id = c.branch_id
                          and p.cycle = c.code)) order by b.code, c.code), '[]'),
        'contracts_without_cycle', (select count(*) from crm.contract k join core.branch n using (branch_id)
                where ($1::text is null or n.code = $1) and k.valid @> current_date and not exists
                (select from billing.cycle c where c.branch_id = k.branch_id and c.code = k.cycle)))::text as doc
from billing.cycle c join core.branch b using (branch_id)
where $1::text is null or b.code = $1

-- name: cycle_plan
select jsonb_build_object('branch', b.code, 'cycle', $2::text, 'added',
        billing.plan_cycle(b.branch_id, $2, coalesce($3::date, (now() at time zone b.tz)::date), coalesce($4::int, 12)))::text as doc
from core.branch b where b.code = $1

-- name: cycle_calendar
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('branch', b.code, 'cycle', p.cycle,
        'from', lower(p.period), 'to', upper(p.period), 'read_from', p.read_from, 'read_to', p.read_to,
        'bill_on', p.bill_on, 'due_on', p.due_on, 'run', p.run_id,
        'state', coalesce(r.state, case when p.bill_on < current_date then 'late' when p.bill_on = current_date then 'today'
                                        when p.read_from <= current_date then 'reading' else 'planned' end))
        order by p.bill_on, b.code, p.cycle), '[]'))::text as doc
from billing.cycle_period p join core.branch b using (branch_id) left join billing.run r using (run_id)
where ($1::text is null or b.code = $1) and ($2::text is null or p.cycle = $2)
  and ($3::date is null or p.bill_on >= $3::date)

-- name: cycle_period_find
select p.branch_id, lower(p.period) as d0, upper(p.period) as d1, p.run_id, r.state
from billing.cycle_period p join core.branch b on b.branch_id = p.branch_id
left join billing.run r on r.run_id = p.run_id
where b.code = $1 and p.cycle = $2 and p.period @> $3::date

-- name: cycle_period_run
update billing.cycle_period set run_id = $4::bigint where branch_id = $1::smallint and cycle = $2 and period @> $3::date

-- name: contract_cycle
update crm.contract c set cycle = $2
where c.number = $1 and exists (select from billing.cycle y where y.branch_id = c.branch_id and y.code = $2)
returning jsonb_build_object('contract', c.number, 'cycle', c.cycle, 'billed_until', (select max(upper(b.period))
        from billing.bill b where b.contract_id = c.contract_id and b.state in ('draft', 'held', 'issued')))::text as doc

-- name: trial_create
insert into billing.trial (branch_id, kind, cycle, period, created_by, contracts)
select b.branch_id, $2, $3, daterange($4::date, $5::date), $6,
       (select count(*) from crm.contract c where c.branch_id = b.branch_id and c.valid && daterange($4::date, $5::date)
        and ($3::text is null or c.cycle = $3))
from core.branch b where b.code = $1
returning trial_id, contracts

-- name: trial_set_job
update billing.trial set job_id = $2::bigint where trial_id = $1::bigint

-- name: trial_branch
select b.branch_id, b.code as branch, b.tz, b.currency, b.minor_digits, t.kind, t.contracts, t.done_at is not null as done
from billing.trial t join core.branch b using (branch_id) where t.trial_id = $1::bigint

-- name: trial_contracts
select c.* from (select array_agg(contract_id order by contract_id) as ids, array_agg(d0 order by contract_id) as d0,
                        array_agg(d1 order by contract_id) as d1, array_agg(full_days order by contract_id) as f
                 from billing.trial_spans($1::bigint, $2::bigint, $3::int)) s
cross join lateral billing.span_contracts(s.ids, s.d0, s.d1, s.f) c
order by c.contract_id

-- name: trial_save
select billing.save_trial($1::bigint, $2::jsonb)

-- name: trial_done
-- The branch's trial runs before the last five go; accruals stay.
with d as (update billing.trial set done_at = now() where trial_id = $1::bigint returning branch_id)
delete from billing.trial t using d
where t.branch_id = d.branch_id and t.kind = 'run' and t.done_at is not null and t.trial_id not in (
        select x.trial_id from billing.trial x where x.branch_id = d.branch_id and x.kind = 'run'
        order by x.trial_id desc limit 5)

-- name: job_state
select coalesce(($2::jsonb->>'after')::bigint, 0) as after, coalesce(($2::jsonb->>'done')::bigint, 0) as done,
       $1::jsonb->>'id' as id, coalesce($1::jsonb->>'phase', '') as phase

-- name: trial_show
with b as (
        select x.*, c.number as contract, p.total as total0, upper(p.period) - lower(p.period) as days0,
               upper(x.period) - lower(x.period) as days
        from billing.trial_bill x join crm.contract c using (contract_id)
        left join billing.bill p on p.bill_id = x.previous_bill_id
        where x.trial_id = $1::bigint
), v as (
        select *, case when total0 <> 0 then round((total::numeric / days - total0::numeric / days0) * 100
                                                   / abs(total0::numeric / days0), 1) end as pct from b where state <> 'skipped'
)
select jsonb_build_object('trial', t.trial_id, 'kind', t.kind, 'branch', n.code, 'cycle', t.cycle, 'from', lower(t.period),
        'to', upper(t.period), 'currency', n.currency, 'minor_digits', n.minor_digits, 'created_by', t.created_by,
        'created_at', t.created_at, 'done', t.done_at is not null, 'job_id', t.job_id,
        'contracts', (select count(*) from b), 'skipped', (select count(*) from b where state = 'skipped'),
        'bills', (select count(*) from v where state = 'draft'), 'held', (select count(*) from v where state = 'held'),
        'total', (select coalesce(sum(total), 0) from v where state = 'draft'),
        'tax', (select coalesce(sum(tax), 0) from v where state = 'draft'),
        'previous_total', (select coalesce(sum(total0), 0) from v where state = 'draft'),
        'exceptions', (select coalesce(jsonb_agg(jsonb_build_object('code', code, 'count', k, 'total', m) order by k desc, code), '[]')
                from (select e->>'code' as code, count(*) as k, sum(total) as m from v, jsonb_array_elements(v.exceptions) e
                      group by 1) q),
        'changed', (select count(*) from v where abs(pct) > coalesce($2::numeric, 30)),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('contract', contract, 'state', state, 'from', lower(period),
                'to', upper(period), 'total', total, 'previous', total0, 'change', total - total0, 'change_percent', pct,
                'quantity', quantity, 'unit', unit, 'exceptions', exceptions) order by abs(pct) desc nulls last, contract), '[]')
                from (select * from v where abs(pct) > coalesce($2::numeric, 30) or state = 'held'
                      order by abs(pct) desc nulls last, contract limit 500) w))::text as doc
from billing.trial t join core.branch n using (branch_id) where t.trial_id = $1::bigint

-- name: accrual_show
with b as (
        select x.*, c.number as contract, c.tariff, c.class from billing.trial_bill x join crm.contract c using (contract_id)
        where x.trial_id = $1::bigint
), g as (
        select tariff, class, unit, count(*) filter (where state = 'draft') as contracts,
               count(*) filter (where state <> 'draft') as without,
               sum(quantity) filter (where state = 'draft') as quantity,
               coalesce(sum(total - tax) filter (where state = 'draft'), 0) as net,
               coalesce(sum(tax) filter (where state = 'draft'), 0) as tax,
               coalesce(sum(total) filter (where state = 'draft'), 0) as total
        from b group by tariff, class, unit
)
select jsonb_build_object('accrual', t.trial_id, 'branch', n.code, 'as_of', upper(t.period) - 1, 'currency', n.currency,
        'minor_digits', n.minor_digits, 'done', t.done_at is not null, 'job_id', t.job_id,
        'contracts', (select count(*) from b where state = 'draft'),
        'net', (select coalesce(sum(net), 0) from g), 'tax', (select coalesce(sum(tax), 0) from g),
        'total', (select coalesce(sum(total), 0) from g),
        'components', (select coalesce(jsonb_agg(jsonb_build_object('component', component, 'kind', kind, 'amount', a)
                order by component, kind), '[]') from (select l.component, l.kind, sum(l.amount) as a
                from b, jsonb_to_recordset(b.lines) as l(component text, kind text, amount bigint) where b.state = 'draft'
                group by 1, 2) q),
        'unexplained', (select coalesce(jsonb_agg(jsonb_build_object('contract', contract, 'from', lower(period),
                'to', upper(period), 'reason', exceptions->0->>'text') order by contract), '[]')
                from (select * from b where state <> 'draft' order by contract limit 500) u),
        'items', (select coalesce(jsonb_agg(to_jsonb(g) order by tariff, class, unit), '[]') from g))::text as doc
from billing.trial t join core.branch n using (branch_id) where t.trial_id = $1::bigint and t.kind = 'accrual'

-- name: rebill_create
select billing.rebill_create(b.branch_id, coalesce($2, 'rebill'), $3, $4,
        (select array_agg(v::bigint) from jsonb_array_elements_text($5::jsonb) v), $6, $7, $8, $9::date, $10::date,
        $11::bigint, $12::boolean) as id
from core.branch b where b.code = $1

-- name: rebill_counts
select r.state, r.mode, r.created_by, r.approved_by, r.contracts
from billing.rebill r where rebill_id = $1::bigint

-- name: rebill_set_job
update billing.rebill set job_id = $2::bigint where rebill_id = $1::bigint

-- name: rebill_take
select billing.proposals_take($1::bigint, $2)

-- name: rebill_next
select c::text as contracts, c[cardinality(c)] as last, cardinality(c) as n
from billing.rebill_next($1::bigint, $2::bigint, $3::int, $4) c

-- name: rebill_stale
select billing.rebill_stale($1::bigint, $2::bigint[], $3)

-- name: rebill_run
select billing.rebill_run($1::bigint) as run

-- name: rebill_set_run
update billing.rebill set run_id = $2::bigint where rebill_id = $1::bigint

-- name: rebill_reverse
select billing.rebill_reverse($1::bigint, $2::bigint[], $3, $4)

-- name: rebill_ranks
select coalesce(max(nth), 0) as nth from billing.rebill_item
where rebill_id = $1::bigint and contract_id = any ($2::bigint[]) and state = $3

-- name: rebill_branch
select b.branch_id, b.code as branch, b.tz, b.currency, b.minor_digits
from billing.rebill r join core.branch b using (branch_id) where r.rebill_id = $1::bigint

-- name: rebill_contracts
select c.* from (
        select array_agg(i.contract_id order by i.contract_id) as ids, array_agg(lower(i.period) order by i.contract_id) as d0,
               array_agg(upper(i.period) order by i.contract_id) as d1,
               array_agg((b.inputs->'contract'->>'full_days')::int order by i.contract_id) as f
        from billing.rebill_item i join billing.bill b using (bill_id)
        where i.rebill_id = $1::bigint and i.contract_id = any ($2::bigint[]) and i.nth = $3::int and i.state = $4) s
cross join lateral billing.span_contracts(s.ids, s.d0, s.d1, s.f) c
order by c.contract_id

-- name: rebill_save
select saved, skipped from billing.save_bills($1::bigint, $2::jsonb)

-- name: rebill_issue
select billing.rebill_issue($1::bigint, $2::bigint, $3)

-- name: rebill_results
select billing.rebill_results($1::bigint, $2::bigint, $3::bigint[], $4)::text as doc

-- name: rebill_simulated
select billing.rebill_simulated($1::bigint, $2::jsonb)

-- name: rebill_differing
select billing.rebill_differing($1::bigint, $2::jsonb)::text as contracts

-- name: rebill_refuse
select billing.rebill_refuse($1::bigint, $2::bigint[])

-- name: rebill_keep
select billing.rebill_keep($1::bigint, $2::jsonb)

-- name: rebill_changes
-- What the world is told about kept items.
select x.bill as bill_id, n.bill_id as new_bill, coalesce(n.total, 0) as total, n.currency, a.number as account
from jsonb_to_recordset($1::jsonb) as x(bill bigint, new bigint)
left join billing.bill n on n.bill_id = x.new left join crm.account a on a.account_id = n.account_id
order by x.bill

-- name: rebill_end_simulation
update billing.rebill set state = 'simulated', simulated_at = now() where rebill_id = $1::bigint and state = 'draft'

-- name: rebill_end
with r as (update billing.rebill set state = 'done', done_at = now() where rebill_id = $1::bigint and state = 'approved'
           returning run_id)
update billing.run x set state = 'issued', issued_at = now() from r where x.run_id = r.run_id and x.state = 'approved'

-- name: rebill_approve
update billing.rebill set state = 'approved', approved_by = $2, approved_at = now()
where rebill_id = $1::bigint and state <> 'approved' returning rebill_id

-- name: rebill_cancel
update billing.rebill set state = 'cancelled' where rebill_id = $1::bigint returning rebill_id

-- name: rebill_reopen
update billing.rebill_proposal set state = 'open', rebill_id = null, closed_by = null
where rebill_id = $1::bigint and state = 'taken'
  and not exists (select from billing.rebill_proposal o where o.bill_id = rebill_proposal.bill_id and o.state = 'open')

-- name: rebill_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('rebill', r.rebill_id, 'branch', b.code, 'mode', r.mode,
        'state', r.state, 'reason', r.reason, 'created_by', r.created_by, 'created_at', r.created_at,
        'approved_by', r.approved_by, 'bills', s.bills, 'change', s.change) order by r.rebill_id desc), '[]'))::text as doc
from (select * from billing.rebill where ($1::text is null or state = $1)
      and ($2::text is null or branch_id = (select branch_id from core.branch where code = $2))
      order by rebill_id desc limit coalesce($3::int, 100)) r
join core.branch b using (branch_id)
cross join lateral (select count(*) as bills, sum(new_total - old_total) filter (where state in ('ready', 'done')) as change
                    from billing.rebill_item i where i.rebill_id = r.rebill_id) s

-- name: rebill_show
with i as (select x.*, c.number as contract, x.new_total - x.old_total as change,
                  exists (select from billing.adjustment a where a.bill_id = x.bill_id and a.state = 'posted') as adjusted
           from billing.rebill_item x join crm.contract c using (contract_id) where x.rebill_id = $1::bigint),
m as (select * from i where state in ('ready', 'done'))
select jsonb_build_object('rebill', r.rebill_id, 'branch', b.code, 'mode', r.mode, 'state', r.state, 'reason', r.reason,
        'currency', b.currency, 'minor_digits', b.minor_digits, 'created_by', r.created_by, 'created_at', r.created_at,
        'approved_by', r.approved_by, 'approved_at', r.approved_at, 'done_at', r.done_at, 'run', r.run_id, 'job_id', r.job_id,
        'bills', r.bills, 'contracts', r.contracts,
        'changed', (select count(*) from m), 'unchanged', (select count(*) from i where state = 'unchanged'),
        'failed', (select count(*) from i where state = 'failed'), 'done', (select count(*) from i where state = 'done'),
        'old_total', (select coalesce(sum(old_total), 0) from m), 'new_total', (select coalesce(sum(new_total), 0) from m),
        'change', (select coalesce(sum(change), 0) from m),
        'distribution', (select jsonb_build_object('min', min(change), 'max', max(change),
                'p10', percentile_disc(0.1) within group (order by change), 'median', percentile_disc(0.5) within group (order by change),
                'p90', percentile_disc(0.9) within group (order by change),
                'up', count(*) filter (where change > 0), 'down', count(*) filter (where change < 0),
                'same', count(*) filter (where change = 0)) from m),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('bill', bill_id, 'contract', contract, 'from', lower(period),
                'to', upper(period), 'state', state, 'chained', chained, 'old_total', old_total, 'new_total', new_total,
                'change', change, 'new_bill', new_bill_id, 'note', note, 'adjusted', adjusted)
                order by abs(change) desc nulls last, contract, period), '[]')
                from (select * from i order by abs(change) desc nulls last, contract, period limit 500) y))::text as doc
from billing.rebill r join core.branch b using (branch_id) where r.rebill_id = $1::bigint

-- name: proposal_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('proposal', p.proposal_id, 'bill', p.bill_id,
        'branch', n.code, 'contract', c.number, 'from', lower(b.period), 'to', upper(b.period), 'total', b.total, 'cause', p.cause,
        'detail', p.detail, 'first_at', p.first_at, 'last_at', p.last_at, 'times', p.times, 'state', p.state,
        'rebill', p.rebill_id, 'reason', p.closed_reason) order by p.proposal_id desc), '[]'))::text as doc
from (select * from billing.rebill_proposal where state = coalesce($1, 'open') order by proposal_id desc
      limit coalesce($3::int, 200)) p
join billing.bill b using (bill_id) join crm.contract c using (contract_id) join core.branch n on n.branch_id = p.branch_id
where $2::text is null or n.code = $2

-- name: proposal_dismiss
update billing.rebill_proposal set state = 'dismissed', closed_by = $3, closed_reason = $2
where proposal_id = $1::bigint and state = 'open'
returning jsonb_build_object('proposal', proposal_id, 'state', state, 'reason', closed_reason)::text as doc

-- name: event_days
select x.meter_id, array_agg(d::date)::text as days
from jsonb_to_record($1::jsonb) as x(meter_id int, days jsonb) cross join lateral jsonb_array_elements_text(x.days) d
group by x.meter_id

-- name: readings_changed
select unnest(billing.readings_changed($1::int, $2::date[])) as bill

-- name: estimate_list
-- Contracts whose last bills rest on estimates alone, the longest first.
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('branch', code, 'contract', number, 'address', address,
        'meter', serial, 'in_a_row', n, 'since', since, 'limit', estimate_limit, 'over', n >= estimate_limit)
        order by n desc, number), '[]'))::text as doc
from (
        select b.code, c.number, p.address, m.serial, e.n, o.estimate_limit,
               (select min(lower(x.period)) from (select period from billing.bill y where y.contract_id = c.contract_id
                        and y.state = 'issued' order by lower(period) desc limit e.n) x) as since
        from (select distinct x.contract_id from billing.determinant d join billing.bill x using (bill_id)
              where d.status = 'estimated' and x.state = 'issued') h
        join crm.contract c using (contract_id)
        join core.branch b using (branch_id)
        join crm.service_point s using (service_point_id) join crm.premise p using (premise_id)
        cross join lateral billing.policy_of(c.branch_id) o
        cross join lateral (select billing.estimated_in_a_row(c.contract_id, 'infinity') as n) e
        left join lateral (select serial from crm.installation i join mdm.meter using (meter_id)
                           where i.service_point_id = s.service_point_id order by lower(i.valid) desc limit 1) m on true
        where ($1::text is null or b.code = $1) and e.n > 0 and e.n >= coalesce($2::int, 1)
        order by e.n desc, c.number limit 1000) q

-- name: adjustment_create
select billing.adjustment_create($1, $2, $3::bigint, $4::bigint, $5, $6) as id

-- name: adjustment_show
select jsonb_build_object('adjustment', a.adjustment_id, 'number', a.number, 'kind', a.kind, 'state', a.state, 'amount', a.amount,
        'tax', a.tax, 'currency', a.currency, 'minor_digits', n.minor_digits, 'account', k.number, 'contract', c.number,
        'bill', a.bill_id, 'reason', a.reason, 'entry', a.entry_id, 'created_by', a.created_by, 'created_at', a.created_at,
        'decided_by', a.decided_by, 'decided_at', a.decided_at, 'decided_reason', a.decided_reason)::text as doc
from billing.adjustment a join core.branch n using (branch_id) join crm.account k using (account_id)
join crm.contract c on c.contract_id = a.contract_id where a.adjustment_id = $1::bigint

-- name: adjustment_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('adjustment', a.adjustment_id, 'number', a.number,
        'kind', a.kind, 'state', a.state, 'amount', a.amount, 'currency', a.currency, 'account', k.number, 'bill', a.bill_id,
        'reason', a.reason, 'created_by', a.created_by) order by a.adjustment_id desc), '[]'))::text as doc
from (select * from billing.adjustment where ($1::text is null or state = $1) and ($3::bigint is null or bill_id = $3::bigint)
      and ($2::text is null or account_id = (select account_id from crm.account where number = $2))
      order by adjustment_id desc limit coalesce($4::int, 100)) a join crm.account k using (account_id)

-- name: adjustment_approve
select billing.adjustment_post($1::bigint, $2)

-- name: adjustment_reject
update billing.adjustment set state = 'rejected', decided_by = $3, decided_at = now(), decided_reason = $2
where adjustment_id = $1::bigint and state = 'proposed' returning adjustment_id

-- name: budget_create
select billing.budget_create($1, $2::date, coalesce($3::int, 12), $4::bigint, $5) as id

-- name: budget_settle
select billing.budget_settle($1::bigint, $2::boolean, $3)

-- name: budget_show
select jsonb_build_object('budget', g.budget_id, 'contract', c.number, 'amount', g.amount, 'currency', g.currency,
        'minor_digits', n.minor_digits, 'from', lower(g.valid), 'to', upper(g.valid), 'state', g.state,
        'waiting', (select coalesce(sum(actual - planned), 0) from billing.budget_posting p
                    where p.budget_id = g.budget_id and not p.reversed),
        'settled', g.settled, 'settled_at', g.settled_at, 'entry', g.entry_id,
        'proposed_amount', billing.budget_amount(g.contract_id, upper(g.valid)),
        'items', (select coalesce(jsonb_agg(jsonb_build_object('bill', p.bill_id, 'from', lower(b.period), 'to', upper(b.period),
                'actual', p.actual, 'planned', p.planned, 'waiting', p.actual - p.planned, 'reversed', p.reversed)
                order by lower(b.period), p.bill_id), '[]')
                from billing.budget_posting p join billing.bill b using (bill_id) where p.budget_id = g.budget_id))::text as doc
from billing.budget g join crm.contract c using (contract_id) join core.branch n on n.branch_id = g.branch_id
where g.budget_id = $1::bigint

-- name: budget_list
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('budget', g.budget_id, 'branch', b.code,
        'contract', c.number, 'amount', g.amount, 'currency', g.currency, 'from', lower(g.valid), 'to', upper(g.valid),
        'state', g.state, 'to_settle', g.state = 'active' and upper(g.valid) <= current_date,
        'waiting', (select coalesce(sum(actual - planned), 0) from billing.budget_posting p
                    where p.budget_id = g.budget_id and not p.reversed)) order by upper(g.valid), g.budget_id), '[]'))::text as doc
from billing.budget g join crm.contract c using (contract_id) join core.branch b on b.branch_id = g.branch_id
where ($1::text is null or b.code = $1) and ($2::text is null or g.state = $2) and ($3::text is null or c.number = $3)

-- name: day_after
select ($1::date + 1)::text as day
