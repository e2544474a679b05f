-- Bulk loading of the customer tables from one document. Each item is its own subtransaction: a
-- refused one is named with its reason and costs only itself. Items already there with the same
-- number or code are left as they are ("same"), so a document may be loaded any number of times.

create function crm.refuse(what text) returns void language plpgsql as $$
begin
        raise exception using errcode = 'HR001', message = what;
end $$;

create function crm.item_text(item jsonb, key text) returns text language plpgsql immutable as $$
begin
        if coalesce(btrim(item ->> key), '') = '' then
                raise exception using errcode = 'HR001', message = format('"%s" is missing', key);
        end if;
        return btrim(item ->> key);
end $$;

create function crm.branch_id_of(p_code text) returns smallint language plpgsql stable as $$
declare b smallint;
begin
        select branch_id into b from core.branch where code = p_code and core.branch_allowed(branch_id);
        if b is null then
                perform crm.refuse(format('branch %s is not known, or not yours', coalesce(p_code, '(none given)')));
        end if;
        return b;
end $$;

create function crm.import_party(b smallint, item jsonb) returns boolean language plpgsql as $$
begin
        if exists (select from crm.party where branch_id = b and code = crm.item_text(item, 'code')) then
                return false;
        end if;
        insert into crm.party (branch_id, code, kind, name, tax_id, phone, email, language)
        values (b, crm.item_text(item, 'code'), coalesce(item ->> 'kind', 'person'), crm.item_text(item, 'name'),
                nullif(btrim(item ->> 'tax_id'), ''),
                nullif(regexp_replace(coalesce(item ->> 'phone', ''), '[^0-9]', '', 'g'), ''),
                nullif(btrim(item ->> 'email'), ''),
                coalesce(item ->> 'language', (select language from core.branch where branch_id = b)));
        return true;
end $$;

create function crm.import_account(b smallint, item jsonb) returns boolean language plpgsql as $$
declare p bigint;
begin
        if exists (select from crm.account where number = crm.item_text(item, 'number')) then
                return false;
        end if;
        select party_id into p from crm.party where branch_id = b and code = crm.item_text(item, 'party');
        if p is null then
                perform crm.refuse(format('party %s is not known', item ->> 'party'));
        end if;
        insert into crm.account (branch_id, number, party_id) values (b, crm.item_text(item, 'number'), p);
        return true;
end $$;

create function crm.import_premise(b smallint, item jsonb) returns boolean language plpgsql as $$
begin
        if exists (select from crm.premise where branch_id = b and code = crm.item_text(item, 'code')) then
                return false;
        end if;
        insert into crm.premise (branch_id, code, address, city, postcode, lat, lon)
        values (b, crm.item_text(item, 'code'), crm.item_text(item, 'address'), coalesce(item ->> 'city', ''),
                coalesce(item ->> 'postcode', ''), (item ->> 'lat')::float8, (item ->> 'lon')::float8);
        return true;
end $$;

create function crm.import_service_point(b smallint, item jsonb) returns boolean language plpgsql as $$
declare p bigint;
begin
        if exists (select from crm.service_point where code = crm.item_text(item, 'code')) then
                return false;
        end if;
        select premise_id into p from crm.premise where branch_id = b and code = crm.item_text(item, 'premise');
        if p is null then
                perform crm.refuse(format('premise %s is not known', item ->> 'premise'));
        end if;
        insert into crm.service_point (branch_id, premise_id, code, commodity, state, households, contract_kw)
        values (b, p, crm.item_text(item, 'code'), crm.item_text(item, 'commodity'),
                coalesce(item ->> 'state', 'connected'), coalesce((item ->> 'households')::smallint, 1),
                (item ->> 'contract_kw')::numeric);
        return true;
end $$;

-- The meter of a serial number; a maker is needed only where two makers share the serial.
create function crm.meter_of(b smallint, p_serial text, p_maker text) returns int language plpgsql stable as $$
declare ids int[];
begin
        select array_agg(meter_id) into ids from mdm.meter
        where branch_id = b and serial = p_serial and maker = coalesce(p_maker, maker);
        if ids is null then
                perform crm.refuse(format('meter %s is not registered in this branch', p_serial));
        elsif cardinality(ids) > 1 then
                perform crm.refuse(format('serial %s exists from several makers; name the "maker"', p_serial));
        end if;
        return ids[1];
end $$;

create function crm.import_installation(b smallint, item jsonb) returns boolean language plpgsql as $$
declare
        p record;
        m int;
        begin_at timestamptz := crm.item_text(item, 'from')::timestamptz;
begin
        select service_point_id, commodity into p from crm.service_point
        where branch_id = b and code = crm.item_text(item, 'service_point');
        if p.service_point_id is null then
                perform crm.refuse(format('service point %s is not known', item ->> 'service_point'));
        end if;
        m := crm.meter_of(b, crm.item_text(item, 'meter'), item ->> 'maker');
        if exists (select from crm.installation where service_point_id = p.service_point_id and meter_id = m
                                                      and lower(valid) = begin_at) then
                return false;
        end if;
        if (select commodity from mdm.meter where meter_id = m) <> p.commodity then
                perform crm.refuse(format('meter %s does not measure %s', item ->> 'meter', p.commodity));
        end if;
        insert into crm.installation (service_point_id, meter_id, valid, multiplier, start_read)
        values (p.service_point_id, m, tstzrange(begin_at, (item ->> 'to')::timestamptz),
                coalesce((item ->> 'multiplier')::numeric, 1), coalesce(item -> 'start_read', '{}'));
        return true;
end $$;

create function crm.import_contract(b smallint, item jsonb) returns boolean language plpgsql as $$
declare
        a bigint;
        p bigint;
begin
        if exists (select from crm.contract where number = crm.item_text(item, 'number')) then
                return false;
        end if;
        select account_id into a from crm.account where branch_id = b and number = crm.item_text(item, 'account');
        if a is null then
                perform crm.refuse(format('account %s is not known', item ->> 'account'));
        end if;
        select service_point_id into p from crm.service_point
        where branch_id = b and code = crm.item_text(item, 'service_point');
        if p is null then
                perform crm.refuse(format('service point %s is not known', item ->> 'service_point'));
        end if;
        insert into crm.contract (branch_id, number, account_id, service_point_id, tariff, class, cycle, valid, params)
        values (b, crm.item_text(item, 'number'), a, p, crm.item_text(item, 'tariff'),
                coalesce(item ->> 'class', 'residential'), coalesce(item ->> 'cycle', 'monthly'),
                daterange(crm.item_text(item, 'from')::date, (item ->> 'to')::date),
                coalesce(item -> 'params', '{}'));
        return true;
end $$;

create function crm.import_item(p_list text, b smallint, item jsonb) returns boolean language plpgsql as $$
begin
        return case p_list
                when 'parties' then crm.import_party(b, item)
                when 'accounts' then crm.import_account(b, item)
                when 'premises' then crm.import_premise(b, item)
                when 'service_points' then crm.import_service_point(b, item)
                when 'installations' then crm.import_installation(b, item)
                when 'contracts' then crm.import_contract(b, item)
        end;
end $$;

-- The text for people of the rule that refused a row; the server's own words where there is none.
create function crm.rule_text(p_schema text, p_table text, p_name text, p_message text) returns text
language sql stable as $$
        select coalesce(
                (select obj_description(c.oid, 'pg_constraint') from pg_constraint c
                 where c.conname = p_name and c.conrelid = to_regclass(format('%I.%I', p_schema, p_table))),
                (select obj_description(to_regclass(format('%I.%I', p_schema, p_name)), 'pg_class')),
                p_message)
$$;

-- { "parties": { "new": 2, "same": 0, "refused": 1 }, ..., "refused": [ { "list", "item", "reason" } ] }
create function crm.import_document(doc jsonb) returns jsonb language plpgsql as $$
declare
        list text;
        item jsonb;
        nth int;
        made int;
        same int;
        bad int;
        answer jsonb := '{}';
        refused jsonb := '[]';
        c_schema text; c_table text; c_name text; reason text;
begin
        foreach list in array array['parties', 'accounts', 'premises', 'service_points', 'installations',
                                    'contracts'] loop
                made := 0; same := 0; bad := 0; nth := 0;
                if jsonb_typeof(doc -> list) not in ('array', 'null') then
                        perform crm.refuse(format('"%s" must be a list', list));
                end if;
                for item in select e from jsonb_array_elements(
                                case jsonb_typeof(doc -> list) when 'array' then doc -> list else '[]' end) e loop
                        nth := nth + 1;
                        begin
                                if jsonb_typeof(item) <> 'object' then
                                        perform crm.refuse('an object is expected');
                                end if;
                                if crm.import_item(list, crm.branch_id_of(coalesce(item ->> 'branch', doc ->> 'branch')),
                                                   item) then
                                        made := made + 1;
                                else
                                        same := same + 1;
                                end if;
                        exception
                                -- Class 40: the whole transaction must be tried again by the host.
                                when serialization_failure or deadlock_detected then raise;
                                when others then
                                        get stacked diagnostics c_schema = schema_name, c_table = table_name,
                                                c_name = constraint_name, reason = message_text;
                                        bad := bad + 1;
                                        if bad <= 1000 then
                                                refused := refused || jsonb_build_array(jsonb_build_object(
                                                        'list', list, 'number', nth,
                                                        'item', coalesce(item ->> 'code', item ->> 'number',
                                                                case when item ? 'meter' then concat_ws(' at ', item ->> 'meter',
                                                                        item ->> 'service_point') end, ''),
                                                        'reason', crm.rule_text(c_schema, c_table, c_name, reason)));
                                        end if;
                        end;
                end loop;
                answer := answer || jsonb_build_object(list,
                        jsonb_build_object('new', made, 'same', same, 'refused', bad));
        end loop;
        return answer || jsonb_build_object('refused', refused);
end $$;
