-- Who is supplied where, by which device, under which contract. Validity is a half-open range of
-- instants or days; overlaps are refused by the database.
create extension if not exists btree_gist;
create extension if not exists pg_trgm;
create schema crm;

create table crm.party (
        party_id   bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        kind       text not null check (kind in ('person', 'company')),
        name       text not null check (name <> ''),
        tax_id     text,
        phone      text,                                  -- digits with country code, no blanks
        email      text,
        language   text not null default 'en',
        created_at timestamptz not null default now()
);
create index on crm.party using gin (name gin_trgm_ops);
create index on crm.party (reverse(phone) text_pattern_ops); -- "the last six digits"
create unique index on crm.party (branch_id, tax_id) where tax_id is not null;

create table crm.account (
        account_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        number     text not null unique,
        party_id   bigint not null references crm.party,
        status     text not null default 'open' check (status in ('open', 'closed')),
        created_at timestamptz not null default now()
);

create table crm.premise (
        premise_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        address    text not null,
        city       text not null default '',
        postcode   text not null default '',
        lat double precision, lon double precision
);
create index on crm.premise using gin (address gin_trgm_ops);

create table crm.service_point (
        service_point_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        premise_id bigint not null references crm.premise,
        code       text not null unique,                 -- the network's number of the point (EAN, MPAN ...)
        commodity  text not null check (commodity in ('electricity', 'water', 'gas', 'heat')),
        state      text not null default 'connected' check (state in ('planned', 'connected', 'cut', 'removed')),
        households smallint not null default 1 check (households > 0),
        contract_kw numeric(12,3)
);

-- Which device measured at which point, when, and with which transformer factor. A meter
-- exchange is the end of one row and the begin of the next.
create table crm.installation (
        installation_id  bigint generated always as identity primary key,
        service_point_id bigint not null references crm.service_point,
        meter_id         int not null references mdm.meter,
        valid            tstzrange not null check (not isempty(valid) and lower_inc(valid)),
        multiplier       numeric(12,4) not null default 1 check (multiplier > 0),
        start_read       jsonb not null default '{}',     -- channel code -> register value in the channel's unit
        end_read         jsonb,
        exclude using gist (meter_id with =, valid with &&),
        exclude using gist (service_point_id with =, valid with &&)
);

create table crm.contract (
        contract_id bigint generated always as identity primary key,
        branch_id   smallint not null references core.branch,
        number      text not null unique,
        account_id  bigint not null references crm.account,
        service_point_id bigint not null references crm.service_point,
        tariff      text not null,                        -- code of a tariff; its version follows from the date
        class       text not null default 'residential',
        cycle       text not null default 'monthly',
        valid       daterange not null check (not isempty(valid) and lower_inc(valid)), -- local days
        params      jsonb not null default '{}',          -- what the tariff asks for: contract_kw, households ...
        exclude using gist (service_point_id with =, valid with &&)
);
create index on crm.contract (account_id);
create index on crm.installation (service_point_id);
create index on crm.service_point (premise_id);
create index on crm.account (party_id);

do $$
declare t text;
begin
        foreach t in array array['party', 'account', 'premise', 'service_point', 'contract'] loop
                execute format('alter table crm.%I enable row level security', t);
                execute format('alter table crm.%I force row level security', t);
                execute format('create policy branch on crm.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;
alter table crm.installation enable row level security;
alter table crm.installation force row level security;
create policy branch on crm.installation using
        (exists (select from crm.service_point s where s.service_point_id = installation.service_point_id));
