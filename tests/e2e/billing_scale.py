#!/usr/bin/env python3
"""A bill run through the real daemon, small: bills against a second computation, killed ten times at
random points, late and reordered readings, issuing while being killed, and one flipped bit found by name.

usage: billing_scale.py BUILD [ACCOUNTS]"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import billing  # noqa: E402
import harness  # noqa: E402

KILLS = 10


def forge(town, statement):
    """As the database's superuser, triggers off: what nobody may do."""
    subprocess.run(["psql", "-X", "-q", "-h", town.db.dir, "-U", "postgres", "-d", "headrace", "-v", "ON_ERROR_STOP=1",
                    "-c", "set session_replication_role = replica", "-c", statement], check=True, stdout=subprocess.DEVNULL)


def second_opinion(town, run, checks):
    for kind, (n, bad) in billing.check_sample(town, run, 50).items():
        checks.ok(n >= 25, "%s: enough of them: %d" % (kind, n))
        checks.equal(bad, 0, "%s: bills that differ from the second computation" % kind)


def kills(town, run, seconds, checks):
    """Returns the run that was killed again and again."""
    first = town.digest(run)
    town.daemon.api.post("/v1/runs/%d/cancel" % run)
    again, inside = billing.killed_run(town, KILLS, expect_s=seconds)
    checks.ok(inside >= KILLS // 2, "kills that fell into the run: %d of %d" % (inside, KILLS))
    checks.equal(town.digest(again), first, "bills after %d kills against those of a quiet run" % KILLS)
    contracts = int(town.one("select count(*) from crm.contract"))
    for what, statement in (("contracts", "count(distinct contract_id)"), ("bills", "count(*)")):
        checks.equal(int(town.one("select %s from billing.bill where run_id = %d" % (statement, again))), contracts,
                     "%s billed once each" % what)
    show = town.daemon.api.get("/v1/runs/%d" % again)
    checks.equal((show["done"], show["skipped"], show["contracts"]), (contracts, 0, contracts), "the run's own count")
    return again


def late_readings(town, run, checks):
    """Changes of some readings that are sealed in another order than they came in, or not at all yet: the bill is
    that of the changed values, whichever way."""
    api, meters = town.daemon.api, (1, 15, 17, 38)
    town.daemon.api.post("/v1/runs/%d/cancel" % run)
    for m in meters:
        town.sql("select mdm.put_intervals(%d, 1::smallint, '2026-10-20 10:00+00', 900, 0::smallint, 5::smallint, "
                 "array[7000, 8000, 9000]::bigint[])" % m)
        town.sql("select mdm.put_intervals(%d, 1::smallint, '2026-10-05 10:00+00', 900, 6::smallint, 5::smallint, "
                 "array[111, 222]::bigint[])" % m)
    unsealed, _ = town.bill()
    bad = billing.compare(town, unsealed, list(meters), billing.tariff_documents(town), billing.Calendar())
    checks.equal(bad, [], "bills of the changed readings against the second computation")
    before = town.digest(unsealed)
    api.post("/v1/runs/%d/cancel" % unsealed)
    api.job(api.post("/v1/seal", {"until": "2026-11-02"})["job_id"], 300)
    sealed, _ = town.bill()
    checks.equal(town.digest(sealed), before, "bills after sealing against those from received messages")
    changed = int(town.one("select count(*) from billing.bill a join billing.bill b using (contract_id) where a.run_id = %d"
                           " and b.run_id = %d and a.total <> b.total" % (run, sealed)))
    checks.equal(changed, len(meters), "bills that changed with the readings")
    checks.equal(town.digest(unsealed) != town.digest(run), True, "the changed readings are in the digest")
    return sealed


def issue_killed(town, run, checks):
    """Issued while the daemon is killed: every bill has one invoice, numbers without a gap, ledger in balance."""
    api = town.daemon.api
    api.post("/v1/runs/%d/approve" % run)
    api.post("/v1/runs/%d/issue" % run)
    rng = random.Random(11)
    for _ in range(3):
        time.sleep(rng.uniform(0.3, 1.0))
        town.daemon.kill()
        town.daemon.start(300)
    harness.wait_until(lambda: town.daemon.api.get("/v1/runs/%d" % run)["state"] == "issued", 300, "the run to be issued")
    bills = int(town.one("select count(*) from billing.bill where run_id = %d and state = 'issued'" % run))
    row = town.sql("select count(*), count(distinct bill_id), count(distinct number),"
                   " max(substring(number from '[0-9]+$')::int) - min(substring(number from '[0-9]+$')::int) + 1"
                   " from billing.invoice")[0]
    checks.equal([int(x) for x in row], [bills] * 4, "invoices, their bills, numbers, and the numbers' span")
    checks.equal(town.one("select sum(debit - credit) from ledger.line"), "0", "the ledger's sum")
    checks.equal(town.one("select (select sum(debit - credit) from ledger.line where gl = '1200') = "
                          "(select sum(total) from billing.bill where state = 'issued')"), "t", "receivables are the bills")


def differences(town, bill):
    r = town.daemon.api.get("/v1/bills/%s/replay" % bill)
    return [] if r["same"] else [d["what"] + " " + d["computed"] for d in r["differences"]]


def flip_reading(town, rng, table, meter, bill, serial):
    """One bit of one stored day, put back afterwards; what replay says."""
    day, data = rng.choice(town.sql("select day, encode(data, 'hex') from mdm.%s where meter_id = %d and day between "
                                    "'2026-09-30' and '2026-10-31'%s order by day" % (table, meter, "" if table != "block"
                                     else " and day between '2026-10-02' and '2026-10-30'")))
    bit = rng.randrange(len(data) * 4)
    change = "update mdm.%s set data = set_bit(data, %d, 1 - get_bit(data, %d)) where meter_id = %d and day = '%s'" % (
        table, bit, bit, meter, day)
    forge(town, change)
    found = differences(town, bill)
    forge(town, change)
    return any(serial in d for d in found), "bit %d of %s %s of %s: %s" % (bit, table, day, serial, found[:2])


def flips(town, run, checks):
    """One bit of a stored reading, a tariff document, a bill line: each found, each by its name."""
    rng = random.Random(5)
    bills = {int(c): b for b, c in town.sql("select bill_id, contract_id from billing.bill where run_id = %d" % run)}
    for i in range(40):
        account = rng.choice([x for x in range(1, town.n) if x % 20 < 12])
        ok, text = flip_reading(town, rng, "block", account, bills[account], "S%d" % account)
        checks.ok(ok, "flipped reading named: " + text)
    for i in range(10):
        account = rng.choice([x for x in range(1, town.n) if x % 20 in (12, 13, 14)])
        ok, text = flip_reading(town, rng, "register_day", account, bills[account], "S%d" % account)
        checks.ok(ok, "flipped register named: " + text)
    for old, new in (("0.3417", "0.3416"), ("Bench TOU", "Bench TOT"), ("weekday", "weekdax")):
        forge(town, "update billing.tariff_version set document_text = replace(document_text, '%s', '%s') where code = 'TOU'"
              % (old, new))
        found = differences(town, bills[1])
        checks.ok(any("tariff TOU version 1" in d for d in found), "flipped tariff document named: %s" % found[:2])
        forge(town, "update billing.tariff_version set document_text = replace(document_text, '%s', '%s') where code = 'TOU'"
              % (new, old))
    forge(town, "create table public.kept as select * from billing.bill_line where bill_id = %s" % bills[2])
    for column, change in (("amount", "amount = amount # 1"), ("label", "label = 'Energz'"), ("price", "price = '0.3418'"),
                           ("trace", "trace = overlay(trace placing '#' from 9)"), ("hash", "hash = set_bit(hash, 77, 1 - get_bit(hash, 77))"),
                           ("quantity", "quantity = '1' || quantity"), ("exact", "exact = exact || '0'"), ("kind", "kind = 'credit'"),
                           ("unit", "unit = 'kVh'"), ("code", "code = 'energz'"), ("component", "component = 'energz'"),
                           ("part_no", "part_no = part_no + 1")):
        forge(town, "update billing.bill_line set %s where bill_id = %s and line_no = 3" % (change, bills[2]))
        found = differences(town, bills[2])
        checks.ok(any(d.startswith("line 3 " + column) for d in found), "flipped %s of a line named: %s" % (column, found[:2]))
        forge(town, "delete from billing.bill_line where bill_id = %s; insert into billing.bill_line select * from public.kept"
              % bills[2])
    checks.equal(differences(town, bills[1]) + differences(town, bills[2]), [], "all put back")


def main():
    checks = harness.Checks("billing_scale")
    town = billing.Town(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1500, "billscale")
    try:
        town.make()
        run, seconds = town.bill()
        checks.equal(town.sql("select exceptions from billing.bill where state <> 'draft' limit 1"), [], "held bills")
        second_opinion(town, run, checks)
        run = kills(town, run, seconds, checks)
        lines, bills, differing = billing.replay(town, run, 600)
        checks.ok(lines >= 600, "lines replayed: %d" % lines)
        checks.equal(differing, 0, "bills that do not replay, of %d" % bills)
        run = late_readings(town, run, checks)
        issue_killed(town, run, checks)
        flips(town, run, checks)
    finally:
        town.close()
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
