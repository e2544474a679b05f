-- Search, versions, numbering and bulk loading of the customer tables.
--
-- Search has index tables of its own because PostgreSQL will not use an index for LIKE or @@ on a
-- table under row-level security (the operators might leak rows the policy hides). They hold keys
-- and words only and are filtered by branch in the query; everything a person gets to see is read
-- from the protected tables by primary key.
create extension if not exists unaccent;
create extension if not exists fuzzystrmatch;

-- Back-filling below must see every branch.
select set_config('headrace.branches', '*', true);

alter table crm.party add column code text;
alter table crm.premise add column code text;
create unique index party_code on crm.party (branch_id, code) where code is not null;
create unique index premise_code on crm.premise (branch_id, code) where code is not null;

-- Lower case without accents: "Nguyễn Văn Đức" -> "nguyen van duc". Pinned to one dictionary, so
-- that it may be called immutable.
create function crm.fold(t text) returns text
language sql immutable parallel safe strict as $$
        select lower(public.unaccent('public.unaccent'::regdictionary, normalize(t, NFKC)))
$$;

create function crm.words_of(t text) returns text[]
language sql immutable parallel safe strict as $$
        select array_remove(regexp_split_to_array(crm.fold(t), '[^[:alnum:]]+'), '')
$$;

-- Numbers as people type them: no blanks, dots, dashes or case.
create function crm.key_of(t text) returns text
language sql immutable parallel safe strict as $$
        select regexp_replace(crm.fold(t), '[^a-z0-9]', '', 'g')
$$;

create table crm.search_key (
        kind      text not null check (kind in ('phone', 'tax_id', 'account', 'contract', 'service_point', 'meter')),
        id        bigint not null,                    -- party, party, account, contract, service point, meter
        branch_id smallint not null,
        key       text collate "C" not null,
        primary key (kind, id)
);
create index search_key_key on crm.search_key (key) include (kind, id, branch_id);
create index search_key_reverse on crm.search_key ((reverse(key)) collate "C") include (kind, id, branch_id);

create table crm.search_text (
        kind      text not null check (kind in ('party', 'premise')),
        id        bigint not null,
        branch_id smallint not null,
        words     tsvector not null,
        primary key (kind, id)
);
create index on crm.search_text using gin (words);

-- Every word in use, so that a typing error can be led back to what it was meant to be.
create table crm.search_word (
        branch_id smallint not null,
        word      text collate "C" not null,
        primary key (branch_id, word)
);

-- In plpgsql because its plans are kept; these run once a row in bulk loads.
create function crm.put_key(p_kind text, p_id bigint, p_branch smallint, p_text text) returns void
language plpgsql as $$
declare k text := coalesce(crm.key_of(p_text), '');
begin
        if k = '' then
                delete from crm.search_key where kind = p_kind and id = p_id;
                return;
        end if;
        insert into crm.search_key (kind, id, branch_id, key) values (p_kind, p_id, p_branch, k)
        on conflict (kind, id) do update set branch_id = excluded.branch_id, key = excluded.key;
end $$;

create function crm.put_text(p_kind text, p_id bigint, p_branch smallint, p_text text) returns void
language plpgsql as $$
declare w text[] := crm.words_of(p_text);
begin
        insert into crm.search_text (kind, id, branch_id, words) values (p_kind, p_id, p_branch, array_to_tsvector(w))
        on conflict (kind, id) do update set branch_id = excluded.branch_id, words = excluded.words;
        insert into crm.search_word (branch_id, word)
        select p_branch, u from unnest(w) u where u !~ '^[0-9]+$' and length(u) <= 60
        and not exists (select from crm.search_word s where s.branch_id = p_branch and s.word = u)
        group by u order by u
        on conflict do nothing;
end $$;

create function crm.index_party() returns trigger language plpgsql as $$
begin
        perform crm.put_key('phone', new.party_id, new.branch_id, new.phone);
        perform crm.put_key('tax_id', new.party_id, new.branch_id, new.tax_id);
        perform crm.put_text('party', new.party_id, new.branch_id, new.name);
        return null;
end $$;
create function crm.index_premise() returns trigger language plpgsql as $$
begin
        perform crm.put_text('premise', new.premise_id, new.branch_id,
                             concat_ws(' ', new.address, new.city, new.postcode));
        return null;
end $$;
create function crm.index_account() returns trigger language plpgsql as $$
begin
        perform crm.put_key('account', new.account_id, new.branch_id, new.number);
        return null;
end $$;
create function crm.index_contract() returns trigger language plpgsql as $$
begin
        perform crm.put_key('contract', new.contract_id, new.branch_id, new.number);
        return null;
end $$;
create function crm.index_service_point() returns trigger language plpgsql as $$
begin
        perform crm.put_key('service_point', new.service_point_id, new.branch_id, new.code);
        return null;
end $$;
create function crm.index_meter() returns trigger language plpgsql as $$
begin
        perform crm.put_key('meter', new.meter_id, new.branch_id, new.serial);
        return null;
end $$;

create trigger search after insert or update of branch_id, name, phone, tax_id on crm.party
        for each row execute function crm.index_party();
create trigger search after insert or update of branch_id, address, city, postcode on crm.premise
        for each row execute function crm.index_premise();
create trigger search after insert or update of branch_id, number on crm.account
        for each row execute function crm.index_account();
create trigger search after insert or update of branch_id, number on crm.contract
        for each row execute function crm.index_contract();
create trigger search after insert or update of branch_id, code on crm.service_point
        for each row execute function crm.index_service_point();
create trigger search after insert or update of branch_id, serial on mdm.meter
        for each row execute function crm.index_meter();

-- Meters may have been registered before this plugin was there.
select count(crm.put_key('meter', meter_id, branch_id, serial)) from mdm.meter;

-- ---- versions: every change of the customer master keeps the values before it, who and when ----
create table crm.party_version (
        party_id   bigint not null references crm.party,
        version    int not null,
        branch_id  smallint not null references core.branch,
        until      timestamptz not null default clock_timestamp(), -- these values were in force before it
        actor      text not null,
        reason     text not null default '',
        was        jsonb not null,
        primary key (party_id, version)
);
alter table crm.party_version enable row level security;
alter table crm.party_version force row level security;
create policy branch on crm.party_version using (core.branch_allowed(branch_id));

create function crm.refuse_change() returns trigger language plpgsql as $$
begin
        raise exception using errcode = 'HR001', message = 'Kept versions cannot be changed or removed';
end $$;
create trigger keep before update or delete on crm.party_version
        for each row execute function crm.refuse_change();

-- ---- numbering ----
create table crm.number_series (
        branch_id smallint not null references core.branch,
        kind      text not null,
        last      bigint not null,
        primary key (branch_id, kind)
);

-- The next number of a series: "HN-A0000123".
create function crm.next_number(p_branch smallint, p_kind text, p_mark text) returns text
language sql as $$
        insert into crm.number_series as s (branch_id, kind, last) values (p_branch, p_kind, 1)
        on conflict (branch_id, kind) do update set last = s.last + 1
        returning (select code from core.branch b where b.branch_id = p_branch) || '-' || p_mark ||
                  lpad(last::text, 7, '0')
$$;

create function crm.new_account_number(p_branch smallint) returns text language plpgsql as $$
declare n text;
begin
        loop -- a bulk load may have brought numbers of the same form
                n := crm.next_number(p_branch, 'account', 'A');
                exit when not exists (select from crm.search_key where kind = 'account' and key = crm.key_of(n));
        end loop;
        return n;
end $$;

create function crm.new_contract_number(p_branch smallint) returns text language plpgsql as $$
declare n text;
begin
        loop
                n := crm.next_number(p_branch, 'contract', 'C');
                exit when not exists (select from crm.search_key where kind = 'contract' and key = crm.key_of(n));
        end loop;
        return n;
end $$;

-- What a person reads when one of these rules refuses something.
comment on constraint contract_service_point_id_valid_excl on crm.contract is
        'The service point already has a contract in part of this period; close that one first';
comment on constraint installation_meter_id_valid_excl on crm.installation is
        'The meter is already installed somewhere in part of this period';
comment on constraint installation_service_point_id_valid_excl on crm.installation is
        'The service point already has a meter in part of this period; use a meter exchange';
comment on constraint account_number_key on crm.account is 'This account number is already in use';
comment on constraint contract_number_key on crm.contract is 'This contract number is already in use';
comment on constraint service_point_code_key on crm.service_point is 'This service point code is already in use';
comment on index crm.party_branch_id_tax_id_idx is 'Another customer of this branch has the same tax number';

-- Who is supplied at a point today; the last one where nobody is.
create function crm.supplied_party(p_point bigint) returns table (party_id bigint, name text, phone text)
language sql stable as $$
        select p.party_id, p.name, p.phone
        from crm.contract c join crm.account a using (account_id) join crm.party p using (party_id)
        where c.service_point_id = p_point
        order by upper(c.valid) desc nulls first, lower(c.valid) desc limit 1
$$;
