-- name: search
-- $1 what was typed, $2 how many, $3 'true' to look for likely words even where the typed ones exist.
with scope as materialized (
        select array_agg(branch_id) as ids from core.branch where core.branch_allowed(branch_id)
), typed as materialized (
        select key, case when key ~ '^0[1-9][0-9]{7}' then substr(key, 2) else key end as tail, words
        from (select crm.key_of($1) as key, crm.words_of($1) as words) t
), key_hit as materialized (
        select kind, id, 100 + (k.key = t.key)::int * 100 as score
        from typed t, scope, crm.search_key k
        where length(t.key) >= 2 and k.key >= t.key and k.key < t.key || '~' and k.key like t.key || '%'
          and k.branch_id = any (scope.ids)
        limit 50
), tail_hit as materialized ( -- "the last six digits"; the 0 before a whole number stands for the country's code
        select kind, id, 90 as score
        from typed t, scope, crm.search_key k
        where length(t.tail) >= 4 and t.key ~ '[0-9]{4}$'
          and reverse(k.key) collate "C" >= reverse(t.tail) collate "C"
          and reverse(k.key) collate "C" < (reverse(t.tail) || '~') collate "C"
          and reverse(k.key) like reverse(t.tail) || '%'
          and k.branch_id = any (scope.ids)
        limit 50
), word as (
        select n, w, exists (select from scope, unnest(scope.ids) b
                             where exists (select from crm.search_word s where s.branch_id = b
                                           and s.word >= w and s.word < w || chr(1114109))) as known
        from typed, unnest(words[1:8]) with ordinality as u (w, n)
), meant as ( -- each word, or what it may have been meant to be
        select n, w, known, case when (known and not $3::boolean) or w ~ '[0-9]' or length(w) < 3 then null else
                (select string_agg(format('''%s''', word), ' | ') from (
                        select s.word, min(case when s.word = any (swapped.words) then 1
                                           else levenshtein_less_equal(s.word, left(w, 60), 2) end) as distance
                        from scope, crm.search_word s,
                             (select array_agg(left(w, i - 1) || substr(w, i + 1, 1) || substr(w, i, 1) || substr(w, i + 2))
                                     as words from generate_series(1, length(w) - 1) i) swapped
                        where s.branch_id = any (scope.ids) and length(s.word) between length(w) - 2 and length(w) + 2
                        group by s.word
                        having min(case when s.word = any (swapped.words) then 1
                                   else levenshtein_less_equal(s.word, left(w, 60), 2) end)
                               <= case when length(w) < 5 then 1 else 2 end
                        order by 2, similarity(s.word, w) desc limit 6) likely) end as likely
        from word
), query as materialized (
        select string_agg(coalesce('(' || likely || ')', format('''%s''', w)), ' & ' order by n)::tsquery as whole,
               string_agg(coalesce('(' || likely || ')', format('''%s'':*', w)), ' & ' order by n)::tsquery as begun
        from meant having bool_or(length(w) >= 2)
), text_candidate as materialized (
        (select kind, id from query, scope, crm.search_text s
         where s.words @@ whole and s.branch_id = any (scope.ids) limit 120)
        union
        (select kind, id from query, scope, crm.search_text s
         where s.words @@ begun and s.branch_id = any (scope.ids) limit 120)
), text_hit as (
        select c.kind, c.id, 40 + 40 * similarity(crm.fold(name), crm.fold($1)) as score
        from text_candidate c join crm.party on party_id = c.id where c.kind = 'party'
        union all
        select c.kind, c.id, 35 + 40 * similarity(crm.fold(concat_ws(' ', address, city)), crm.fold($1))
        from text_candidate c join crm.premise on premise_id = c.id where c.kind = 'premise'
), hit as materialized (
        select case when kind in ('phone', 'tax_id') then 'party' else kind end as kind, id, max(score) as score,
               (array_agg(kind order by score desc))[1] as matched
        from (select * from key_hit union all select * from tail_hit union all select * from text_hit) h
        group by 1, 2 order by 3 desc, 1, 2 limit $2::int * 2
), shown as (
        select h.score, h.matched, 'customer' as kind, p.party_id as customer, p.name as title, p.phone, p.name as customer_name,
               p.party_id::text as ref
        from hit h join crm.party p on p.party_id = h.id where h.kind = 'party'
        union all
        select h.score, h.matched, 'account', p.party_id, a.number, p.phone, p.name, a.number
        from hit h join crm.account a on a.account_id = h.id join crm.party p using (party_id) where h.kind = 'account'
        union all
        select h.score, h.matched, 'contract', p.party_id, c.number, p.phone, p.name, c.number
        from hit h join crm.contract c on c.contract_id = h.id join crm.account a using (account_id)
             join crm.party p using (party_id) where h.kind = 'contract'
        union all
        select h.score, h.matched, 'service_point', o.party_id, s.code, o.phone, o.name, s.code
        from hit h join crm.service_point s on s.service_point_id = h.id
             left join lateral crm.supplied_party(s.service_point_id) o on true where h.kind = 'service_point'
        union all
        select h.score, h.matched, 'address', o.party_id, concat_ws(', ', r.address, nullif(r.city, '')), o.phone, o.name,
               r.premise_id::text
        from hit h join crm.premise r on r.premise_id = h.id
             left join lateral (select q.* from crm.service_point s, crm.supplied_party(s.service_point_id) q
                                where s.premise_id = r.premise_id limit 1) o on true where h.kind = 'premise'
        union all
        select h.score, h.matched, 'meter', o.party_id, m.serial, o.phone, o.name, m.serial
        from hit h join mdm.meter m on m.meter_id = h.id
             left join lateral (select q.* from crm.installation i, crm.supplied_party(i.service_point_id) q
                                where i.meter_id = m.meter_id and i.valid @> now() limit 1) o on true
        where h.kind = 'meter'
), best as (
        select * from shown order by score desc, title, ref limit $2::int
)
select count(*) as n, coalesce(jsonb_agg(jsonb_build_object(
        'kind', kind, 'ref', ref, 'title', title, 'matched', matched, 'score', round(score::numeric, 1),
        'customer', customer, 'customer_name', customer_name, 'phone', phone,
        'accounts', (select coalesce(jsonb_agg(a.number order by a.number), '[]') from crm.account a where a.party_id = customer),
        'address', (select concat_ws(', ', r.address, nullif(r.city, ''))
                    from crm.account a join crm.contract c using (account_id) join crm.service_point s using (service_point_id)
                         join crm.premise r using (premise_id)
                    where a.party_id = customer order by upper(c.valid) desc nulls first, c.contract_id limit 1))
        order by score desc, title, ref), '[]') as items
from best

-- name: search_invoice
-- An invoice by its exact number, where the billing part keeps invoices.
select jsonb_build_array(jsonb_build_object(
        'kind', 'invoice', 'ref', i.number, 'title', i.number, 'matched', 'invoice', 'score', 250,
        'customer', p.party_id, 'customer_name', p.name, 'phone', p.phone,
        'accounts', jsonb_build_array(a.number), 'address', null)) as items
from billing.invoice i join crm.account a using (account_id) join crm.party p using (party_id)
where i.number = upper(btrim($1))

-- name: present
-- Which other parts of the system are there to ask.
select to_regclass('billing.invoice') is not null as invoice,
       to_regclass('billing.bill') is not null as bill,
       to_regclass('billing.tariff') is not null as tariff,
       to_regclass('ledger.entry') is not null as ledger,
       to_regclass('crm.request') is not null as request,
       to_regprocedure('mdm.readings(integer,smallint,timestamptz,timestamptz)') is not null as readings

-- name: list
-- $1 branch code, $2 after this id, $3 how many, $4 ids found by a search or NULL
with page as (
        select p.*, b.code as branch
        from crm.party p join core.branch b using (branch_id)
        where ($1::text is null or b.code = $1) and p.party_id > $2::bigint
          and ($4::bigint[] is null or p.party_id = any ($4::bigint[]))
        order by p.party_id limit $3::int + 1
), shown as (select * from page order by party_id limit $3::int)
select jsonb_build_object(
        'items', coalesce(jsonb_agg(jsonb_build_object(
                'customer', party_id, 'name', name, 'kind', kind, 'phone', phone, 'email', email, 'branch', branch,
                'accounts', (select coalesce(jsonb_agg(a.number order by a.number), '[]') from crm.account a
                             where a.party_id = shown.party_id),
                'address', (select concat_ws(', ', r.address, nullif(r.city, ''))
                            from crm.account a join crm.contract c using (account_id)
                                 join crm.service_point s using (service_point_id) join crm.premise r using (premise_id)
                            where a.party_id = shown.party_id
                            order by upper(c.valid) desc nulls first, c.contract_id limit 1))
                order by party_id), '[]'),
        'next', case when (select count(*) from page) > $3::int then max(party_id)::text end) as reply
from shown

-- name: party_of
-- $1 a customer's id, or an account number
select p.party_id, p.branch_id from crm.party p
where p.party_id = case when $1 ~ '^[0-9]{1,18}$' then $1::bigint end
union all
select a.party_id, a.branch_id from crm.account a where a.number = $1
limit 1

-- name: show
select jsonb_build_object(
        'customer', p.party_id, 'code', p.code, 'kind', p.kind, 'name', p.name, 'tax_id', p.tax_id, 'phone', p.phone,
        'email', p.email, 'language', p.language, 'created_at', p.created_at, 'branch', b.code, 'branch_name', b.name,
        'currency', b.currency, 'minor_digits', b.minor_digits, 'tz', b.tz,
        'version', 1 + (select count(*) from crm.party_version v where v.party_id = p.party_id),
        'contracts', (select coalesce(jsonb_agg(jsonb_build_object(
                        'number', c.number, 'account', a.number, 'tariff', c.tariff, 'class', c.class, 'cycle', c.cycle,
                        'from', lower(c.valid), 'to', upper(c.valid), 'params', c.params,
                        'service_point', s.code, 'commodity', s.commodity,
                        'active', c.valid @> (now() at time zone b.tz)::date)
                        order by upper(c.valid) desc nulls first, c.number), '[]')
                from crm.account a join crm.contract c using (account_id) join crm.service_point s using (service_point_id)
                where a.party_id = p.party_id)) as reply
from crm.party p join core.branch b using (branch_id) where p.party_id = $1::bigint

-- name: show_accounts
select coalesce(jsonb_agg(jsonb_build_object('number', number, 'status', status, 'created_at', created_at, 'balance', null)
                order by number), '[]') as reply
from crm.account where party_id = $1::bigint

-- name: show_service_points
-- The points this customer is or was supplied at, each with its meters, latest first.
select coalesce(jsonb_agg(jsonb_build_object(
        'code', s.code, 'commodity', s.commodity, 'state', s.state, 'households', s.households,
        'contract_kw', s.contract_kw, 'address', r.address, 'city', r.city, 'postcode', r.postcode,
        'lat', r.lat, 'lon', r.lon,
        'installations', (select coalesce(jsonb_agg(jsonb_build_object(
                'meter', m.meter_id, 'serial', m.serial, 'maker', m.maker, 'model', m.model,
                'from', lower(i.valid), 'to', upper(i.valid), 'installed', i.valid @> now(),
                'multiplier', i.multiplier, 'start_read', i.start_read, 'end_read', i.end_read)
                order by lower(i.valid) desc), '[]')
                from crm.installation i join mdm.meter m using (meter_id) where i.service_point_id = s.service_point_id))
        order by s.code), '[]') as reply
from crm.service_point s join crm.premise r using (premise_id)
where s.service_point_id in (select c.service_point_id from crm.contract c join crm.account a using (account_id)
                             where a.party_id = $1::bigint)

-- name: meters_now
-- Meters measuring now for this customer's running contracts.
select m.meter_id, m.serial, m.commodity
from crm.account a join crm.contract c using (account_id) join crm.service_point s using (service_point_id)
     join core.branch b on b.branch_id = c.branch_id
     join crm.installation i using (service_point_id) join mdm.meter m using (meter_id)
where a.party_id = $1::bigint and i.valid @> now() and c.valid @> (now() at time zone b.tz)::date
group by m.meter_id, m.serial, m.commodity order by m.serial limit 12

-- name: create_match
-- Customers who may be the same person: $1 branch, $2 tax id, $3 phone, $4 name
select p.party_id, p.name, k.kind = 'tax_id' as by_tax_id,
       (select string_agg(a.number, ', ' order by a.number) from crm.account a where a.party_id = p.party_id) as accounts
from core.branch b, crm.search_key k join crm.party p on p.party_id = k.id
where b.code = $1 and p.branch_id = b.branch_id
  and ((k.kind = 'tax_id' and k.key = crm.key_of($2))
       or (k.kind = 'phone' and k.key = $3 and similarity(crm.fold(p.name), crm.fold($4)) >= 0.4))
order by by_tax_id desc, p.party_id limit 5

-- name: create_party
insert into crm.party (branch_id, kind, name, tax_id, phone, email, language)
select branch_id, $2, btrim($3), nullif(btrim($4), ''), nullif($5, ''), nullif(btrim($6), ''), coalesce($7, language)
from core.branch where code = $1 and core.branch_allowed(branch_id)
returning party_id, branch_id

-- name: create_account
insert into crm.account (branch_id, number, party_id)
values ($1::smallint, crm.new_account_number($1::smallint), $2::bigint)
returning number

-- name: update_version
insert into crm.party_version (party_id, version, branch_id, actor, reason, was)
select p.party_id, 1 + (select count(*) from crm.party_version v where v.party_id = p.party_id), p.branch_id, $2, coalesce($3, ''),
       jsonb_build_object('kind', p.kind, 'name', p.name, 'tax_id', p.tax_id, 'phone', p.phone, 'email', p.email,
                          'language', p.language)
from (select * from crm.party where party_id = $1::bigint for update) p
returning version + 1 as version

-- name: update_party
update crm.party set name = coalesce(btrim($2), name), tax_id = case when $3::text is null then tax_id else nullif(btrim($3), '') end,
       phone = case when $4::text is null then phone else nullif($4, '') end,
       email = case when $5::text is null then email else nullif(btrim($5), '') end,
       language = coalesce($6, language), kind = coalesce($7, kind)
where party_id = $1::bigint

-- name: history
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object(
        'version', version, 'until', until, 'actor', actor, 'reason', reason, 'was', was) order by version desc), '[]')) as reply
from crm.party_version where party_id = $1::bigint

-- name: import
select crm.import_document($1::jsonb) as reply

-- name: service_point
select s.service_point_id, s.branch_id, s.commodity, s.state, b.code as branch, b.tz
from crm.service_point s join core.branch b using (branch_id) where s.code = $1

-- name: account
select account_id, branch_id, status, party_id from crm.account where number = $1

-- name: tariff_known
select exists (select from billing.tariff where code = $1) as known

-- name: contract_open
insert into crm.contract (branch_id, number, account_id, service_point_id, tariff, class, cycle, valid, params)
values ($1::smallint, coalesce($2, crm.new_contract_number($1::smallint)), $3::bigint, $4::bigint, $5,
        coalesce($6, 'residential'), coalesce($7, 'monthly'), daterange($8::date, null), coalesce($9, '{}')::jsonb)
returning number, jsonb_build_object('number', number, 'from', lower(valid), 'tariff', tariff, 'service_point',
        (select code from crm.service_point s where s.service_point_id = contract.service_point_id)) as reply

-- name: contract
select contract_id, number, lower(valid) as from_day, upper(valid) as to_day, account_id,
       upper_inf(valid) as running, $2::date > lower(valid) as after_begin
from crm.contract where number = $1 for update

-- name: contract_close
update crm.contract set valid = daterange(lower(valid), $2::date),
       params = params || jsonb_strip_nulls(jsonb_build_object('close_reason', $3::text, 'final_read', $4::jsonb))
where contract_id = $1::bigint
returning jsonb_build_object('number', number, 'from', lower(valid), 'to', upper(valid)) as reply

-- name: installed
select i.installation_id, i.meter_id, m.serial, m.maker, i.valid @> $2::timestamptz and lower(i.valid) < $2::timestamptz as covers,
       upper_inf(i.valid) as running, to_char(lower(i.valid) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since, i.start_read
from crm.installation i join mdm.meter m using (meter_id)
where i.service_point_id = $1::bigint order by lower(i.valid) desc limit 1 for update of i

-- name: meter_by_serial
select meter_id, commodity, state, maker, branch_id from mdm.meter
where serial = $1 and maker = coalesce($2, maker) and branch_id = $3::smallint

-- name: exchange_end
update crm.installation set valid = tstzrange(lower(valid), $2::timestamptz), end_read = coalesce($3, '{}')::jsonb
where installation_id = $1::bigint

-- name: exchange_begin
insert into crm.installation (service_point_id, meter_id, valid, multiplier, start_read)
values ($1::bigint, $2::int, tstzrange($3::timestamptz, null), coalesce($4, '1')::numeric, coalesce($5, '{}')::jsonb)
returning installation_id

-- name: meter_states
update mdm.meter set state = case meter_id when $1::int then 'removed' else 'active' end
where meter_id in ($1::int, $2::int)

-- name: lower_read
-- Register of the final read that stands below the start read: the code, or no row.
select key, value as final, $1::jsonb ->> key as start from jsonb_each_text($2::jsonb)
where $1::jsonb ? key and value::numeric < ($1::jsonb ->> key)::numeric limit 1

-- name: far_future
select $1::timestamptz > now() + interval '1 day' as far

-- name: exchange_report
select jsonb_strip_nulls(jsonb_build_object('service_point', $1::text, 'removed', $2::text, 'installed', $3::text,
                                            'at', $4::timestamptz, 'reason', $5::text)) as reply

-- name: search_customers
-- The customers among the items of a search.
select coalesce(array_agg(distinct (e ->> 'customer')::bigint) filter (where e ->> 'customer' is not null), '{}')::text as ids
from jsonb_array_elements($1::jsonb) e

-- name: meter_reads
-- Last intervals and the register of a meter within $3 before now; $2 its commodity.
with use as (
        select case $2 when 'electricity' then 1 when 'water' then 5 when 'gas' then 6 else 7 end::smallint as channel
), r as (
        select r.* from use, mdm.usage($1::int, use.channel, now() - $3::interval, now()) r order by r.at desc limit 24
)
select (select count(*) from r) as n, jsonb_build_object(
        'meter', m.meter_id, 'serial', m.serial, 'commodity', m.commodity, 'channel', c.code, 'unit', c.unit, 'scaler', c.scaler,
        'register', (select jsonb_build_object('at', g.at, 'value', g.value, 'status', g.status)
                     from mdm.register_at(m.meter_id, (use.channel + 128)::smallint, now()) g where g.at is not null),
        'values', (select coalesce(jsonb_agg(jsonb_build_object('at', at, 'period_s', period_s, 'value', value, 'status', status)
                                             order by at desc), '[]') from r)) as reply
from use join mdm.channel c using (channel), mdm.meter m where m.meter_id = $1::int

-- name: show_balances
-- What each account owes, in minor units of the branch's currency; negative is the customer's credit.
select coalesce(jsonb_agg(jsonb_build_object(
        'number', a.number, 'status', a.status, 'created_at', a.created_at, 'currency', b.currency,
        'balance', (select coalesce(sum(l.debit) - sum(l.credit), 0) from ledger.line l
                    where l.account_id = a.account_id and l.currency = b.currency),
        'overdue', (select coalesce(sum(l.debit), 0) from ledger.line l
                    where l.account_id = a.account_id and l.currency = b.currency and l.due < current_date
                          and l.debit > coalesce((select sum(x.amount) from ledger.allocation x
                                                  where (x.debit_entry, x.debit_line) = (l.entry_id, l.line_no)), 0)))
        order by a.number), '[]') as reply
from crm.account a join core.branch b using (branch_id) where a.party_id = $1::bigint

-- name: show_bills
select coalesce(jsonb_agg(jsonb_build_object(
        'bill', b.bill_id, 'contract', c.number, 'from', lower(b.period), 'to', upper(b.period), 'state', b.state,
        'total', b.total, 'currency', b.currency, 'quantity', b.quantity, 'unit', b.unit, 'due', b.due,
        'issued_at', b.issued_at) order by upper(b.period) desc, b.bill_id desc), '[]') as reply
from (select b.* from billing.bill b join crm.account a using (account_id)
      where a.party_id = $1::bigint and b.state <> 'cancelled'
      order by upper(b.period) desc, b.bill_id desc limit 24) b join crm.contract c using (contract_id)

-- name: show_invoices
select coalesce(jsonb_agg(jsonb_build_object('number', i.number, 'kind', i.kind, 'bill', i.bill_id, 'issued_at', i.issued_at,
                'due', i.due, 'total', i.total, 'currency', i.currency) order by i.issued_at desc, i.number desc), '[]') as reply
from (select i.* from billing.invoice i join crm.account a using (account_id) where a.party_id = $1::bigint
      order by i.issued_at desc, i.number desc limit 24) i

-- name: meter_installations
-- Where the meter of a serial or number is and was installed, and for whom.
select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object(
        'service_point', s.code, 'state', s.state, 'address', concat_ws(', ', r.address, nullif(r.city, '')),
        'from', lower(i.valid), 'to', upper(i.valid), 'installed', i.valid @> now(), 'multiplier', i.multiplier,
        'start_read', i.start_read, 'end_read', i.end_read, 'customer', o.party_id, 'customer_name', o.name)
        order by lower(i.valid) desc), '[]')) as reply
from (select meter_id from mdm.meter where serial = $1 or ($1 ~ '^[0-9]{1,9}$' and meter_id = $1::int)
      order by (serial = $1) desc, meter_id limit 1) m
     join crm.installation i using (meter_id) join crm.service_point s using (service_point_id)
     join crm.premise r using (premise_id)
     left join lateral crm.supplied_party(s.service_point_id) o on i.valid @> now()

-- name: show_requests
select coalesce(jsonb_agg(jsonb_build_object('number', number, 'type', type,
                'type_name', (select name from crm.request_type t where t.code = type), 'state', state, 'step', step,
                'opened_at', opened_at, 'due_at', due_at, 'overdue', state = 'open' and due_at < now(),
                'assigned_to', assigned_to) order by state = 'closed', opened_at desc), '[]') as reply
from (select * from crm.request where party_id = $1::bigint order by state = 'closed', opened_at desc limit 20) r
