-- Reading store: an append-only inbox of received messages, sealed into one packed block per
-- meter and UTC day. Every per-meter table carries meter_id in its key, so that it can be
-- distributed by it.

-- Where the loader of each spool stands; moved in the same transaction as the rows it loaded.
create table mdm.spool_position (
        spool_id text primary key,
        segment  bigint not null,
        "offset" bigint not null,
        moved_at timestamptz not null default now()
) with (fillfactor = 50);

-- Journal of received messages (payload: daemon/store/message.h). Hourly partitions by arrival,
-- made on demand; no primary key, a message may be received twice.
create sequence mdm.inbox_seq;
create table mdm.inbox (
        seq      bigint not null default nextval('mdm.inbox_seq'),   -- order of arrival in the database
        recv_at  timestamptz not null,
        meter_id int not null,
        source   smallint not null,          -- 1 push 2 pull 3 manual 4 VEE 5 import 6 on demand
        payload  bytea not null
) partition by range (recv_at);
create index on mdm.inbox (meter_id, seq);
create table mdm.inbox_default partition of mdm.inbox default;

-- Whoever inserts holds this lock until the end of the transaction; the seal waits for all of them
-- once before it reads how far the sequence is, so no message with a lower number can appear later.
create function mdm.inbox_writer() returns trigger language plpgsql as $$
begin
        perform pg_advisory_xact_lock_shared(1213353283);
        return null;
end $$;
create trigger writer before insert on mdm.inbox for each statement execute function mdm.inbox_writer();

create function mdm.make_inbox_partition(at timestamptz) returns void language plpgsql as $$
declare
        h timestamptz := date_trunc('hour', at at time zone 'UTC') at time zone 'UTC';
        name text := 'inbox_' || to_char(h at time zone 'UTC', 'YYYYMMDDHH24');
begin
        if to_regclass('mdm.' || name) is null then
                execute format('create table mdm.%I partition of mdm.inbox for values from (%L) to (%L)',
                               name, h, h + interval '1 hour');
        end if;
exception
        when duplicate_table then null;
        when check_violation then null;      -- rows of that hour stand in the default partition already
end $$;

-- How far each meter's messages have been merged into blocks.
create table mdm.meter_seal (
        meter_id  int primary key,
        seq       bigint not null,
        sealed_at timestamptz not null default now()
) with (fillfactor = 60);

-- One row per meter and UTC day, all interval channels (data: daemon/store/block.h).
create table mdm.block (
        meter_id int not null,
        day      date not null,
        ver      int not null default 1,     -- raised by each rewrite
        n_exp    int not null,               -- intervals expected, over the channels that are here
        n_ok     int not null,               -- measured, read by a customer or edited
        n_est    int not null,               -- estimated
        flags    smallint not null default 0, -- 1: intervals overlap
        data     bytea not null,
        primary key (day, meter_id)          -- day first: a sealed day appends at the right edge
) partition by range (day);

-- Register readings and other single instants of a UTC day, packed likewise.
create table mdm.register_day (
        meter_id int not null,
        day      date not null,
        ver      int not null default 1,
        n        int not null,
        data     bytea not null,
        primary key (day, meter_id)
) partition by range (day);

-- Superseded versions, kept when a value that was there already changed.
create table mdm.block_hist (
        meter_id int not null,
        day      date not null,
        kind     smallint not null,          -- 1 block, 2 register_day
        ver      int not null,
        n_changed int not null,              -- values that differ in the next version
        superseded_at timestamptz not null default now(),
        data     bytea not null,
        primary key (day, meter_id, kind, ver)
) partition by range (day);

create function mdm.make_block_partitions(of_day date) returns void language plpgsql as $$
declare
        m date := date_trunc('month', of_day)::date;
        t text;
begin
        foreach t in array array['block', 'register_day', 'block_hist'] loop
                if to_regclass(format('mdm.%I', t || to_char(m, '"_"YYYYMM'))) is null then
                        execute format('create table mdm.%I partition of mdm.%I for values from (%L) to (%L) with (fillfactor = 85)',
                                       t || to_char(m, '"_"YYYYMM'), t, m, (m + interval '1 month')::date);
                end if;
        end loop;
exception
        when duplicate_table then null;
end $$;

-- What meters reported besides values.
create table mdm.meter_event (
        meter_id int not null,
        at       timestamptz not null,
        code     bigint not null,
        text     text not null default '',
        source   smallint not null,
        recv_at  timestamptz not null,
        primary key (meter_id, at, code, text)
);
create index on mdm.meter_event (at);

-- What has no known meter or layout, raw, until it can be normalised.
create table mdm.quarantine (
        quarantine_id bigint generated always as identity primary key,
        recv_at  timestamptz not null,
        protocol text not null,
        identity text not null,
        reason   text not null,
        detail   text not null default '',
        source   smallint not null,
        payload  bytea not null,
        state    text not null default 'held' check (state in ('held', 'due', 'replayed', 'discarded')),
        tried_at timestamptz,
        meter_id int                          -- replayed: whose it was
);
create index on mdm.quarantine (protocol, identity) where state in ('held', 'due');
create index on mdm.quarantine (quarantine_id) where state = 'due';
comment on table mdm.quarantine is 'Raw messages of unknown meters or layouts; replayed once they are known';

-- Completeness by branch, rewritten when a day is sealed.
create table mdm.branch_day (
        day       date not null,
        branch_id smallint not null references core.branch,
        n_meter   int not null,              -- meters with a block
        n_exp     bigint not null,
        n_ok      bigint not null,
        n_est     bigint not null,
        at        timestamptz not null default now(),
        primary key (day, branch_id)
);
alter table mdm.branch_day enable row level security;
alter table mdm.branch_day force row level security;
create policy branch on mdm.branch_day using (core.branch_allowed(branch_id));

-- Each range of meters sealed, once per cut through the inbox; a second time is refused by the key.
create table mdm.seal_log (
        upto     bigint not null,             -- messages with seq <= upto, of days before before_day
        before_day date not null,
        meter_lo int not null,
        meter_hi int not null,
        sealed_at timestamptz not null default now(),
        messages bigint not null,
        vals     bigint not null,
        dups     bigint not null,
        changed  bigint not null,
        blocks   bigint not null,
        primary key (upto, before_day, meter_lo)
);

-- Tells the collectors to read the registry again.
create sequence mdm.registry_revision;
create function mdm.registry_changed() returns trigger language plpgsql as $$
begin
        perform nextval('mdm.registry_revision');
        notify headrace_registry;
        return null;
end $$;
create trigger changed after insert or update or delete on mdm.meter
        for each statement execute function mdm.registry_changed();
create trigger changed after insert or update or delete on mdm.meter_key
        for each statement execute function mdm.registry_changed();
create trigger changed after insert or update or delete on mdm.meter_model
        for each statement execute function mdm.registry_changed();
