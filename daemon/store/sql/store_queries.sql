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

-- name: inbox_copy
copy mdm.inbox (recv_at, meter_id, source, payload) from stdin (format binary)

-- name: quarantine_copy
copy mdm.quarantine (recv_at, protocol, identity, reason, detail, source, payload) from stdin (format binary)

-- name: events_insert
insert into mdm.meter_event (meter_id, at, code, text, source, recv_at)
select m, to_timestamp(a), c, t, s, to_timestamp(r)
from json_to_recordset($1::json) as x (m int, a bigint, c bigint, t text, s smallint, r bigint)
on conflict do nothing
