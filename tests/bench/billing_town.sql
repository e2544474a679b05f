-- Who is billed, for the bench: :n accounts in branch HN, by account number modulo 20
--   0-11  TOU     time of use and demand, quarter hours
--   12-14 TIER    tiers, two register readings
--   15    NEWP    the tariff's price changes on the 16th
--   16    MOVE    the contract ends on the 16th, another begins
--   17    EXCH    the meter is exchanged on the 12th at 09:30 local time for meter :n + account
--   18    FACTOR  behind a transformer, factor 40
--   19    REFIT   the factor becomes 60 on the 12th
-- Triggers off (search keys of customers, registry revision): nothing of them is measured here.
set session_replication_role = replica;
set headrace.branches = '*';
begin;
insert into core.branch (branch_id, code, name, tz, currency, minor_digits)
values (1, 'HN', 'Bench', 'Europe/Berlin', 'EUR', 2) on conflict do nothing;
insert into mdm.meter_model (model, protocol, profile, digits) values ('bench', 'manual', '{}', 9);
insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity)
select g, 1, 'S' || g, 'bench', 'electricity', 'I' || g
from (select generate_series(1, :n) union all select :n + g from generate_series(1, :n) g where g % 20 = 17) x(g);
insert into crm.party (party_id, branch_id, kind, name, language) overriding system value
select g, 1, 'person', 'Customer ' || g, 'en' from generate_series(1, :n) g;
insert into crm.account (account_id, branch_id, number, party_id) overriding system value
select g, 1, 'A' || g, g from generate_series(1, :n) g;
insert into crm.premise (premise_id, branch_id, address, city) overriding system value
select g, 1, 'Street ' || g, 'Town' from generate_series(1, :n) g;
insert into crm.service_point (service_point_id, branch_id, premise_id, code, commodity, households) overriding system value
select g, 1, g, 'P' || g, 'electricity', 1 + (g % 40 = 13)::int from generate_series(1, :n) g;
insert into crm.installation (service_point_id, meter_id, valid, multiplier)
select g, g, case g % 20 when 17 then tstzrange('2026-01-01', '2026-10-12 07:30+00')
                         when 19 then tstzrange('2026-01-01', '2026-10-11 22:00+00')
                         else tstzrange('2026-01-01', null) end,
       case when g % 20 in (18, 19) then 40 else 1 end
from generate_series(1, :n) g;
insert into crm.installation (service_point_id, meter_id, valid, multiplier)
select g, case g % 20 when 17 then :n + g else g end,
       case g % 20 when 17 then tstzrange('2026-10-12 07:30+00', null) else tstzrange('2026-10-11 22:00+00', null) end,
       case g % 20 when 19 then 60 else 1 end
from generate_series(1, :n) g where g % 20 in (17, 19);
insert into crm.contract (contract_id, branch_id, number, account_id, service_point_id, tariff, valid, params)
overriding system value
select g, 1, 'C' || g, g, g, case when g % 20 between 12 and 14 then 'TIER' when g % 20 = 15 then 'NEWP' else 'TOU' end,
       case g % 20 when 16 then daterange('2026-01-01', '2026-10-16') else daterange('2026-01-01', null) end,
       case when g % 20 = 12 then '{"contract_kw": "5.5"}'::jsonb else '{}' end
from generate_series(1, :n) g;
insert into crm.contract (contract_id, branch_id, number, account_id, service_point_id, tariff, valid)
overriding system value
select :n + g, 1, 'C' || g || 'B', g, g, 'TOU', daterange('2026-10-16', null)
from generate_series(1, :n) g where g % 20 = 16;
select setval(pg_get_serial_sequence(t, c), 2 * :n + 1)
from (values ('crm.party', 'party_id'), ('crm.account', 'account_id'), ('crm.premise', 'premise_id'),
             ('crm.service_point', 'service_point_id'), ('crm.contract', 'contract_id'), ('mdm.meter', 'meter_id')) x(t, c);
select mdm.make_block_partitions(d) from unnest(array['2026-09-30', '2026-10-01', '2026-11-01']::date[]) d;

create function pg_temp.version(p_code text, p_version int, p_valid daterange, p_components text) returns void
language plpgsql as $$
declare d text := format('{"schema": "headrace-tariff-v1", "code": "%s", "name": "Bench %s", "commodity": "electricity",
 "currency": "EUR", "rounding": {"mode": "half_up", "of": "lines"},
 "schedules": {"tou": {"periods": ["peak", "mid", "off"], "rules": [
   {"days": ["weekday"], "from": "06:00", "to": "17:00", "period": "mid"},
   {"days": ["weekday"], "from": "17:00", "to": "20:00", "period": "peak"},
   {"days": ["weekday"], "from": "20:00", "to": "22:00", "period": "mid"}], "otherwise": "off"}},
 "components": [%s]}', p_code, p_code, p_components);
begin
        insert into billing.tariff (code, branch_id, name, commodity, currency)
        values (p_code, 1, 'Bench ' || p_code, 'electricity', 'EUR') on conflict do nothing;
        insert into billing.tariff_version (code, version, valid, state, document, document_text, hash, created_by)
        values (p_code, p_version, p_valid, 'active', d::jsonb, d, sha256(convert_to(d, 'UTF8')), 'bench');
end $$;
select pg_temp.version('TOU', 1, '[2026-01-01,)', '
 {"type": "fixed", "code": "base", "text": "Base price", "amount": "0.35", "per": "day"},
 {"type": "energy", "code": "energy", "text": "Energy", "schedule": "tou",
  "prices": {"peak": {"rate": "0.3417"}, "mid": {"rate": "0.2893"}, "off": {"rate": "0.1961"}}},
 {"type": "demand", "code": "power", "text": "Demand", "rate": "2.85", "demand": {"window_minutes": 15}},
 {"type": "percent", "code": "vat", "text": "VAT", "pct": 19, "of": "all", "tax": true}');
select pg_temp.version('NEWP', 1, '[2026-01-01,2026-10-16)', '
 {"type": "fixed", "code": "base", "text": "Base price", "amount": "0.31", "per": "day"},
 {"type": "energy", "code": "energy", "text": "Energy", "schedule": "tou",
  "prices": {"peak": {"rate": "0.3300"}, "mid": {"rate": "0.2750"}, "off": {"rate": "0.1900"}}},
 {"type": "percent", "code": "vat", "text": "VAT", "pct": 19, "of": "all", "tax": true}');
select pg_temp.version('NEWP', 2, '[2026-10-16,)', '
 {"type": "fixed", "code": "base", "text": "Base price", "amount": "0.33", "per": "day"},
 {"type": "energy", "code": "energy", "text": "Energy", "schedule": "tou",
  "prices": {"peak": {"rate": "0.3511"}, "mid": {"rate": "0.2902"}, "off": {"rate": "0.2003"}}},
 {"type": "percent", "code": "vat", "text": "VAT", "pct": 19, "of": "all", "tax": true}');
select pg_temp.version('TIER', 1, '[2026-01-01,)', '
 {"type": "energy", "code": "energy", "text": "Energy", "limits": {"households": true},
  "tiers": [{"upto": 50, "rate": "0.1984"}, {"upto": 100, "rate": "0.2050"}, {"upto": 200, "rate": "0.2380"},
            {"upto": 300, "rate": "0.2998"}, {"upto": 400, "rate": "0.3350"}, {"rate": "0.3460"}]},
 {"type": "percent", "code": "vat", "text": "VAT", "pct": 8, "of": ["energy"], "tax": true}');
commit;
