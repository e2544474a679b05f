-- Commands to meters: who asked, who released it, what was sent, and what the meter itself says since.
--
--   requested -> approved -> sent -> confirmed | failed | expired
--   (refused: the second person said no; cancelled: withdrawn before it was sent)
--
-- "sent" is committed before the first octet leaves: whatever kills the daemon afterwards, the command is never
-- repeated blindly. It is tried again by asking the meter for its state first.

create table mdm.command_kind (
        kind       text primary key,
        approval   boolean not null,                     -- needs a second person
        capped     boolean not null default false,       -- counts against the limits on disconnections
        ttl        interval not null,                    -- after it the command is not begun any more
        what       text not null
);
insert into mdm.command_kind (kind, approval, capped, ttl, what) values
        ('clock',      false, false, '2 days',  'Check the clock and correct it as the drift policy says'),
        ('disconnect', true,  true,  '1 day',   'Disconnect the supply'),
        ('reconnect',  false, false, '3 days',  'Reconnect the supply'),
        ('arm',        false, false, '3 days',  'Let the customer reconnect at the meter'),
        ('limiter',    true,  false, '7 days',  'Set the load limit'),
        ('calendar',   true,  false, '14 days', 'Load and activate a tariff calendar'),
        ('keys',       true,  false, '14 days', 'Change the global keys'),
        ('firmware',   true,  false, '60 days', 'Transfer, verify and activate firmware');

create table mdm.firmware_image (
        image_id   int generated always as identity primary key,
        model      text not null references mdm.meter_model,
        identifier text not null,                        -- what image_transfer_initiate is told
        version    text not null,                        -- what the meter shows once it is active
        digest     bytea not null check (length(digest) = 32),  -- SHA-256 of data
        data       bytea not null,
        added_by   text not null,
        added_at   timestamptz not null default now(),
        constraint firmware_image_once unique (model, identifier)
);
comment on constraint firmware_image_once on mdm.firmware_image is 'This model has an image of that identifier already';

create table mdm.firmware_campaign (
        campaign_id int generated always as identity primary key,
        image_id    int not null references mdm.firmware_image,
        scope       text not null,                       -- branches of whoever made it
        window_from time,                                -- activation between these hours of the branch; null: at once
        window_to   time,
        max_failed_percent smallint not null default 10 check (max_failed_percent between 0 and 100),
        min_ended   int not null default 5 check (min_ended >= 1),  -- no verdict on fewer
        state       text not null default 'requested' check (state in ('requested', 'running', 'halted', 'done')),
        halted_why  text,
        created_by  text not null,
        created_at  timestamptz not null default now(),
        approved_by text,
        single_operator boolean not null default false,
        constraint campaign_window check ((window_from is null) = (window_to is null)),
        constraint campaign_four_eyes check (approved_by is null or single_operator or approved_by <> created_by)
);
comment on constraint campaign_four_eyes on mdm.firmware_campaign is 'A campaign is released by a second person';
comment on constraint campaign_window on mdm.firmware_campaign is 'A window has a begin and an end';

create table mdm.command (
        command_id   bigint generated always as identity primary key,
        branch_id    smallint not null references core.branch,
        meter_id     int not null references mdm.meter,
        kind         text not null references mdm.command_kind,
        params       jsonb not null default '{}' check (jsonb_typeof(params) = 'object'),
        reason       text not null default '',
        campaign_id  int references mdm.firmware_campaign,
        state        text not null default 'requested'
                     check (state in ('requested', 'approved', 'sent', 'confirmed', 'failed', 'expired', 'refused', 'cancelled')),
        requested_by text not null,
        requested_at timestamptz not null default now(),
        approved_by  text,
        approved_at  timestamptz,
        single_operator boolean not null default false,  -- the configuration let one person do both
        not_before   timestamptz not null default now(),
        expires_at   timestamptz not null,
        next_try_at  timestamptz,                        -- null: nothing to do
        waits_for    text not null default '',           -- why it is not sent although it is due
        attempts     int not null default 0,
        sent_at      timestamptz,
        ended_at     timestamptz,
        progress     jsonb not null default '{}',        -- how far it came, for the next attempt
        proof        jsonb,                              -- what the meter itself said afterwards
        error        text,
        constraint command_four_eyes check (approved_by is null or single_operator or approved_by <> requested_by),
        constraint command_expiry check (expires_at > not_before)
);
comment on constraint command_four_eyes on mdm.command is
        'A command is released by a second person; its requester may not';
comment on constraint command_expiry on mdm.command is '"expires_at" must be later than "not_before"';
create index on mdm.command (meter_id, command_id desc);
create index on mdm.command (next_try_at) where state in ('approved', 'sent');
create index on mdm.command (command_id) where state = 'requested';
create index on mdm.command (campaign_id, state) where campaign_id is not null;
-- One command of a kind at a time: a second disconnection of the same meter makes no sense.
create unique index command_one_open on mdm.command (meter_id, kind) where state in ('requested', 'approved', 'sent');
comment on index mdm.command_one_open is 'The meter has an open command of this kind already';
alter table mdm.command enable row level security;
alter table mdm.command force row level security;
create policy branch on mdm.command using (core.branch_allowed(branch_id));

-- Who, what and whom never change; states move forward only; what ended stays.
create function mdm.command_rules() returns trigger language plpgsql as $$
begin
        if (new.branch_id, new.meter_id, new.kind, new.params, new.requested_by, new.requested_at, new.campaign_id, new.single_operator)
           is distinct from (old.branch_id, old.meter_id, old.kind, old.params, old.requested_by, old.requested_at, old.campaign_id, old.single_operator) then
                raise exception 'What was asked of a meter cannot be changed; cancel the command and make a new one' using errcode = 'HR001';
        end if;
        if old.state <> new.state and not ((old.state, new.state) in (
                ('requested', 'approved'), ('requested', 'refused'), ('requested', 'cancelled'), ('requested', 'expired'),
                ('approved', 'sent'), ('approved', 'cancelled'), ('approved', 'expired'), ('approved', 'failed'),
                ('sent', 'confirmed'), ('sent', 'failed'), ('sent', 'approved'))) then
                raise exception 'Command % is %; it cannot become %', old.command_id, old.state, new.state using errcode = 'HR001';
        end if;
        if old.ended_at is not null and new is distinct from old then
                raise exception 'Command % has ended; its record stays as it is', old.command_id using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger rules before update on mdm.command for each row execute function mdm.command_rules();
create function mdm.command_stays() returns trigger language plpgsql as $$
begin
        raise exception 'Records of commands are kept' using errcode = 'HR001';
end $$;
create trigger stays before delete or truncate on mdm.command for each statement execute function mdm.command_stays();

create table mdm.command_attempt (
        command_id bigint not null references mdm.command,
        n          int not null,
        holder     text not null,                        -- the daemon that made it
        began_at   timestamptz not null default now(),
        ended_at   timestamptz,
        sent_before boolean not null,                    -- an earlier attempt may have been sent
        outcome    text check (outcome in ('confirmed', 'failed', 'again', 'unreached', 'lost')),
        detail     text not null default '',
        primary key (command_id, n)
);
create index on mdm.command_attempt (holder) where ended_at is null;

-- Supply points nobody may disconnect by command: life support and the like.
create table mdm.meter_protection (
        meter_id int not null references mdm.meter,
        since    date not null default current_date,
        until    date,                                   -- first day without; null: until it is lifted
        reason   text not null check (reason <> ''),
        set_by   text not null,
        set_at   timestamptz not null default now(),
        primary key (meter_id, since, reason)
);

-- Further conditions, asked at the moment of sending. Other parts add theirs: a function that is given the command's
-- number and answers null (go on) or why not; "wait" puts the command off instead of ending it.
create table mdm.command_guard (
        kind text not null references mdm.command_kind,
        name text not null,
        func text not null,                              -- schema.function(bigint) returns text
        wait boolean not null default false,
        primary key (kind, name)
);

create function mdm.command_objection(c mdm.command, out ends boolean, out why text) language plpgsql stable as $$
declare
        g record;
begin
        ends := true;
        if c.kind = 'disconnect' then
                select 'the supply is protected: ' || p.reason into why from mdm.meter_protection p
                where p.meter_id = c.meter_id and p.since <= current_date and (p.until is null or p.until > current_date)
                order by p.since limit 1;
                if why is not null then
                        return;
                end if;
        end if;
        for g in select * from mdm.command_guard x where x.kind = c.kind order by x.name loop
                if to_regprocedure(g.func || '(bigint)') is null then
                        why := format('the condition "%s" cannot be checked: there is no function %s', g.name, g.func);
                        ends := false;
                        return;
                end if;
                execute format('select %s($1)', to_regprocedure(g.func || '(bigint)')::regproc) into why using c.command_id;
                if why is not null then
                        ends := not g.wait;
                        return;
                end if;
        end loop;
        ends := false;
end $$;

-- State of the supply as the meter told it last; never assumed.
create table mdm.meter_switch (
        meter_id      int primary key references mdm.meter,
        control_state text not null check (control_state in ('disconnected', 'connected', 'ready_for_reconnection')),
        output_state  boolean not null,
        control_mode  smallint,
        read_at       timestamptz not null,
        command_id    bigint
);

-- Firmware and its history, as meters told it.
create table mdm.meter_firmware (
        meter_id  int not null references mdm.meter,
        since     timestamptz not null,                  -- first seen
        version   text not null,
        last_seen timestamptz not null,
        primary key (meter_id, since)
);

create function mdm.firmware_seen(m int, v text) returns void language plpgsql as $$
begin
        update mdm.meter_firmware f set last_seen = now()
        where f.meter_id = m and f.version = v
          and f.since = (select max(x.since) from mdm.meter_firmware x where x.meter_id = m);
        if not found then
                insert into mdm.meter_firmware values (m, now(), v, now()) on conflict do nothing;
        end if;
end $$;

-- Keys on their way: the new one beside the old one until the meter has proven that it uses it; "kek" is the meter's
-- master key, under which new ones travel.
alter table mdm.meter_key drop constraint meter_key_kind_check;
alter table mdm.meter_key add constraint meter_key_kind_check check (kind in
        ('guek', 'gak', 'lls', 'hls', 'psk', 'dedicated', 'kek', 'guek_next', 'gak_next'));

-- Clock drift, a row a meter and day.
create table mdm.meter_clock (
        meter_id int not null,
        day      date not null,
        at       timestamptz not null,
        offset_s int not null,                           -- meter minus ours, seen last
        worst_s  int not null,                           -- largest of the day by size
        limit_s  int not null,                           -- beyond it readings are marked
        primary key (day, meter_id)
);
create index on mdm.meter_clock (meter_id, day desc);

-- ---- what the collect role calls ----

-- Ends one attempt. outcome: confirmed, failed, again (in again_s seconds; it may have been sent), or unreached (nothing
-- of it can have been sent: as if it had not been tried).
create function mdm.command_finish(id bigint, nr int, outcome_ text, detail_ text, proof_ jsonb, progress_ jsonb, again_s int)
returns void language plpgsql as $$
declare
        c mdm.command;
        before boolean;
begin
        select * into c from mdm.command x where x.command_id = id for update;
        if not found or c.ended_at is not null then
                return;                                  -- told twice
        end if;
        select a.sent_before into before from mdm.command_attempt a where a.command_id = id and a.n = nr;
        update mdm.command_attempt a set ended_at = now(), outcome = outcome_, detail = detail_
        where a.command_id = id and a.n = nr and a.ended_at is null;
        if outcome_ in ('again', 'unreached') then
                update mdm.command x set state = case when outcome_ = 'unreached' and not before then 'approved' else x.state end,
                       sent_at = case when outcome_ = 'again' or before then x.sent_at end, next_try_at = now() + make_interval(secs => again_s), error = nullif(detail_, ''),
                       progress = case when progress_ = '{}' then x.progress else progress_ end, waits_for = ''
                where x.command_id = id;
                return;
        end if;
        update mdm.command x set state = outcome_, ended_at = now(), next_try_at = null, waits_for = '',
               proof = proof_, progress = case when progress_ = '{}' then x.progress else progress_ end,
               error = case when outcome_ = 'failed' then detail_ end
        where x.command_id = id;
        perform mdm.command_tell(id);
end $$;

-- Events and what follows from a command that ended; the last thing of its transaction.
create function mdm.command_tell(id bigint) returns void language plpgsql as $$
declare
        c mdm.command;
        serial_ text;
        body jsonb;
begin
        select * into c from mdm.command x where x.command_id = id;
        select m.serial into serial_ from mdm.meter m where m.meter_id = c.meter_id;
        body := jsonb_build_object('command_id', c.command_id, 'meter_id', c.meter_id, 'serial', serial_, 'branch_id', c.branch_id,
                'kind', c.kind, 'state', c.state, 'reason', c.reason, 'requested_by', c.requested_by, 'approved_by', c.approved_by,
                'ended_at', c.ended_at, 'proof', c.proof, 'error', c.error);
        if c.campaign_id is not null then
                perform mdm.campaign_judge(c.campaign_id);
        end if;
        if c.state = 'confirmed' and c.kind = 'disconnect' then
                perform mdm.publish('meter.disconnected', serial_, body);
        elsif c.state = 'confirmed' and c.kind = 'reconnect' then
                perform mdm.publish('meter.reconnected', serial_, body);
        end if;
        perform mdm.publish(case when c.state = 'confirmed' then 'command.confirmed' else 'command.failed' end,
                            c.command_id::text, body);
end $$;

-- Halts a campaign whose failures pass its limit, ends one that is through.
create function mdm.campaign_judge(id int) returns void language plpgsql as $$
declare
        p mdm.firmware_campaign;
        bad int;
        good int;
        open int;
begin
        select * into p from mdm.firmware_campaign x where x.campaign_id = id for update;
        select count(*) filter (where state in ('failed', 'expired')), count(*) filter (where state = 'confirmed'),
               count(*) filter (where ended_at is null and state <> 'cancelled')
        into bad, good, open from mdm.command c where c.campaign_id = id;
        if p.state = 'running' and bad + good >= p.min_ended and bad * 100 > p.max_failed_percent * (bad + good) then
                update mdm.firmware_campaign set state = 'halted',
                       halted_why = format('%s of %s meters failed, more than %s %%', bad, bad + good, p.max_failed_percent)
                where campaign_id = id;
                perform mdm.publish('campaign.halted', id::text, jsonb_build_object('campaign_id', id, 'failed', bad, 'ended', bad + good));
        elsif p.state = 'running' and open = 0 then
                update mdm.firmware_campaign set state = 'done' where campaign_id = id;
        end if;
end $$;

-- Seconds until the campaign's window is open in the branch; 0 = it is, or there is none.
create function mdm.window_wait(c mdm.command) returns int language plpgsql stable as $$
declare
        p mdm.firmware_campaign;
        local_ time;
        s int;
        span int;
begin
        select * into p from mdm.firmware_campaign x where x.campaign_id = c.campaign_id;
        if not found or p.window_from is null then
                return 0;
        end if;
        select (now() at time zone b.tz)::time into local_ from core.branch b where b.branch_id = c.branch_id;
        s := (86400 + extract(epoch from local_ - p.window_from)::int) % 86400;          -- since the window opened last
        span := (86400 + extract(epoch from p.window_to - p.window_from)::int) % 86400;
        if span = 0 or s < span then
                return 0;
        end if;
        return 86400 - s;
end $$;

-- Takes the next due command of a meter for this daemon, conditions checked, and marks it sent. No row: there is none,
-- or it has to wait (waits_for says why). The limit on capped ones is not this database's: the process that holds the
-- keys counts them, and puts back what is over it.
create function mdm.command_claim(m int, holder_ text)
returns table (command_id bigint, kind text, attempt int, sent_before boolean, verify_only boolean,
               params jsonb, progress jsonb, window_wait int, capped boolean)
language plpgsql as $$
declare
        c mdm.command;
        o record;
begin
        for c in select * from mdm.command x
                where x.meter_id = m and x.state in ('approved', 'sent') and x.next_try_at <= now() and x.not_before <= now()
                order by x.state = 'sent' desc, x.command_id for update skip locked
        loop
                select * into o from mdm.command_objection(c);
                verify_only := c.state = 'sent' and (c.expires_at <= now() or o.why is not null);
                if c.state = 'approved' then
                        if c.expires_at <= now() then
                                update mdm.command x set state = 'expired', ended_at = now(), next_try_at = null, waits_for = '',
                                       error = 'it was not sent in time' where x.command_id = c.command_id;
                                perform mdm.command_tell(c.command_id);
                                continue;
                        elsif o.why is not null and o.ends then
                                update mdm.command x set state = 'failed', ended_at = now(), next_try_at = null, waits_for = '',
                                       error = o.why where x.command_id = c.command_id;
                                perform mdm.command_tell(c.command_id);
                                continue;
                        elsif o.why is not null then
                                update mdm.command x set waits_for = o.why, next_try_at = now() + interval '5 minutes'
                                where x.command_id = c.command_id;
                                continue;
                        end if;
                end if;
                if exists (select from mdm.firmware_campaign p where p.campaign_id = c.campaign_id and p.state <> 'running') then
                        update mdm.command x set waits_for = 'its campaign does not run', next_try_at = now() + interval '10 minutes'
                        where x.command_id = c.command_id;
                        continue;
                end if;
                update mdm.command_attempt a set ended_at = now(), outcome = 'lost', detail = 'no end of it was recorded'
                where a.command_id = c.command_id and a.ended_at is null;
                update mdm.command x set state = 'sent', sent_at = coalesce(x.sent_at, now()), attempts = x.attempts + 1,
                       waits_for = '', next_try_at = now() + interval '10 minutes'
                where x.command_id = c.command_id;
                insert into mdm.command_attempt (command_id, n, holder, sent_before)
                values (c.command_id, c.attempts + 1, holder_, c.state = 'sent');
                return query select c.command_id, c.kind, c.attempts + 1, c.state = 'sent', verify_only,
                       c.params, c.progress, mdm.window_wait(c), (select k.capped from mdm.command_kind k where k.kind = c.kind);
                return;
        end loop;
end $$;

-- Undoes a claim within its transaction: it has to wait.
create function mdm.command_put_back(id bigint, nr int, why text, wait_s int) returns void language sql as $$
        delete from mdm.command_attempt where command_id = id and n = nr;
        update mdm.command set state = 'approved', sent_at = null, attempts = attempts - 1, waits_for = why,
               next_try_at = now() + make_interval(secs => wait_s)
        where command_id = id;
$$;

-- What died with a daemon of this name is looked at again at once: by asking the meters.
create function mdm.command_recover(holder_ text) returns int language sql as $$
        with lost as (
                update mdm.command_attempt a set ended_at = now(), outcome = 'lost', detail = 'the daemon ended in the middle of it'
                where a.holder = holder_ and a.ended_at is null returning a.command_id
        ), again as (
                update mdm.command c set next_try_at = now() from lost l
                where c.command_id = l.command_id and c.state = 'sent' returning 1
        )
        select count(*)::int from again
$$;

-- Requests nobody released in time, and those sent to meters that could not be asked for a day after their end.
create function mdm.command_sweep() returns int language plpgsql as $$
declare
        c record;
        n int := 0;
begin
        for c in select command_id, state from mdm.command x
                where (x.state in ('requested', 'approved') and x.expires_at <= now())
                   or (x.state = 'sent' and x.expires_at + interval '1 day' <= now()
                       and not exists (select from mdm.command_attempt a where a.command_id = x.command_id and a.ended_at is null))
                order by x.command_id limit 100 for update skip locked
        loop
                update mdm.command x set state = case when c.state = 'sent' then 'failed' else 'expired' end,
                       ended_at = now(), next_try_at = null, waits_for = '',
                       error = case c.state when 'sent' then 'it was sent, and the meter could not be asked since: look at the meter'
                               when 'approved' then 'it was not sent in time' else 'nobody released it in time' end
                where x.command_id = c.command_id;
                perform mdm.command_tell(c.command_id);
                n := n + 1;
        end loop;
        return n;
end $$;
