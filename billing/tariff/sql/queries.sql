-- name: tariff_list
select json_build_object('items', coalesce(json_agg(x order by x.code, x.version desc), '[]'))::text as reply
from (select t.code, t.name, t.commodity, t.currency, b.code as branch, v.version, v.state,
             lower(v.valid) as "from", upper(v.valid) as "to"
      from billing.tariff t join billing.tariff_version v using (code) left join core.branch b using (branch_id)
      where ($1::text is null or t.commodity = $1) and ($2::text is null or v.state = $2)) x

-- name: tariff_show
-- $1 code, $2 version or null: the one in force today, else the newest
select json_build_object('code', t.code, 'name', t.name, 'commodity', t.commodity, 'currency', t.currency,
        'branch', b.code, 'version', v.version, 'state', v.state, 'from', lower(v.valid), 'to', upper(v.valid),
        'hash', encode(v.hash, 'hex'), 'created_by', v.created_by, 'created_at', v.created_at,
        'activated_by', v.activated_by, 'activated_at', v.activated_at, 'document', v.document_text::json,
        'versions', (select json_agg(json_build_object('version', o.version, 'state', o.state, 'from', lower(o.valid),
                                                       'to', upper(o.valid)) order by o.version)
                     from billing.tariff_version o where o.code = t.code))::text as reply
from billing.tariff t join billing.tariff_version v using (code) left join core.branch b using (branch_id)
where t.code = $1 and ($2::int is null or v.version = $2::int)
order by (v.state = 'active' and v.valid @> current_date) desc, v.version desc limit 1

-- name: tariff_upsert
-- $1 code, $2 branch code or null, $3 name, $4 commodity, $5 currency
insert into billing.tariff (code, branch_id, name, commodity, currency)
values ($1, (select branch_id from core.branch where code = $2::text), $3, $4, $5)
on conflict (code) do update set name = excluded.name
returning commodity, currency, (select code from core.branch b where b.branch_id = tariff.branch_id) as branch

-- name: tariff_branch
select branch_id from core.branch where code = $1

-- name: tariff_known_hash
select version, state from billing.tariff_version
where code = $1 and hash = sha256(convert_to($2::text, 'UTF8')) and state <> 'retired' order by version desc limit 1

-- name: tariff_version_insert
-- $1 code, $2 first day or null, $3 last day + 1 or null, $4 document, $5 actor
insert into billing.tariff_version (code, version, valid, document, document_text, hash, created_by)
select $1, coalesce(max(version), 0) + 1, daterange(coalesce($2::date, current_date), $3::date), $4::text::jsonb, $4::text,
       sha256(convert_to($4::text, 'UTF8')), $5
from billing.tariff_version where code = $1
returning version, lower(valid) as from_day, encode(hash, 'hex') as hash

-- name: tariff_lock
select v.version, v.state, v.document_text, lower(v.valid) as from_day, v.created_by
from billing.tariff_version v where v.code = $1 and ($2::int is null or v.version = $2::int)
order by v.version desc limit 1 for update

-- name: tariff_make_room
-- Versions in force that the new one, from $3 on, replaces: they end the day before, or never
-- come into force.
update billing.tariff_version set
        state = case when lower(valid) >= $3::date then 'retired' else state end,
        valid = case when lower(valid) >= $3::date then valid else daterange(lower(valid), $3::date) end
where code = $1 and version <> $2::int and state = 'active'
  and (upper(valid) is null or upper(valid) > $3::date)

-- name: tariff_set_state
-- $4 first day or null to keep it
update billing.tariff_version set state = $3,
        valid = daterange(coalesce($4::date, lower(valid)), upper(valid)),
        activated_by = case when $3 = 'active' then $5 else activated_by end,
        activated_at = case when $3 = 'active' then now() else activated_at end
where code = $1 and version = $2::int
returning lower(valid) as from_day, upper(valid) as to_day

-- name: tariff_document
-- $1 code, $2 version or null: the one in force on day $3, else the newest
select v.version, v.state, v.document_text from billing.tariff_version v
where v.code = $1 and ($2::int is null or v.version = $2::int)
order by (v.state = 'active' and v.valid @> $3::date) desc, v.version desc limit 1

-- name: tariff_offers
-- $1 list of codes or null: all, $2 day, $3 commodity or null: any. Versions in force on the day.
select t.code, t.name, t.currency, v.version, v.document_text
from billing.tariff t join billing.tariff_version v using (code)
where v.state = 'active' and v.valid @> $2::date and ($1::jsonb is null or $1::jsonb ? t.code)
  and ($3::text is null or t.commodity in ($3, 'any'))
order by t.code

-- name: tariff_pair
-- $1 code, $2 and $3 versions or null: the newest, and the one before it
with after as (select version, document_text from billing.tariff_version
               where code = $1 and ($3::int is null or version = $3::int) order by version desc limit 1),
     before as (select v.version, v.document_text from billing.tariff_version v, after a
                where v.code = $1 and case when $2::int is null then v.version < a.version else v.version = $2::int end
                order by v.version desc limit 1)
select b.version as before_version, b.document_text as before_text, a.version as after_version,
       a.document_text as after_text from before b, after a

-- name: holiday_days
select day::text as day from billing.holiday where calendar = $1 order by day

-- name: holiday_list
select json_build_object('items', coalesce(json_agg(json_build_object('calendar', calendar, 'day', day, 'name', name)
                                                    order by calendar, day), '[]'))::text as reply
from billing.holiday where $1::text is null or calendar = $1

-- name: holiday_put
insert into billing.holiday (calendar, day, name)
select $1, (x->>'day')::date, coalesce(x->>'name', '') from jsonb_array_elements($2::jsonb) x
on conflict (calendar, day) do update set name = excluded.name

-- name: whatif_contract
-- $1 account number, $2 service point code or null, $3 first day, $4 last day + 1
select c.number, c.tariff, s.service_point_id, s.commodity, s.households, coalesce(c.params->>'contract_kw', s.contract_kw::text, '0')
       as contract_kw, b.tz, ch.channel, ch.code as channel_code, ch.unit, ch.scaler,
       extract(epoch from ($3::date::timestamp at time zone b.tz))::bigint as from_utc,
       extract(epoch from ($4::date::timestamp at time zone b.tz))::bigint as to_utc
from crm.account a join crm.contract c using (account_id) join crm.service_point s using (service_point_id)
join core.branch b on b.branch_id = c.branch_id
join mdm.channel ch on ch.kind = 'interval'
 and ch.code = any (case s.commodity when 'electricity' then array['energy.import', 'energy.export', 'reactive.import']
                    when 'water' then array['water.volume'] when 'gas' then array['gas.volume']
                    else array['heat.energy'] end)
where a.number = $1 and ($2::text is null or s.code = $2) and c.valid && daterange($3::date, $4::date)
order by c.contract_id desc, ch.channel

-- name: whatif_usage
-- $1 service point, $2 channel, $3 and $4 instants: consecutive values, meter by meter
select extract(epoch from u.at)::bigint as at, u.period_s, u.value, i.multiplier::text as multiplier
from crm.installation i
cross join lateral mdm.usage(i.meter_id, $2::smallint, greatest(to_timestamp($3::bigint), lower(i.valid)),
                             least(to_timestamp($4::bigint), coalesce(upper(i.valid), 'infinity'))) u
where i.service_point_id = $1::bigint and i.valid && tstzrange(to_timestamp($3::bigint), to_timestamp($4::bigint))
order by u.at
