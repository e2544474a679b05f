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
