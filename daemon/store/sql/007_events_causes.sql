-- What meters report besides values, in standard codes; why meters are unread, day by day; what they do not have.

-- Codes of the IDIS companion specification's event logs, which most makers follow; those of other makes are mapped to
-- them by the meter's model. From 1000 on: makers' own codes without a standard one (1000 + code).
create table mdm.event_code (
        code     int primary key,
        name     text not null unique,
        severity text not null check (severity in ('info', 'warning', 'alarm')),
        text     text not null
);
insert into mdm.event_code (code, name, severity, text) values
        (1,   'power.down',             'info',    'Power went down'),
        (2,   'power.up',               'info',    'Power came back'),
        (3,   'clock.dst',              'info',    'Daylight saving time changed'),
        (4,   'clock.adjusted.old',     'info',    'Clock adjusted: old time'),
        (5,   'clock.adjusted.new',     'info',    'Clock adjusted: new time'),
        (6,   'clock.invalid',          'warning', 'Clock invalid'),
        (7,   'battery.replace',        'warning', 'Battery to be replaced'),
        (8,   'battery.low',            'warning', 'Battery voltage low'),
        (9,   'tariff.activated',       'info',    'Tariff calendar activated'),
        (10,  'errors.cleared',         'info',    'Error register cleared'),
        (11,  'alarms.cleared',         'info',    'Alarm register cleared'),
        (12,  'memory.program',         'alarm',   'Program memory error'),
        (13,  'memory.ram',             'alarm',   'Memory error'),
        (14,  'memory.nv',              'alarm',   'Non-volatile memory error'),
        (15,  'watchdog',               'warning', 'Watchdog error'),
        (16,  'measurement.error',      'alarm',   'Measuring system error'),
        (17,  'firmware.ready',         'info',    'Firmware ready for activation'),
        (18,  'firmware.activated',     'info',    'Firmware activated'),
        (19,  'tariff.programmed',      'info',    'Passive tariff calendar programmed'),
        (40,  'terminal.open',          'alarm',  'Terminal cover removed'),
        (41,  'terminal.closed',        'info',    'Terminal cover closed'),
        (42,  'magnet.on',              'alarm',   'Strong magnetic field'),
        (43,  'magnet.off',             'info',    'Magnetic field gone'),
        (44,  'cover.open',             'alarm',   'Meter cover removed'),
        (45,  'cover.closed',           'info',    'Meter cover closed'),
        (46,  'association.failed',     'warning', 'Association authentication failed repeatedly'),
        (47,  'parameters.changed',     'info',    'Parameters changed'),
        (48,  'keys.changed',           'info',    'Global keys changed'),
        (49,  'decryption.failed',      'alarm',   'Message could not be deciphered or authenticated'),
        (50,  'replay',                 'alarm',   'Replay attack'),
        (51,  'firmware.refused',       'warning', 'Firmware verification failed'),
        (52,  'consumption.unexpected', 'warning', 'Unexpected consumption'),
        (59,  'switch.ready',           'info',    'Ready for manual reconnection'),
        (60,  'switch.manual.off',      'info',    'Disconnected by hand'),
        (61,  'switch.manual.on',       'info',    'Reconnected by hand'),
        (62,  'switch.remote.off',      'info',    'Disconnected remotely'),
        (63,  'switch.remote.on',       'info',    'Reconnected remotely'),
        (64,  'switch.local.off',       'info',    'Disconnected by the meter itself'),
        (65,  'limiter.exceeded',       'warning', 'Load limit exceeded'),
        (66,  'limiter.ok',             'info',    'Load below its limit again'),
        (67,  'limiter.changed',        'info',    'Load limit changed'),
        (68,  'switch.failed',          'alarm',   'Disconnection or reconnection failed'),
        (69,  'switch.local.on',        'info',    'Reconnected by the meter itself'),
        (76,  'phase.lost.l1',          'warning', 'Phase L1 missing'),
        (77,  'phase.lost.l2',          'warning', 'Phase L2 missing'),
        (78,  'phase.lost.l3',          'warning', 'Phase L3 missing'),
        (88,  'phase.reversed',         'alarm',  'Phases connected in reverse order'),
        (89,  'neutral.missing',        'alarm',  'Neutral missing'),
        (91,  'current.reversed',       'alarm',   'Current flows in reverse'),
        (255, 'log.cleared',            'warning', 'Event log cleared');

-- Alarms on their way to the outbox: the loader's transactions are long, so they are told from a short one.
create table mdm.alarm_queue (
        meter_id int not null,
        at       timestamptz not null,
        code     bigint not null,
        text     text not null
);
create function mdm.event_alarm() returns trigger language plpgsql as $$
begin
        insert into mdm.alarm_queue select n.meter_id, n.at, n.code, n.text from fresh n
        join mdm.event_code e on e.code = n.code where e.severity = 'alarm';
        return null;
end $$;
create trigger alarm after insert on mdm.meter_event referencing new table as fresh
        for each statement execute function mdm.event_alarm();

create function mdm.alarms_tell() returns int language plpgsql as $$
declare
        a record;
        n int := 0;
begin
        for a in with taken as (delete from mdm.alarm_queue q where ctid in
                        (select ctid from mdm.alarm_queue limit 200 for update skip locked) returning *)
                select t.*, m.serial, m.branch_id, e.name, e.text as what
                from taken t join mdm.meter m using (meter_id) join mdm.event_code e on e.code = t.code order by t.at
        loop
                perform mdm.publish('meter.alarm', a.serial, jsonb_build_object('meter_id', a.meter_id, 'serial', a.serial,
                        'branch_id', a.branch_id, 'at', a.at, 'code', a.code, 'name', a.name, 'text', a.what,
                        'detail', a.text));
                n := n + 1;
        end loop;
        return n;
end $$;

-- Why a meter was unread: one row for each run of visits with the same cause; "read" ends a run of failures.
create table mdm.meter_cause (
        meter_id int not null,
        since    timestamptz not null,
        until    timestamptz not null,                   -- last visit with it
        cause    text not null,
        detail   text not null default '',
        tries    int not null default 1,
        primary key (meter_id, since)
) with (fillfactor = 80);
create index on mdm.meter_cause (until);

create function mdm.cause_put(m int, cause_ text, detail_ text, at_ timestamptz) returns void language plpgsql as $$
declare
        l mdm.meter_cause;
begin
        select * into l from mdm.meter_cause x where x.meter_id = m order by x.since desc limit 1;
        if l.cause = cause_ and at_ >= l.since then
                update mdm.meter_cause x set until = greatest(x.until, at_), tries = x.tries + 1, detail = detail_
                where x.meter_id = m and x.since = l.since;
        elsif l.since is null or at_ > l.since then
                insert into mdm.meter_cause values (m, at_, at_, cause_, detail_, 1);
        end if;
end $$;

-- Periods for which the meter itself has nothing: they are not asked for again and again.
create table mdm.meter_hole (
        meter_id int not null,
        lo       timestamptz not null,
        hi       timestamptz not null check (hi > lo),
        seen_at  timestamptz not null default now(),
        primary key (meter_id, lo)
);

-- What is not stored of [lo, hi) for a meter's channel, in runs of whole periods, oldest first; what the meter said it
-- does not have is left out. Register channels are stored at the end of each period.
create function mdm.missing(m int, ch smallint, lo timestamptz, hi timestamptz, period_s int)
returns table (from_at timestamptz, to_at timestamptz) language sql stable as $$
        with slot as (
                select g as at from generate_series(lo, hi - make_interval(secs => period_s), make_interval(secs => period_s)) g
        ), shift as (
                select case when ch >= 128 then make_interval(secs => period_s) else interval '0' end as by
        ), have as (
                select r.at - s.by as at from shift s, mdm.readings(m, ch, lo + s.by, hi + s.by) r
        ), gap as (
                select slot.at, extract(epoch from slot.at)::bigint / period_s - row_number() over (order by slot.at) as run
                from slot
                where not exists (select from have h where h.at = slot.at)
                  and not exists (select from mdm.meter_hole x where x.meter_id = m and x.lo <= slot.at and x.hi > slot.at)
        )
        select min(at), max(at) + make_interval(secs => period_s) from gap group by run order by 1
$$;

-- Groups of meters for the schedule: a meter names its group in its address ("group").
create table mdm.read_group (
        name       text primary key check (name ~ '^[a-z0-9._-]{1,32}$'),
        priority   smallint not null default 1 check (priority between 0 and 2),  -- 0 first
        period_s   int not null check (period_s between 60 and 86400),            -- between two visits
        deadline_s int not null default 0 check (deadline_s between 0 and 86400)  -- read so long after a visit is due; 0: none
);
