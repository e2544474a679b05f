#!/usr/bin/env python3
"""A town of accounts to bill: made, billed through the real daemon, checked by other means.

usage: billing.py --build DIR [--accounts N] [--sample N] [--lines N] [--kills N] [--keep]

Used by the bench and, small, by the tests. Checks: the bills of --sample contracts of each kind against
arithmetic done here over unpacked values; --lines lines replayed byte for byte; the same bills after the
daemon was killed --kills times in the middle."""
import argparse
import datetime as dt
import json
import os
import random
import subprocess
import sys
import threading
import time
import zoneinfo
from decimal import ROUND_HALF_UP, Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
import independent_bill  # noqa: E402
import servers  # noqa: E402

FIRST, LAST = dt.date(2026, 10, 1), dt.date(2026, 11, 1)
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
CENT = Decimal("0.01")
# By account number modulo 20; contracts of an account that moved out are of both halves.
KINDS = {"time of use and demand": range(0, 12), "tiers, two register readings": range(12, 15), "price change": (15,),
         "contract change": (16,), "meter exchange": (17,), "transformer factor": (18,), "factor change": (19,)}
# What a bill is, without the numbers a table gave it.
DIGEST = """select md5(string_agg(x, ';' order by contract_id)) from (
select b.contract_id, md5(concat_ws('|', b.period, b.state, b.total, b.tax, b.quantity, b.unit, b.exceptions, b.inputs,
       b.carry, b.peak_kw,
       (select string_agg(concat_ws(',', line_no, part_no, code, component, kind, label, quantity, unit, price, exact,
               amount, trace, encode(hash, 'hex')), ';' order by line_no) from billing.bill_line l
        where l.bill_id = b.bill_id),
       (select string_agg(concat_ws(',', name, unit, quantity, status, encode(readings, 'hex'), sources, daily), ';'
               order by name) from billing.determinant d where d.bill_id = b.bill_id))) as x
from billing.bill b where b.run_id = %d) y"""


def processor_s(pid, ended=False):
    """User and system time of a process, and with @ended of the children it has waited for."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (OSError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15 if ended else 13])) / os.sysconf("SC_CLK_TCK")


class Town:
    def __init__(self, build, accounts, name="billing"):
        self.build, self.n = build, accounts
        self.state = harness.scratch(name)
        self.db = servers.Postgres("-c shared_buffers=256MB -c max_wal_size=2GB")
        self.daemon = harness.Daemon(build, self.state, role="business", embedded=False, database=self.db.url)
        for section in ("mqtt", "coap", "sweep"):
            self.daemon.sections.pop(section)
        self.daemon.sections["plugin billrun"] = {"single_operator": "yes"}
        self.timings = {}

    def make(self):
        began = time.monotonic()
        self.daemon.start(300)
        subprocess.run(["psql", "-X", "-q", "-o", os.devnull, "-h", self.db.dir, "-U", "postgres", "-d", "headrace", "-v",
                        "ON_ERROR_STOP=1", "-v", "n=%d" % self.n, "-f", os.path.join(HERE, "billing_town.sql")], check=True)
        subprocess.run([os.path.join(self.build, "tests", "bench", "billing_readings"), self.db.url, str(self.n)], check=True)
        for statement in ("vacuum (analyze, parallel 0)", "checkpoint"):
            subprocess.run(["psql", "-X", "-q", "-h", self.db.dir, "-U", "postgres", "-d", "headrace", "-c", statement],
                           check=True)
        self.timings["make"] = time.monotonic() - began
        return self

    def sql(self, statement):
        return self.db.sql(statement)

    def one(self, statement):
        return self.db.sql(statement)[0][0]

    def create(self):
        return self.daemon.api.post("/v1/runs", {"branch": "HN", "from": str(FIRST), "to": str(LAST)})

    def cpu(self):
        """Processor seconds so far: (daemon, database with all its processes)."""
        postmaster = int(open(os.path.join(self.db.dir, "data", "postmaster.pid")).readline())
        with open("/proc/%d/task/%d/children" % (postmaster, postmaster)) as f:
            children = [int(x) for x in f.read().split()]
        database = processor_s(postmaster, ended=True) + sum(map(processor_s, children))
        return processor_s(self.daemon.process.pid), database

    def bill(self):
        """A whole run, from the request to the last draft: (number, seconds)."""
        before, began = self.cpu(), time.monotonic()
        r = self.create()
        self.daemon.api.job(r["job_id"], 7200)
        self.timings["run"] = time.monotonic() - began
        self.timings["cpu"] = [b - a for a, b in zip(before, self.cpu())]
        return r["run"], self.timings["run"]

    def split(self, run):
        """Seconds of both threads together in scanning, rating, writing."""
        row = self.sql("select sum(scan_us), sum(rate_us), sum(write_us) from billing.run_range where run_id = %d" % run)[0]
        return [int(x) / 1e6 for x in row]

    def digest(self, run):
        return self.one(DIGEST % run)

    def close(self, keep=False):
        self.daemon.kill()
        if keep:
            print("kept: psql -h %s -U headrace headrace" % self.db.dir)
            return
        self.db.close()
        harness.remove(self.state)


class Memory(threading.Thread):
    """Highest memory of a daemon and of the database sessions it uses, kB, looked at ten times a second."""

    def __init__(self, town):
        super().__init__(daemon=True)
        self.pid, self.going = town.daemon.process.pid, True
        self.daemon_kb = self.sessions_kb = 0
        self.postmaster = int(open(os.path.join(town.db.dir, "data", "postmaster.pid")).readline())

    @staticmethod
    def own_kb(pid):
        try:
            with open("/proc/%d/status" % pid) as f:
                return sum(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))
        except (OSError, ProcessLookupError):
            return 0

    def run(self):
        while self.going:
            try:
                with open("/proc/%d/task/%d/children" % (self.postmaster, self.postmaster)) as f:
                    children = [int(x) for x in f.read().split()]
            except OSError:
                children = []
            self.sessions_kb = max(self.sessions_kb, sum(map(self.own_kb, children)))
            self.daemon_kb = max(self.daemon_kb, self.own_kb(self.pid))
            time.sleep(0.1)

    def stop(self):
        self.going = False
        self.join()
        return self


# ---- the other computation ----

def half_up(v):
    return v.quantize(CENT, ROUND_HALF_UP)


class Calendar:
    """Price period of an instant, looked up once a document and instant."""

    def __init__(self):
        self.known = {}

    def period(self, code, document, schedule, at):
        key = (code, schedule, at)
        if key not in self.known:
            self.known[key] = independent_bill.price_period(document, schedule, dt.datetime.fromtimestamp(at, ZONE))
        return self.known[key]


def price(document, code, calendar, values, first, last, households):
    """[(code, quantity, amount)] of one tariff version's days; @values: (instant, kWh)."""
    lines = []

    def add(line, quantity, amount):
        lines.append((line, quantity, half_up(amount)))

    for c in document["components"]:
        if c["type"] == "fixed":
            days = (last - first).days
            add(c["code"], Decimal(days), days * Decimal(c["amount"]))
        elif c["type"] == "energy" and "schedule" in c:
            sums = {}
            for at, v in values:
                p = calendar.period(code, document, c["schedule"], at)
                sums[p] = sums.get(p, 0) + v
            for p in document["schedules"][c["schedule"]]["periods"]:
                if sums.get(p):
                    add("%s_%s" % (c["code"], p), sums[p], sums[p] * Decimal(c["prices"][p]["rate"]))
        elif c["type"] == "energy":
            total, below = sum(v for _, v in values), Decimal(0)
            for i, tier in enumerate(c["tiers"]):
                top = Decimal(tier["upto"]) * households if "upto" in tier else total
                part = max(Decimal(0), min(total, top) - below)
                below = max(below, top)
                if part:
                    add("%s_t%d" % (c["code"], i + 1), part, part * Decimal(tier["rate"]))
        elif c["type"] == "demand":
            kw = max(v for _, v in values) * 4
            add(c["code"], kw, kw * Decimal(c["rate"]))
        elif c["type"] == "percent":
            base = sum(a for _, _, a in lines)
            add(c["code"], base, base * Decimal(c["pct"]) / 100)
    return lines


SEGMENTS = """
with c as (select c.contract_id, c.account_id, s.households, c.service_point_id, c.tariff,
                  (lower(c.valid * daterange('%s', '%s')))::timestamp at time zone 'Europe/Berlin' as t0,
                  (upper(c.valid * daterange('%s', '%s')))::timestamp at time zone 'Europe/Berlin' as t1,
                  c.valid * daterange('%s', '%s') as span
           from crm.contract c join crm.service_point s using (service_point_id) where c.contract_id = any (array[%s]))
select c.contract_id, c.tariff, lower(c.span), upper(c.span), c.households, i.multiplier,
       (select string_agg(extract(epoch from r.at)::bigint || ' ' || r.value, ',' order by r.at)
        from mdm.readings(i.meter_id, case c.tariff when 'TIER' then 129 else 1 end::smallint,
             greatest(lower(i.valid), c.t0), least(upper(i.valid), c.t1)
             + case c.tariff when 'TIER' then interval '1 second' else interval '0' end) r)
from c join crm.installation i on i.service_point_id = c.service_point_id and i.valid && tstzrange(c.t0, c.t1)
order by c.contract_id, lower(i.valid)"""


def contract_values(row):
    """(instant, kWh) of one installation; a register's difference at its first instant."""
    points = [tuple(map(int, p.split())) for p in row[6].split(",")]
    if row[1] == "TIER":
        used = points[-1][1] - points[0][1]
        points = [(points[0][0], used if used >= 0 else used + 10 ** 9)]
    return [(at, Decimal(v) * Decimal(row[5]) / 1000) for at, v in points]


def expected(documents, calendar, rows):
    """Lines of a contract from its rows: one list a tariff version in force."""
    code, first, last = rows[0][1], dt.date.fromisoformat(rows[0][2]), dt.date.fromisoformat(rows[0][3])
    values = [v for row in rows for v in contract_values(row)]
    lines = []
    for version, lo, hi, document in documents[code]:
        a, b = max(first, lo), min(last, hi)
        if a >= b:
            continue
        t0, t1 = (dt.datetime.combine(d, dt.time(), ZONE).timestamp() for d in (a, b))
        inside = [v for v in values if t0 <= v[0] < t1]
        lines += price(document, "%s/%s" % (code, version), calendar, inside, a, b, int(rows[0][4]))
    return lines


def tariff_documents(town):
    out = {}
    for code, version, lo, hi, text in town.sql(
            "select code, version, lower(valid), coalesce(upper(valid), '2100-01-01'), replace(document_text, chr(10), ' ')"
            " from billing.tariff_version where state = 'active' order by 1, 2"):
        out.setdefault(code, []).append((version, dt.date.fromisoformat(lo), dt.date.fromisoformat(hi), json.loads(text)))
    return out


def compare(town, run, contracts, documents, calendar):
    """Contracts whose bill is not what is computed here, each with what differs."""
    span = (FIRST, LAST) * 3
    rows, lines, bad = {}, {}, []
    for row in town.sql(SEGMENTS % (*span, ",".join(map(str, contracts)))):
        rows.setdefault(int(row[0]), []).append(row)
    for contract, code, quantity, amount in town.sql(
            "select b.contract_id, l.code, l.quantity, l.amount from billing.bill b join billing.bill_line l using (bill_id)"
            " where b.run_id = %d and b.contract_id = any (array[%s]) order by b.contract_id, l.line_no"
            % (run, ",".join(map(str, contracts)))):
        lines.setdefault(int(contract), []).append((code, Decimal(quantity), Decimal(amount).scaleb(-2)))
    for contract in contracts:
        want, got = expected(documents, calendar, rows[contract]), lines.get(contract, [])
        if want != got:
            bad.append((contract, want, got))
    return bad


def check_sample(town, run, per_kind, seed=1):
    """{kind: (checked, differing)}; the first difference is printed."""
    rng, documents, calendar, out = random.Random(seed), tariff_documents(town), Calendar(), {}
    for kind, classes in KINDS.items():
        ids = [int(r[0]) for r in town.sql(
            "select contract_id from billing.bill where run_id = %d and account_id %% 20 = any (array[%s]) order by 1"
            % (run, ",".join(map(str, classes))))]
        ids = sorted(rng.sample(ids, min(per_kind, len(ids))))
        bad = []
        for i in range(0, len(ids), 50):
            bad += compare(town, run, ids[i:i + 50], documents, calendar)
        out[kind] = (len(ids), len(bad))
        if bad:
            print("contract %d\n  here:   %s\n  billed: %s" % bad[0])
    return out


# ---- replay ----

def replay(town, run, lines, seed=2):
    """Replays whole bills until @lines lines were compared: (lines, bills, differing)."""
    rng, done, differing, bills = random.Random(seed), 0, 0, 0
    ids = town.sql("select bill_id, (select count(*) from billing.bill_line l where l.bill_id = b.bill_id) from billing.bill b"
                   " where run_id = %d order by 1" % run)
    rng.shuffle(ids)
    for bill, n in ids:
        if done >= lines:
            break
        r = town.daemon.api.get("/v1/bills/%s/replay" % bill)
        differing += not r["same"]
        if not r["same"]:
            print(r)
        done += int(n)
        bills += 1
    return done, bills, differing


# ---- killed ----

def killed_run(town, kills, seed=3, expect_s=None):
    """A run during which the daemon is killed at random points: (run, kills that fell inside)."""
    rng, inside = random.Random(seed), 0
    r = town.create()
    run, job = r["run"], r["job_id"]
    pause = (expect_s or 5) / (kills + 1)
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 1.0) * pause)
        town.daemon.kill()
        inside += town.one("select computed_at is null from billing.run where run_id = %d" % run) == "t"
        town.daemon.start(300)
    town.daemon.api.job(job, 7200)
    return run, inside


# ---- yardsticks ----

def bare_scan(town):
    """Seconds of reading the month's blocks by two connections that do nothing with them."""
    began, halves = time.monotonic(), []
    for lo, hi in ((1, town.n // 2), (town.n // 2 + 1, 2 * town.n)):
        halves.append(subprocess.Popen(
            ["psql", "-X", "-q", "-o", os.devnull, "-h", town.db.dir, "-U", "headrace", "-d", "headrace", "-c",
             "copy (select meter_id, day, data from mdm.block where day = any (select generate_series('2026-09-30'::date, "
             "'2026-10-31', '1 day')::date) and meter_id between %d and %d) to stdout (format binary)" % (lo, hi)],
            stdout=subprocess.DEVNULL))
    for p in halves:
        if p.wait():
            raise RuntimeError("the scan failed")
    return time.monotonic() - began


PLAIN = """
with v as (select contract_id, value, at at time zone 'Europe/Berlin' as l from public.bench_value),
p as (select contract_id, value, case when extract(isodow from l) > 5 or l::time < '06:00' or l::time >= '22:00' then 'off'
                                      when l::time >= '17:00' and l::time < '20:00' then 'peak' else 'mid' end as period from v),
s as (select contract_id, coalesce(sum(value) filter (where period = 'peak'), 0) / 1000 as peak,
             coalesce(sum(value) filter (where period = 'mid'), 0) / 1000 as mid,
             coalesce(sum(value) filter (where period = 'off'), 0) / 1000 as off, max(value) * 4 / 1000 as kw
      from p group by 1),
l as (select contract_id, round(31 * 0.35, 2) as base, round(peak * 0.3417, 2) as peak, round(mid * 0.2893, 2) as mid,
             round(off * 0.1961, 2) as off, round(kw * 2.85, 2) as power from s)
insert into public.bench_bill
select contract_id, base, peak, mid, off, power, round((base + peak + mid + off + power) * 0.19, 2) from l"""


def plain_sql(town, run, contracts=1000):
    """The same time-of-use bills in one SQL statement over one row a value: (bills a second, differing)."""
    town.sql("create table public.bench_value (contract_id bigint, at timestamptz, value numeric, primary key (contract_id, at))")
    town.sql("create table public.bench_bill (contract_id bigint primary key, base numeric, peak numeric, mid numeric, "
             "off numeric, power numeric, vat numeric)")
    town.sql("insert into public.bench_value select c.contract_id, r.at, r.value from crm.contract c, mdm.readings("
             "c.service_point_id::int, 1::smallint, '2026-09-30 22:00+00', '2026-10-31 23:00+00') r "
             "where c.contract_id <= %d and c.contract_id %% 20 < 12" % min(town.n, contracts * 20 // 12))
    town.sql("analyze public.bench_value")
    began = time.monotonic()
    town.sql(PLAIN)
    seconds = time.monotonic() - began
    n, bad = map(int, town.sql(
        "select count(*), count(*) filter (where (base + peak + mid + off + power + vat) * 100 <> b.total) from public.bench_bill "
        "join billing.bill b using (contract_id) where b.run_id = %d" % run)[0])
    return n / seconds, bad


def whatif_year(town, tries=5):
    """A year of quarter hours rated by the API: median milliseconds, from the request to the answer."""
    body = {"input": {"from": "2025-01-01", "to": "2026-01-01", "tz": "Europe/Berlin", "series": [
        {"name": "energy.import", "unit": "kWh", "scale": 3, "at": "2024-12-31T23:00:00Z", "period_s": 900,
         "values": [100 + i * 7919 % 400 for i in range(365 * 96)]}]}}
    times = []
    for _ in range(tries):
        began = time.monotonic()
        town.daemon.api.post("/v1/tariffs/TOU/whatif", body)
        times.append((time.monotonic() - began) * 1000)
    return sorted(times)[tries // 2]


def pushed_to_priced(build, tries=5):
    """Seconds from a meter's publish to a priced line that knows its reading: the highest of @tries."""
    town, broker, worst = Town(build, 20, "push"), servers.Broker(), 0.0
    try:
        town.make()
        town.daemon.kill()
        town.daemon.role = town.daemon.sections["daemon"]["role"] = "all"
        town.daemon.sections["mqtt"] = {"host": "127.0.0.1", "port": broker.port}
        town.daemon.start(300)
        town.daemon.api.post("/v1/meters/import", {"meters": [
            {"serial": "PUSH", "maker": "T", "model": "HR-MQTT-SENML", "commodity": "electricity", "protocol": "mqtt",
             "identity": "push", "branch": "HN", "address": {}}]})
        town.sql("update crm.installation set meter_id = (select meter_id from mdm.meter where serial = 'PUSH') "
                 "where service_point_id = 1")
        day = dt.datetime.now(ZONE).date() - dt.timedelta(days=1)
        start = int(dt.datetime.combine(day, dt.time(), ZONE).timestamp())
        end = int(dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), ZONE).timestamp())
        question = {"account": "A1", "from": str(day), "to": str(day + dt.timedelta(days=1))}

        def publish(times, value):
            pack = [{"bt": t, "n": "energy.import", "u": "Wh", "v": value} for t in times]
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t",
                            "headrace/v1/push/telemetry", "-m", json.dumps(pack)], check=True)

        def total():
            try:
                return json.dumps(town.daemon.api.post("/v1/tariffs/TOU/whatif", question), sort_keys=True)
            except harness.Problem:
                return None

        publish(range(start, end - 900, 900), 250)
        known = total()
        for i in range(tries):
            began = time.monotonic()
            publish([end - 900], 1000 + i)
            known = harness.wait_until(lambda: (lambda t: t if t and t != known else None)(total()), 60, "a priced reading", 0.02)
            worst = max(worst, time.monotonic() - began)
        return worst
    finally:
        town.close()
        broker.close()


# ---- as rows of the bench ----

def measure(build, accounts, row, name):
    """One town: the run and its yardsticks. @row(name, figure, yardstick, ratio, how); bills, seconds."""
    town = Town(build, accounts)
    try:
        town.make()
        memory = Memory(town)
        memory.start()
        run, seconds = town.bill()
        memory.stop()
        bills = int(town.one("select count(*) from billing.bill where run_id = %d and state = 'draft'" % run))
        split, cpu, bare = town.split(run), town.timings["cpu"], bare_scan(town)
        row("%s, %d bills" % (name, bills), "%.1f s, %.0f bills a second" % (seconds, bills / seconds),
            "bare block scan, two connections: %.1f s" % bare, "%.1f" % (seconds / bare),
            "to drafts in the database; threads' seconds scan %.1f, rate %.1f, write %.1f; processor seconds daemon %.1f, "
            "database %.1f; memory daemon %d MB, its sessions %d MB"
            % (*split, *cpu, memory.daemon_kb // 1024, memory.sessions_kb // 1024))
        checked = check_sample(town, run, 20)
        if any(bad for _, bad in checked.values()) or not bills:
            raise RuntimeError("the bills are wrong: %s" % checked)
        return town, run, bills, seconds
    except BaseException:
        town.close()
        raise


def bench(build, row, sizes=(50000,)):
    rates = []
    for accounts in sizes:
        town, run, bills, seconds = measure(build, accounts, row, "bill run")
        try:
            rates.append((accounts, seconds / bills, sum(town.timings["cpu"]) / bills))
            if accounts != sizes[0]:
                continue
            plain, bad = plain_sql(town, run)
            row("time-of-use bills", "%.0f a second" % (bills / seconds), "plain SQL, one row a value, %.0f a second" % plain,
                "%.1f" % (bills / seconds / plain), "one statement over 1,000 contracts' rows, in one session; %d totals differ" % bad)
            ms = whatif_year(town)
            row("what-if, a year of quarter hours", "%.0f ms" % ms, "50 ms wanted", "%.2f" % (ms / 50),
                "median of 5 through the API, 35,040 values in the request")
        finally:
            town.close()
    for accounts, wall, cpu in rates[1:]:
        row("growth to %d accounts" % accounts, "%.3f ms a bill" % (wall * 1000), "%.3f ms at %d" % (rates[0][1] * 1000, rates[0][0]),
            "%.2f" % (wall / rates[0][1]), "processor time a bill: ratio %.2f" % (cpu / rates[0][2]))
    s = pushed_to_priced(build)
    row("pushed reading to priced line", "%.2f s" % s, "5 s wanted", "%.2f" % (s / 5), "highest of 5, MQTT publish to what-if")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--accounts", type=int, default=5000)
    p.add_argument("--sample", type=int, default=50)
    p.add_argument("--lines", type=int, default=1000)
    p.add_argument("--kills", type=int, default=0)
    p.add_argument("--keep", action="store_true")
    a = p.parse_args()
    town = Town(a.build, a.accounts)
    failed = False
    try:
        town.make()
        print("made in %.1f s, %s on disk" % (town.timings["make"], town.one(
            "select pg_size_pretty(pg_database_size('headrace'))")), flush=True)
        memory = Memory(town)
        memory.start()
        run, seconds = town.bill()
        memory.stop()
        bills = int(town.one("select count(*) from billing.bill where run_id = %d and state = 'draft'" % run))
        held = town.sql("select exceptions->0->>'code', count(*) from billing.bill where run_id = %d and state <> 'draft'"
                        " group by 1" % run)
        print("%d bills in %.1f s: %.0f a second; thread seconds scan %.1f, rate %.1f, write %.1f; "
              "processor seconds daemon %.1f, database %.1f; daemon %d MB, sessions %d MB; "
              "not drafts: %s" % (bills, seconds, bills / seconds, *town.split(run), *town.timings["cpu"], memory.daemon_kb // 1024,
                                  memory.sessions_kb // 1024, held), flush=True)
        for kind, (n, bad) in check_sample(town, run, a.sample).items():
            print("%-30s %5d checked, %d differ" % (kind, n, bad), flush=True)
            failed |= bad > 0 or n == 0
        began = time.monotonic()
        lines, n, differing = replay(town, run, a.lines)
        print("%d lines of %d bills replayed in %.1f s, %d bills differ" % (lines, n, time.monotonic() - began, differing))
        failed |= differing > 0
        if a.kills:
            first = town.digest(run)
            town.daemon.api.post("/v1/runs/%d/cancel" % run)
            again, inside = killed_run(town, a.kills, expect_s=seconds)
            same = town.digest(again)
            print("killed %d times, %d of them inside the run: %s" % (a.kills, inside,
                  "the same bills" if first == same else "OTHER BILLS"))
            failed |= first != same
    finally:
        town.close(a.keep)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
