-- Queries of the store.

-- name: migration_prepare
do $$
begin
        if to_regclass('core.migration') is null then
                create schema if not exists core;
                create table core.migration (
                        owner    text not null,
                        version  int not null,
                        name     text not null,
                        checksum text not null,                 -- SHA-256 of the text, hexadecimal
                        ran_at   timestamptz not null default now(),
                        primary key (owner, version)
                );
        end if;
end $$;

-- name: migration_list
select version, name, checksum from core.migration where owner = $1 order by version

-- name: migration_record
insert into core.migration (owner, version, name, checksum) values ($1, $2::int, $3, $4)

-- name: spool_position
with made as (
        insert into mdm.spool_position (spool_id, segment, "offset") values ($1, 0, 0)
        on conflict do nothing returning segment, "offset")
select segment, "offset" from made
union all
select segment, "offset" from mdm.spool_position where spool_id = $1

-- name: spool_move
update mdm.spool_position set segment = $2::bigint, "offset" = $3::bigint, moved_at = now()
where spool_id = $1 and segment = $4::bigint and "offset" = $5::bigint returning 1

-- name: inbox_partition
select mdm.make_inbox_partition(to_timestamp($1::bigint))

-- name: inbox_partition_now
select mdm.make_inbox_partition(now())

-- name: inbox_copy
copy mdm.inbox (recv_at, meter_id, source, payload) from stdin (format binary)

-- name: quarantine_copy
copy mdm.quarantine (recv_at, protocol, identity, reason, detail, source, payload) from stdin (format binary)

-- name: events_insert
insert into mdm.meter_event (meter_id, at, code, text, source, recv_at)
select m, to_timestamp(a), c, t, s, to_timestamp(r)
from json_to_recordset($1::json) as x (m int, a bigint, c bigint, t text, s smallint, r bigint)
on conflict do nothing

-- name: registry_meters
select m.meter_id, m.branch_id, d.protocol, m.serial, m.maker, m.identity, m.model, m.address, m.period_s
from mdm.meter m join mdm.meter_model d using (model)
where m.state = 'active' order by m.meter_id

-- name: registry_models
select model, profile from mdm.meter_model order by model collate "C"

-- name: registry_keys
select meter_id, kind, encode(sealed, 'hex') from mdm.meter_key

-- name: registry_revision
select last_value from mdm.registry_revision

-- name: model_put
insert into mdm.meter_model (model, maker, protocol, digits, profile)
values ($1, $2, $3, $4::smallint, $5::jsonb)
on conflict (model) do update set maker = excluded.maker, protocol = excluded.protocol,
        digits = excluded.digits, profile = excluded.profile
where (meter_model.maker, meter_model.protocol, meter_model.digits, meter_model.profile)
      is distinct from (excluded.maker, excluded.protocol, excluded.digits, excluded.profile)

-- name: quarantine_due
select quarantine_id, protocol, identity, detail, source, encode(payload, 'hex')
from mdm.quarantine where state = 'due' order by quarantine_id limit 500 for update skip locked

-- name: quarantine_known
-- Messages held as unknown although their meter is registered: they were on their way to the database while it
-- was being registered. Looks at the newest only; registering a meter has marked the older ones.
with due as (
        update mdm.quarantine q set state = 'due'
        from mdm.meter m join mdm.meter_model d using (model)
        where q.state = 'held' and q.tried_at is null and q.protocol = d.protocol
          and q.quarantine_id > (select coalesce(max(quarantine_id), 0) - 50000 from mdm.quarantine)
          and m.identity = case d.protocol when 'dlms' then upper(q.identity) else q.identity end
        returning 1)
select count(*) from due

-- name: quarantine_hold
update mdm.quarantine set state = 'held', reason = $2, tried_at = now() where quarantine_id = $1::bigint

-- name: quarantine_unknown
-- Held again, unless its meter has come since the registry was read: then the next reading of it sees to it.
update mdm.quarantine q set state = 'held', reason = 'unknown meter', tried_at = now()
where quarantine_id = $1::bigint and not exists (
        select from mdm.meter m join mdm.meter_model d using (model)
        where m.state = 'active' and d.protocol = q.protocol
          and m.identity in (q.identity, case d.protocol when 'dlms' then upper(q.identity) end))
returning 1

-- name: quarantine_take
with taken as (
        update mdm.quarantine set state = 'replayed', meter_id = $2::int, tried_at = now()
        where quarantine_id = $1::bigint returning 1)
insert into mdm.inbox (recv_at, meter_id, source, payload)
select now(), $2::int, $3::smallint, $4::bytea from taken

-- name: seal_wait
-- All who were inserting when this was asked have committed or rolled back.
select pg_advisory_lock(1213353283), pg_advisory_unlock(1213353283)

-- name: seal_upto
select case when is_called then last_value else 0 end, (extract(epoch from now()))::bigint from mdm.inbox_seq

-- name: seal_next
-- The next range of meters that have something to seal.
select min(i.meter_id) from mdm.inbox i where i.meter_id > $1::int and i.seq <= $2::bigint

-- name: seal_lock
select pg_advisory_xact_lock(1213353299)

-- name: seal_claim
insert into mdm.seal_log (upto, before_day, meter_lo, meter_hi, messages, vals, dups, changed, blocks)
values ($1::bigint, $2::date, $3::int, $4::int, 0, 0, 0, 0, 0) on conflict do nothing returning 1

-- name: seal_note
update mdm.seal_log set messages = $4::bigint, vals = $5::bigint, dups = $6::bigint, changed = $7::bigint,
       blocks = $8::bigint
where upto = $1::bigint and before_day = $2::date and meter_lo = $3::int

-- name: seal_messages
select i.meter_id, i.seq, i.source, i.payload, (extract(epoch from i.recv_at))::bigint
from mdm.inbox i left join mdm.meter_seal s using (meter_id)
where i.meter_id between $1::int and $2::int and i.seq <= $3::bigint and i.seq > coalesce(s.seq, 0)
order by i.meter_id, i.seq

-- name: seal_blocks
select meter_id, day, ver, data from mdm.block
where day = any ($1::date[]) and meter_id between $2::int and $3::int order by meter_id, day

-- name: seal_registers
select meter_id, day, ver, data from mdm.register_day
where day = any ($1::date[]) and meter_id between $2::int and $3::int order by meter_id, day

-- name: seal_partitions
select mdm.make_block_partitions(d) from unnest($1::date[]) d

-- name: seal_keep_blocks
insert into mdm.block_hist (meter_id, day, kind, ver, n_changed, data)
select b.meter_id, b.day, 1, b.ver, k.n, b.data
from unnest($1::int[], $2::date[], $3::int[]) k(meter_id, day, n) join mdm.block b using (day, meter_id)
where k.n > 0

-- name: seal_keep_registers
insert into mdm.block_hist (meter_id, day, kind, ver, n_changed, data)
select b.meter_id, b.day, 2, b.ver, k.n, b.data
from unnest($1::int[], $2::date[], $3::int[]) k(meter_id, day, n) join mdm.register_day b using (day, meter_id)
where k.n > 0

-- name: seal_remove_blocks
delete from mdm.block b using unnest($1::int[], $2::date[]) k(meter_id, day)
where b.day = k.day and b.meter_id = k.meter_id

-- name: seal_remove_registers
delete from mdm.register_day b using unnest($1::int[], $2::date[]) k(meter_id, day)
where b.day = k.day and b.meter_id = k.meter_id

-- name: seal_copy_blocks
copy mdm.block (meter_id, day, ver, n_exp, n_ok, n_est, flags, data) from stdin (format binary)

-- name: seal_copy_registers
copy mdm.register_day (meter_id, day, ver, n, data) from stdin (format binary)

-- name: seal_advance
insert into mdm.meter_seal (meter_id, seq) select * from unnest($1::int[], $2::bigint[])
on conflict (meter_id) do update set seq = excluded.seq, sealed_at = now() where meter_seal.seq < excluded.seq

-- name: seal_dirty
insert into mdm.branch_day_dirty (day) select distinct d from unnest($1::date[]) d on conflict do nothing

-- name: seal_changed
select mdm.publish('reading.changed', k.meter_id::text,
       jsonb_build_object('meter_id', k.meter_id, 'serial', m.serial, 'branch_id', m.branch_id, 'days', k.days, 'changed', k.n))
from (select meter_id, json_agg(day order by day) as days, sum(n) as n
      from unnest($1::int[], $2::date[], $3::int[]) x(meter_id, day, n) where n > 0 group by 1) k
join mdm.meter m using (meter_id)

-- name: seal_finish
select mdm.roll_up(), mdm.drop_sealed_partitions()
