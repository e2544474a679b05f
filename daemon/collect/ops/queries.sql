-- name: find_meter
select meter_id from mdm.meter
 where serial = $1 or (($1::text ~ '^[0-9]{1,9}$') and meter_id = case when $1::text ~ '^[0-9]{1,9}$' then $1::int end)
 order by (serial = $1) desc limit 1

-- ---- commands ----

-- name: command_target
select m.meter_id, m.serial, m.branch_id, m.state, d.protocol, d.profile::text as profile,
       coalesce(m.address->>'transport', d.profile->>'transport', '') = 'push' as pushes,
       exists (select from mdm.meter_key k where k.meter_id = m.meter_id and k.kind = 'kek') as has_kek,
       (select p.reason from mdm.meter_protection p where p.meter_id = m.meter_id and p.since <= current_date
         and (p.until is null or p.until > current_date) order by p.since limit 1) as protection,
       (select k.approval from mdm.command_kind k where k.kind = $2) as approval
from mdm.meter m join mdm.meter_model d using (model) where m.meter_id = $1::int

-- name: command_request
insert into mdm.command (branch_id, meter_id, kind, params, reason, state, requested_by, single_operator,
                         not_before, expires_at, next_try_at)
select m.branch_id, m.meter_id, k.kind, $3::jsonb, $4, case when k.approval then 'requested' else 'approved' end, $5, $6::boolean,
       coalesce(nullif($7, '')::timestamptz, now()),
       coalesce(nullif($8, '')::timestamptz, coalesce(nullif($7, '')::timestamptz, now()) + k.ttl),
       case when k.approval then null else coalesce(nullif($7, '')::timestamptz, now()) end
from mdm.meter m, mdm.command_kind k where m.meter_id = $1::int and k.kind = $2
returning command_id

-- name: command_doc
select json_build_object('command_id', c.command_id, 'meter_id', c.meter_id, 'serial', m.serial, 'branch', b.code,
       'kind', c.kind, 'what', k.what, 'params', c.params, 'reason', c.reason, 'campaign_id', c.campaign_id, 'state', c.state,
       'requested_by', c.requested_by, 'requested_at', c.requested_at, 'approved_by', c.approved_by, 'approved_at', c.approved_at,
       'not_before', c.not_before, 'expires_at', c.expires_at, 'next_try_at', c.next_try_at, 'waits_for', nullif(c.waits_for, ''),
       'attempts', c.attempts, 'sent_at', c.sent_at, 'ended_at', c.ended_at, 'progress', c.progress, 'proof', c.proof, 'error', c.error,
       'tries', coalesce((select json_agg(json_build_object('n', a.n, 'began_at', a.began_at, 'ended_at', a.ended_at,
                'outcome', a.outcome, 'detail', a.detail, 'by', a.holder) order by a.n)
                from mdm.command_attempt a where a.command_id = c.command_id), '[]')) as doc
from mdm.command c join mdm.meter m using (meter_id) join core.branch b on b.branch_id = c.branch_id
join mdm.command_kind k using (kind) where c.command_id = $1::bigint

-- name: command_list
select coalesce(json_agg(x order by x.command_id desc), '[]') as items, min(x.command_id) as last, count(*) as n from (
        select c.command_id, m.serial, b.code as branch, c.kind, c.state, c.reason, c.requested_by, c.requested_at, c.approved_by,
               nullif(c.waits_for, '') as waits_for, c.attempts, c.sent_at, c.ended_at, c.error, c.campaign_id
        from mdm.command c join mdm.meter m using (meter_id) join core.branch b on b.branch_id = c.branch_id
        where ($1 = '' or c.state = $1) and ($2 = '' or c.meter_id = nullif($2, '')::int) and ($3 = '' or c.kind = $3)
          and ($4::bigint = 0 or c.command_id < $4::bigint)
        order by c.command_id desc limit $5::int) x

-- name: command_approve
update mdm.command set state = 'approved', approved_by = $2, approved_at = now(), next_try_at = greatest(now(), not_before)
where command_id = $1::bigint and state = 'requested' and expires_at > now() returning command_id

-- name: command_refuse
update mdm.command set state = 'refused', approved_by = case when requested_by = $2 then null else $2 end, ended_at = now(), error = $3
where command_id = $1::bigint and state = 'requested' returning command_id

-- name: command_cancel
update mdm.command set state = 'cancelled', ended_at = now(), next_try_at = null, waits_for = '', error = 'cancelled by ' || $2
where command_id = $1::bigint and state in ('requested', 'approved') returning command_id

-- name: command_state
select state from mdm.command where command_id = $1::bigint

-- ---- protection ----

-- name: protect
insert into mdm.meter_protection (meter_id, reason, until, set_by) values ($1::int, $2, nullif($3, '')::date, $4)
on conflict (meter_id, since, reason) do update set until = excluded.until, set_by = excluded.set_by, set_at = now()

-- name: unprotect
update mdm.meter_protection set until = current_date, set_by = $2, set_at = now()
where meter_id = $1::int and (until is null or until > current_date) returning reason

-- ---- the meter's own state ----

-- name: meter_state
select json_build_object('meter_id', m.meter_id, 'serial', m.serial,
       'supply', (select json_build_object('control_state', s.control_state, 'output_state', s.output_state,
                  'control_mode', s.control_mode, 'read_at', s.read_at, 'command_id', s.command_id)
                  from mdm.meter_switch s where s.meter_id = m.meter_id),
       'protections', coalesce((select json_agg(json_build_object('reason', p.reason, 'since', p.since, 'until', p.until, 'set_by', p.set_by)
                  order by p.since) from mdm.meter_protection p
                  where p.meter_id = m.meter_id and (p.until is null or p.until > current_date)), '[]'),
       'firmware', coalesce((select json_agg(json_build_object('version', f.version, 'since', f.since, 'last_seen', f.last_seen)
                  order by f.since desc) from mdm.meter_firmware f where f.meter_id = m.meter_id), '[]'),
       'clock', coalesce((select json_agg(json_build_object('day', k.day, 'at', k.at, 'offset_s', k.offset_s, 'worst_s', k.worst_s,
                  'limit_s', k.limit_s) order by k.day desc) from (select * from mdm.meter_clock q where q.meter_id = m.meter_id
                  order by q.day desc limit 90) k), '[]'),
       'holes', coalesce((select json_agg(json_build_object('from', h.lo, 'to', h.hi, 'seen_at', h.seen_at) order by h.lo desc)
                  from (select * from mdm.meter_hole q where q.meter_id = m.meter_id order by q.lo desc limit 50) h), '[]'),
       'commands', coalesce((select json_agg(json_build_object('command_id', c.command_id, 'kind', c.kind, 'state', c.state,
                  'requested_at', c.requested_at, 'waits_for', nullif(c.waits_for, '')) order by c.command_id)
                  from mdm.command c where c.meter_id = m.meter_id and c.ended_at is null), '[]')) as doc
from mdm.meter m where m.meter_id = $1::int

-- name: meter_causes
select coalesce(json_agg(json_build_object('since', k.since, 'until', k.until, 'cause', k.cause, 'detail', k.detail, 'tries', k.tries)
       order by k.since desc), '[]') as items
from mdm.meter_cause k join mdm.meter m using (meter_id)
where k.meter_id = $1::int and k.until > now() - make_interval(days => $2::int)

-- name: meter_events
select coalesce(json_agg(x order by x.at desc, x.code), '[]') as items from (
        select e.at, e.code, coalesce(k.name, 'own.' || e.code) as name, coalesce(k.severity, 'info') as severity,
               coalesce(k.text, 'Event of the maker''s own') as what, e.text as detail, e.recv_at
        from mdm.meter_event e join mdm.meter m using (meter_id) left join mdm.event_code k using (code)
        where e.meter_id = $1::int and ($2 = '' or e.at >= $2::timestamptz) and ($3 = '' or k.severity = $3)
        order by e.at desc limit $4::int) x

-- ---- firmware ----

-- name: image_add
insert into mdm.firmware_image (model, identifier, version, digest, data, added_by)
select $1, $2, $3, sha256(d), d, $5 from (select decode($4, 'hex') as d) x
where exists (select from mdm.meter_model where model = $1)
returning image_id, encode(digest, 'hex') as digest, length(data) as bytes

-- name: image_list
select coalesce(json_agg(json_build_object('image_id', image_id, 'model', model, 'identifier', identifier, 'version', version,
       'digest', encode(digest, 'hex'), 'bytes', length(data), 'added_by', added_by, 'added_at', added_at) order by image_id), '[]') as items
from mdm.firmware_image

-- name: campaign_create
insert into mdm.firmware_campaign (image_id, scope, window_from, window_to, max_failed_percent, min_ended, created_by, single_operator)
values ($1::int, current_setting('headrace.branches'), nullif($2, '')::time, nullif($3, '')::time, $4::smallint, $5::int, $6, $7::boolean)
returning campaign_id

-- name: campaign_commands
-- One command a meter of the image's model: in the branch if one is named, those of the list if there is one.
insert into mdm.command (branch_id, meter_id, kind, reason, campaign_id, requested_by, single_operator, expires_at)
select m.branch_id, m.meter_id, 'firmware', 'campaign ' || $1, $1::int, $4, $5::boolean, now() + k.ttl
from mdm.firmware_campaign p join mdm.firmware_image i using (image_id) join mdm.meter m on m.model = i.model
join core.branch b on b.branch_id = m.branch_id, mdm.command_kind k
where p.campaign_id = $1::int and k.kind = 'firmware' and m.state = 'active' and ($2 = '' or b.code = $2)
  and ($3 = '[]' or m.serial in (select jsonb_array_elements_text($3::jsonb)))
  and not exists (select from mdm.command c where c.meter_id = m.meter_id and c.kind = 'firmware' and c.ended_at is null)
returning command_id

-- name: campaign_approve
update mdm.firmware_campaign set state = 'running', approved_by = $2, halted_why = null
where campaign_id = $1::int and state = 'requested' and core.scope_within(scope) returning campaign_id

-- name: campaign_release
update mdm.command set state = 'approved', approved_by = $2, approved_at = now(), next_try_at = now()
where campaign_id = $1::int and state = 'requested'

-- name: campaign_set
update mdm.firmware_campaign set state = $2, halted_why = nullif($3, '')
where campaign_id = $1::int and state = case $2 when 'running' then 'halted' else 'running' end and core.scope_within(scope)
returning campaign_id

-- name: campaign_wake
update mdm.command set next_try_at = now() where campaign_id = $1::int and state = 'approved'

-- name: campaign_doc
select json_build_object('campaign_id', p.campaign_id, 'model', i.model, 'version', i.version, 'identifier', i.identifier,
       'state', p.state, 'halted_why', p.halted_why, 'window_from', p.window_from, 'window_to', p.window_to,
       'max_failed_percent', p.max_failed_percent, 'created_by', p.created_by, 'created_at', p.created_at, 'approved_by', p.approved_by,
       'meters', (select count(*) from mdm.command c where c.campaign_id = p.campaign_id),
       'confirmed', (select count(*) from mdm.command c where c.campaign_id = p.campaign_id and c.state = 'confirmed'),
       'failed', (select count(*) from mdm.command c where c.campaign_id = p.campaign_id and c.state in ('failed', 'expired')),
       'under_way', (select count(*) from mdm.command c where c.campaign_id = p.campaign_id and c.state = 'sent'),
       'waiting', (select count(*) from mdm.command c where c.campaign_id = p.campaign_id and c.state in ('requested', 'approved'))) as doc
from mdm.firmware_campaign p join mdm.firmware_image i using (image_id) where p.campaign_id = $1::int and core.scope_within(p.scope)

-- name: campaign_list
select coalesce(json_agg(json_build_object('campaign_id', p.campaign_id, 'model', i.model, 'version', i.version, 'state', p.state,
       'created_by', p.created_by, 'created_at', p.created_at) order by p.campaign_id desc), '[]') as items
from mdm.firmware_campaign p join mdm.firmware_image i using (image_id) where core.scope_within(p.scope)

-- ---- groups ----

-- name: group_list
select coalesce(json_agg(json_build_object('name', g.name, 'priority', g.priority, 'period_s', g.period_s, 'deadline_s', g.deadline_s,
       'meters', (select count(*) from mdm.meter m where m.address->>'group' = g.name)) order by g.name), '[]') as items
from mdm.read_group g

-- name: group_put
insert into mdm.read_group (name, priority, period_s, deadline_s) values ($1, $2::smallint, $3::int, $4::int)
on conflict (name) do update set priority = excluded.priority, period_s = excluded.period_s, deadline_s = excluded.deadline_s

-- name: registry_touch
select nextval('mdm.registry_revision'), pg_notify('headrace_registry', '')

-- ---- quarantine ----

-- name: quarantine_message
select q.quarantine_id, q.protocol, q.identity, q.reason, q.payload, m.meter_id
from mdm.quarantine q left join mdm.meter m on m.identity in (q.identity, upper(q.identity))
where q.quarantine_id = $1::bigint
