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

-- name: quarantine_hold
update mdm.quarantine set state = 'held', reason = $2, tried_at = now() where quarantine_id = $1::bigint

-- name: quarantine_take
with taken as (
        update mdm.quarantine set state = 'replayed', meter_id = $2::int, tried_at = now()
        where quarantine_id = $1::bigint returning 1)
insert into mdm.inbox (recv_at, meter_id, source, payload)
select now(), $2::int, $3::smallint, $4::bytea from taken
