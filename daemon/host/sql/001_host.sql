-- Who may do what, what was done, what is to be told, and what is still running.

-- A permission is "area.verb"; "area.*" and "*" stand for all below.
create table core.role (
        role        text primary key check (role ~ '^[a-z][a-z0-9_]{1,31}$'),
        permissions text[] not null,
        summary     text not null default ''
);
insert into core.role (role, permissions, summary) values
        ('admin',      '{*}', 'Everything'),
        ('clerk',      '{search.read,customer.*,contract.*,account.*,premise.*,request.*,bill.*,invoice.*,'
                       'payment.*,ledger.read,tariff.read,run.read,run.write,run.issue,vee.read,vee.write,'
                       'meter.read,branch.read,job.read,event.read,status.read}',
                       'Customers, requests, bill runs, invoices and payments; approves nothing of its own'),
        ('approver',   '{search.read,customer.read,bill.read,invoice.read,payment.read,ledger.read,tariff.*,'
                       'run.read,run.approve,vee.read,branch.read,job.read,event.read,status.read}',
                       'The second person: releases bill runs and tariffs'),
        ('operator',   '{search.read,meter.*,sweep.*,job.*,quarantine.*,seal.*,completeness.read,unread.read,'
                       'branch.read,event.*,status.read}',
                       'Network operations: meters, sweeps, quarantine'),
        ('technician', '{search.read,meter.read,meter.demand,unread.read,request.*,branch.read,event.read}',
                       'Field work: reads meters, answers requests');

create table core.login (
        user_id    int generated always as identity primary key,
        login      text not null,
        name       text not null default '',
        password   text,                                 -- argon2id, encoded; null: tokens only
        active     boolean not null default true,
        created_at timestamptz not null default now(),
        constraint login_unique unique (login),
        constraint login_form check (login ~ '^[a-z][a-z0-9._@-]{1,63}$')
);
comment on constraint login_unique on core.login is 'This login is taken; choose another';
comment on constraint login_form on core.login is
        'A login begins with a letter and has 2 to 64 lower-case letters, digits, dots, dashes';

-- A role in one branch, or in all (branch_id null).
create table core.login_role (
        user_id   int not null references core.login on delete cascade,
        role      text not null,
        branch_id smallint,
        constraint login_role_role foreign key (role) references core.role,
        constraint login_role_branch foreign key (branch_id) references core.branch
);
create unique index on core.login_role (user_id, role, coalesce(branch_id, -1));
comment on constraint login_role_role on core.login_role is 'There is no such role';
comment on constraint login_role_branch on core.login_role is 'There is no such branch';

-- Sessions and API tokens: 256 random bits, of which only the SHA-256 is kept.
create table core.token (
        token_id    int generated always as identity primary key,
        user_id     int not null references core.login on delete cascade,
        kind        text not null check (kind in ('session', 'api')),
        hash        bytea not null unique check (length(hash) = 32),
        name        text not null default '',
        permissions text[],                              -- narrows the login's own; null: all of them
        created_at  timestamptz not null default now(),
        expires_at  timestamptz not null,
        revoked_at  timestamptz
);
create index on core.token (user_id);

-- True when every branch of @scope ('*' or '{1,2}') is in the caller's.
create function core.scope_within(scope text) returns boolean
language sql stable parallel safe as $$
        select case coalesce(current_setting('headrace.branches', true), '')
               when '*' then true
               when '' then false
               else scope <> '*' and
                    scope::smallint[] <@ current_setting('headrace.branches', true)::smallint[]
               end
$$;

-- Ends of the audit chain and of the outbox. Whoever appends locks this row until its commit, so
-- that numbers become visible in their order and a reader's cursor never passes one by.
create table core.log_head (
        one        boolean primary key default true check (one),
        audit_seq  bigint not null,
        audit_hash bytea not null,
        event_id   bigint not null
);
insert into core.log_head (audit_seq, audit_hash, event_id) values (0, sha256('headrace audit'), 0);

create table core.audit (
        seq        bigint primary key,
        at         timestamptz not null,
        actor      text not null,
        what       text not null,                        -- operation, or what a plugin calls it
        object     text not null default '',
        scope      text not null,                        -- branches of the actor: '*' or '{1,2}'
        params     jsonb not null default '{}',          -- secrets masked, long ones as a digest
        request_id text not null default '',
        peer       text not null default '',
        hash       bytea not null                        -- SHA-256 over the hash before and this row
);
create index on core.audit (at);
create index on core.audit (object) where object <> '';
alter table core.audit enable row level security;
alter table core.audit force row level security;
create policy audit_read on core.audit for select using (core.scope_within(scope));
create policy audit_append on core.audit for insert with check (true);

create function core.audit_refuse() returns trigger language plpgsql as $$
begin
        raise exception 'the audit trail is append-only' using errcode = 'HR001';
end $$;
create trigger audit_append_only before update or delete or truncate on core.audit
        for each statement execute function core.audit_refuse();

create function core.audit_digest(before bytea, a core.audit) returns bytea
language sql immutable as $$
        select sha256(before || convert_to(jsonb_build_array(a.seq,
                       to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.actor, a.what,
                       a.object, a.scope, a.params, a.request_id, a.peer)::text, 'UTF8'))
$$;

-- First row that does not follow from the one before it, with the reason; no row: all is well.
create function core.audit_verify() returns table (seq bigint, reason text)
language plpgsql stable as $$
declare
        a core.audit;
        before bytea := sha256('headrace audit');
        expected bigint := 1;
        head core.log_head;
begin
        for a in select * from core.audit order by core.audit.seq loop
                if a.seq <> expected then
                        return query select expected, 'row is missing';
                        return;
                end if;
                if a.hash <> core.audit_digest(before, a) then
                        return query select a.seq, 'row or the one before it was changed';
                        return;
                end if;
                before := a.hash;
                expected := expected + 1;
        end loop;
        select * into head from core.log_head;
        if head.audit_seq <> expected - 1 or head.audit_hash <> before then
                return query select expected, 'rows at the end are missing';
        end if;
end $$;

-- The outbox. Ids grow in the order of commits, without gaps.
create table core.event (
        event_id  bigint primary key,
        at        timestamptz not null default clock_timestamp(),
        type      text not null,
        key       text not null default '',
        branch_id smallint,                              -- null: for those who see every branch
        body      jsonb not null
);
create index on core.event (at);
alter table core.event enable row level security;
alter table core.event force row level security;
create policy event_branch on core.event using
        (current_setting('headrace.branches', true) = '*' or core.branch_allowed(branch_id))
        with check (true);

-- How far each plugin has been told.
create table core.event_cursor (
        plugin       text primary key,
        event_id     bigint not null,
        failures     int not null default 0,
        error        text not null default '',
        next_try     timestamptz not null default now(),
        suspended_at timestamptz
);

-- Appends audit rows and events at the end of a transaction; the branch of an event is named in its
-- body (branch_id, or branch = its code), or is the only one in the caller's scope.
create function core.log_append(audits jsonb, events jsonb) returns void
language plpgsql as $$
declare
        head core.log_head;
        item jsonb;
        entry core.audit;
        scope text := coalesce(current_setting('headrace.branches', true), '');
        only_branch smallint;
begin
        if jsonb_array_length(audits) + jsonb_array_length(events) = 0 then
                return;
        end if;
        if scope like '{%' and cardinality(scope::smallint[]) = 1 then
                only_branch := (scope::smallint[])[1];
        end if;
        select * into head from core.log_head for update;
        for item in select * from jsonb_array_elements(audits) loop
                head.audit_seq := head.audit_seq + 1;
                entry.seq := head.audit_seq;
                entry.at := clock_timestamp();
                entry.actor := item->>'actor';
                entry.what := item->>'what';
                entry.object := coalesce(item->>'object', '');
                entry.scope := scope;
                entry.params := coalesce(item->'params', '{}');
                entry.request_id := coalesce(item->>'request_id', '');
                entry.peer := coalesce(item->>'peer', '');
                entry.hash := core.audit_digest(head.audit_hash, entry);
                head.audit_hash := entry.hash;
                insert into core.audit values (entry.*);
        end loop;
        for item in select * from jsonb_array_elements(events) loop
                head.event_id := head.event_id + 1;
                insert into core.event (event_id, type, key, branch_id, body) values
                        (head.event_id, item->>'type', coalesce(item->>'key', ''),
                         case when item->'body'->>'branch_id' ~ '^[0-9]{1,4}$'
                              then (item->'body'->>'branch_id')::smallint
                              else coalesce((select b.branch_id from core.branch b
                                             where b.code = item->'body'->>'branch'), only_branch)
                         end, item->'body');
        end loop;
        update core.log_head set audit_seq = head.audit_seq, audit_hash = head.audit_hash,
               event_id = head.event_id;
end $$;

-- For parts that write SQL of their own: one event, as late in the transaction as possible (every
-- other writer waits for its commit).
create function core.publish(type text, key text, body jsonb) returns void
language sql as $$
        select core.log_append('[]', jsonb_build_array(
               jsonb_build_object('type', type, 'key', key, 'body', body)))
$$;

-- The answer to a request already done, kept for the client that asks again.
create table core.idempotency (
        actor        text not null,
        key          text not null,
        operation    text not null,
        request_hash bytea not null,
        status       int,
        content_type text,
        file_name    text,
        reply        bytea,
        created_at   timestamptz not null default now(),
        primary key (actor, key)
);
create index on core.idempotency (created_at);

create table core.job (
        job_id      bigint generated always as identity primary key,
        type        text not null,
        scope       text not null,                       -- branches of whoever submitted it
        actor       text not null,
        params      jsonb not null,
        state       jsonb not null default '{}',         -- the plugin's own
        status      text not null default 'queued'
                    check (status in ('queued', 'running', 'done', 'failed', 'cancelled')),
        done        bigint not null default 0,
        total       bigint not null default 0,
        cancel      boolean not null default false,
        attempts    int not null default 0,              -- since the last progress
        epoch       int not null default 0,              -- grows with every lease; fences off older holders
        lease_owner text,
        lease_until timestamptz,
        run_after   timestamptz not null default now(),
        error       text not null default '',
        result      jsonb,
        created_at  timestamptz not null default now(),
        started_at  timestamptz,
        changed_at  timestamptz not null default now(),
        ended_at    timestamptz
);
create index on core.job (run_after) where status in ('queued', 'running');
alter table core.job enable row level security;
alter table core.job force row level security;
create policy job_scope on core.job using (core.scope_within(scope));
