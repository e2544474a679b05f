-- Tariffs: a code, its versions, and the days each was or will be valid. What a version says is one
-- JSON document (schema headrace-tariff-v1) that never changes once it left the draft state.
create schema billing;

-- Public holidays, as data: tariff documents name a calendar, its days are put into the document
-- when it is taken in.
create table billing.holiday (
        calendar text not null check (calendar ~ '^[A-Z0-9-]{2,20}$'),
        day      date not null,
        name     text not null default '',
        primary key (calendar, day)
);

create table billing.tariff (
        code      text primary key check (code ~ '^[A-Z0-9][A-Z0-9._-]{0,39}$'),
        branch_id smallint references core.branch,       -- null: every branch may use it
        name      text not null,
        commodity text not null check (commodity in ('electricity', 'water', 'gas', 'heat', 'any')),
        currency  text not null check (currency ~ '^[A-Z]{3}$'),
        created_at timestamptz not null default now()
);

create table billing.tariff_version (
        code      text not null references billing.tariff,
        version   int not null check (version > 0),
        valid     daterange not null check (not isempty(valid) and lower_inc(valid)), -- local days
        state     text not null default 'draft'
                  check (state in ('draft', 'test', 'approved', 'active', 'retired')),
        document  jsonb not null,
        document_text text not null,                     -- the bytes that are rated and hashed
        hash      bytea not null check (length(hash) = 32),
        created_by text not null,
        created_at timestamptz not null default now(),
        activated_by text,
        activated_at timestamptz,
        primary key (code, version),
        constraint tariff_version_valid exclude using gist (code with =, valid with &&) where (state = 'active')
);
comment on constraint tariff_version_valid on billing.tariff_version is
        'Two versions of a tariff cannot be in force on the same day; choose another first day';

-- draft -> test -> approved -> active -> retired; steps may be left out, never taken back.
create function billing.tariff_version_guard() returns trigger language plpgsql as $$
declare
        steps constant text[] := array['draft', 'test', 'approved', 'active', 'retired'];
begin
        if tg_op = 'DELETE' then
                if old.state <> 'draft' then
                        raise exception 'Version % of tariff % is %; only a draft can be deleted', old.version, old.code,
                              old.state using errcode = 'HR001';
                end if;
                return old;
        end if;
        if array_position(steps, new.state) < array_position(steps, old.state) then
                raise exception 'Version % of tariff % is % and cannot become % again; create a new version', old.version,
                      old.code, old.state, new.state using errcode = 'HR001';
        end if;
        if old.state <> 'draft' and (new.document_text, new.hash, new.document) is distinct from
                                    (old.document_text, old.hash, old.document) then
                raise exception 'Version % of tariff % is % and cannot be changed; create a new version', old.version,
                      old.code, old.state using errcode = 'HR001';
        end if;
        -- The days of a version in force can only end earlier.
        if old.state in ('active', 'retired') and not (new.valid <@ old.valid and lower(new.valid) = lower(old.valid)) then
                raise exception 'Version % of tariff % is in force from %; only its end can be moved closer', old.version,
                      old.code, lower(old.valid) using errcode = 'HR001';
        end if;
        if (new.code, new.version) is distinct from (old.code, old.version) then
                raise exception 'A tariff version keeps its code and number' using errcode = 'HR001';
        end if;
        return new;
end $$;
create trigger guard before update or delete on billing.tariff_version
        for each row execute function billing.tariff_version_guard();

-- A tariff without branch is seen by all who see any branch.
create function billing.tariff_visible(b smallint) returns boolean language sql stable parallel safe as $$
        select case when b is null then coalesce(current_setting('headrace.branches', true), '') <> ''
                    else core.branch_allowed(b) end
$$;
alter table billing.tariff enable row level security;
alter table billing.tariff force row level security;
create policy branch on billing.tariff using (billing.tariff_visible(branch_id));
alter table billing.tariff_version enable row level security;
alter table billing.tariff_version force row level security;
create policy branch on billing.tariff_version using
        (exists (select from billing.tariff t where t.code = tariff_version.code));
