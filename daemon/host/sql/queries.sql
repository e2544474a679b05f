-- name: auth_token
select l.user_id, l.login, l.name, t.token_id, t.kind,
       array_to_string(t.permissions, ' ') as narrowed,
       r.branch_id, array_to_string(c.permissions, ' ') as permissions
from core.token t
join core.login l using (user_id)
left join core.login_role r using (user_id)
left join core.role c using (role)
where t.hash = $1::bytea and t.expires_at > now() and t.revoked_at is null and l.active

-- name: auth_login
select l.user_id, l.login, l.name, 0 as token_id, 'test' as kind, null as narrowed,
       r.branch_id, array_to_string(c.permissions, ' ') as permissions
from core.login l
left join core.login_role r using (user_id)
left join core.role c using (role)
where l.login = $1 and l.active

-- name: login_find
select user_id, login, name, coalesce(password, '') as password from core.login
where login = $1 and active

-- name: login_count
select count(*) as n from core.login

-- name: login_insert
insert into core.login (login, name, password) values ($1, $2, $3) returning user_id

-- name: login_grant
insert into core.login_role (user_id, role, branch_id) values
       ($1::int, $2, case when $3 = '*' then null else
        (select coalesce((select branch_id from core.branch where code = $3), -1)) end)

-- name: login_update
update core.login set name = coalesce($2, name), password = coalesce($3, password),
       active = coalesce($4::boolean, active)
where login = $1 returning user_id

-- name: token_revoke_all
update core.token set revoked_at = now() where user_id = $1::int and revoked_at is null
       and token_id <> $2::int

-- name: login_list
select l.user_id, l.login, l.name, l.active, l.created_at,
       coalesce(json_agg(json_build_object('role', r.role, 'branch', coalesce(b.code, '*'))
                order by r.role, b.code) filter (where r.role is not null), '[]') as grants
from core.login l
left join core.login_role r using (user_id)
left join core.branch b using (branch_id)
where ($1 = '' or l.login > $1)
  and (current_setting('headrace.branches') = '*' or exists
       (select from core.login_role x where x.user_id = l.user_id and core.branch_allowed(x.branch_id)))
group by l.user_id order by l.login limit $2::int

-- name: token_insert
insert into core.token (user_id, kind, hash, name, permissions, expires_at)
values ($1::int, $2, $3::bytea, $4, case when $5 = '' then null else string_to_array($5, ' ') end,
        now() + make_interval(secs => $6::int))
returning token_id, to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as expires_at

-- name: token_revoke
update core.token set revoked_at = now() where token_id = $1::int and revoked_at is null

-- name: branch_list
select coalesce(json_agg(json_build_object('branch_id', branch_id, 'code', code, 'name', name, 'tz', tz,
       'currency', currency, 'minor_digits', minor_digits, 'language', language) order by code), '[]') as items,
       null as next
from core.branch where core.branch_allowed(branch_id)

-- name: branch_insert
insert into core.branch (branch_id, code, name, tz, currency, minor_digits, language)
values (coalesce(nullif($1, '')::smallint, (select coalesce(max(branch_id), 0) + 1 from core.branch)),
        $2, $3, $4, $5, $6::smallint, $7)
returning branch_id

-- name: branch_allowed_list
select code from core.branch where core.branch_allowed(branch_id) order by code

-- name: constraint_comment
select obj_description(oid, 'pg_constraint') as text from pg_constraint
where conname = $1 and obj_description(oid, 'pg_constraint') is not null
union all
select obj_description(oid, 'pg_class') from pg_class
where relname = $1 and relkind = 'i' and obj_description(oid, 'pg_class') is not null
limit 1

-- name: idempotency_claim
insert into core.idempotency (actor, key, operation, request_hash) values ($1, $2, $3, $4::bytea)
on conflict do nothing returning 1 as fresh

-- name: idempotency_find
select operation = $3 and request_hash = $4::bytea as same, status, content_type, file_name, reply
from core.idempotency where actor = $1 and key = $2

-- name: call_finish
with kept as (update core.idempotency set status = $3::int, content_type = $4, file_name = $5,
              reply = $6::bytea where actor = $1 and key = $2)
select core.log_append($7::jsonb, $8::jsonb)

-- name: log_append
select core.log_append($1::jsonb, $2::jsonb)

-- name: idempotency_purge
delete from core.idempotency where ctid = any (array(
        select ctid from core.idempotency
        where created_at < now() - interval '48 hours'
           or key like 'auto:%' and created_at < now() - interval '1 hour' limit 10000))

-- name: token_purge
delete from core.token where expires_at < now() - interval '30 days'

-- name: event_purge
delete from core.event where event_id in (
        select event_id from core.event
        where at < now() - interval '14 days'
          and event_id <= coalesce((select min(event_id) from core.event_cursor), 0) limit 10000)

-- name: cursor_add
insert into core.event_cursor (plugin, event_id) select $1, event_id from core.log_head
on conflict do nothing

-- name: cursor_take
select event_id, failures from core.event_cursor
where plugin = $1 and suspended_at is null and next_try <= clock_timestamp()
for update skip locked

-- name: event_next
select event_id, type, key, body from core.event
where event_id > $1::bigint and event_id <= $4::bigint and type = any (string_to_array($2, ' '))
order by event_id limit $3::int

-- name: event_end
select event_id from core.log_head

-- name: cursor_move
update core.event_cursor set event_id = $2::bigint, failures = 0, error = '' where plugin = $1

-- name: cursor_fail
update core.event_cursor set failures = failures + 1, error = $2,
       next_try = clock_timestamp() + make_interval(secs => $3::double precision),
       suspended_at = case when $4::boolean then now() end
where plugin = $1

-- name: cursor_list
select c.plugin, h.event_id - c.event_id as behind, c.failures, c.error, c.suspended_at is not null as suspended
from core.event_cursor c, core.log_head h order by c.plugin

-- name: cursor_resume
update core.event_cursor set suspended_at = null, failures = 0, error = '', next_try = now(),
       event_id = event_id + case when $2::boolean then 1 else 0 end
where plugin = $1 returning event_id

-- name: cursor_pending
select count(*) as n from core.event_cursor c, core.log_head h
where c.plugin = any (string_to_array($1, ' ')) and c.suspended_at is null and c.event_id < h.event_id

-- name: event_tail
select event_id, at, type, key, body from core.event
where event_id > $1::bigint order by event_id limit $2::int

-- name: event_list
select coalesce(json_agg(e order by e.event_id), '[]') as items,
       (select event_id from core.log_head) as last from (
        select event_id, at, type, key, body from core.event
        where event_id > $1::bigint and ($2 = '' or type = $2) order by event_id limit $3::int) e

-- name: job_insert
insert into core.job (type, scope, actor, params) values
       ($1, current_setting('headrace.branches'), $2, $3::jsonb) returning job_id

-- name: job_release_own
update core.job set lease_until = now() where status = 'running' and lease_owner = $1

-- name: job_claim
update core.job set status = 'running', lease_owner = $1, lease_until = now() + interval '30 seconds',
       epoch = epoch + 1, attempts = attempts + 1, started_at = coalesce(started_at, now()), changed_at = now()
where job_id = (select job_id from core.job
        where type = any (string_to_array($2, ' '))
          and (status = 'queued' and run_after <= now() or status = 'running' and lease_until <= now())
        order by run_after, job_id for update skip locked limit 1)
returning job_id, type, scope, actor, params, state, epoch, attempts, cancel, done, total

-- name: job_renew
update core.job set lease_until = now() + interval '30 seconds'
where job_id = $1::bigint and epoch = $2::int and status = 'running'

-- name: job_progress
update core.job set state = $3::jsonb, done = $4::bigint, total = $5::bigint, attempts = 0, changed_at = now(),
       lease_until = now() + interval '30 seconds'
where job_id = $1::bigint and epoch = $2::int and status = 'running'
returning cancel

-- name: job_cancelled
select cancel from core.job where job_id = $1::bigint

-- name: job_end
update core.job set status = $3, error = $4, result = nullif($5, '')::jsonb, ended_at = now(), changed_at = now(),
       lease_owner = null, lease_until = null
where job_id = $1::bigint and epoch = $2::int and status = 'running'
returning done, total

-- name: job_again
update core.job set status = 'queued', error = $3, run_after = now() + make_interval(secs => $4::double precision),
       lease_owner = null, lease_until = null, changed_at = now()
where job_id = $1::bigint and epoch = $2::int and status = 'running'

-- name: job_cancel
update core.job set cancel = true,
       status = case when status = 'queued' then 'cancelled' else status end,
       ended_at = case when status = 'queued' then now() else ended_at end, changed_at = now()
where job_id = $1::bigint and status in ('queued', 'running') returning status

-- name: job_list
select coalesce(json_agg(j order by j.job_id desc), '[]') as items,
       case when count(*) = $4::int then min(j.job_id) end as next from (
        select job_id, type, status, done, total, actor, error, created_at, started_at, ended_at from core.job
        where ($1 = '' or status = $1) and ($2 = '' or type = $2) and ($3::bigint = 0 or job_id < $3::bigint)
        order by job_id desc limit $4::int) j

-- name: job_show
select type, status, to_json(j) as item from (
        select job_id, type, status, done, total, cancel, actor, params, state, result, error, attempts,
               created_at, started_at, changed_at, ended_at from core.job where job_id = $1::bigint) j

-- name: job_open
-- without those put off for longer than a failed one is
select count(*) as n from core.job
where (status = 'running' or status = 'queued' and run_after < now() + interval '30 seconds')
       and type = any (string_to_array($1, ' '))

-- name: job_counts
select count(*) filter (where status = 'queued') as queued, count(*) filter (where status = 'running') as running,
       count(*) filter (where status = 'failed') as failed from core.job

-- name: audit_list
select coalesce(json_agg(a order by a.seq desc), '[]') as items,
       case when count(*) = $5::int then min(a.seq) end as next from (
        select seq, at, actor, what, object, params, request_id, peer from core.audit
        where ($1 = '' or actor = $1) and ($2 = '' or what = $2) and ($3 = '' or object = $3)
          and ($4::bigint = 0 or seq < $4::bigint)
        order by seq desc limit $5::int) a

-- name: audit_verify
select v.seq, v.reason, h.audit_seq from core.log_head h left join core.audit_verify() v on true
