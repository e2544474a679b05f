#!/usr/bin/env python3
"""One real building's month, from telemetry to the invoice, under a published time-of-use and a published tiered
tariff; every amount equals an independent computation to the smallest unit. March, so that the month has a day
of 23 hours.

usage: real_month.py BUILD"""
import csv
import datetime as dt
import gzip
import json
import os
import subprocess
import sys
import zoneinfo

import harness
import servers

MONTH = ("2017-03-01", "2017-04-01")
CASES = (
    {"branch": 1, "code": "CHI", "tz": "America/Chicago", "currency": "USD", "digits": 2, "tariff": "tou-residential"},
    {"branch": 2, "code": "HN", "tz": "Asia/Ho_Chi_Minh", "currency": "VND", "digits": 0, "tariff": "evn-residential"},
)


def building(path, first, last):
    """Quarter-hour Wh of the building, each hour split without losing a Wh: [(start, Wh)]."""
    out = []
    with gzip.open(path, "rt") as f:
        for row in csv.DictReader(f):
            at = dt.datetime.fromisoformat(row["start"])
            if not first <= at.timestamp() < last:
                continue
            wh = round(float(row["value"]) * 1000)
            for q in range(4):
                out.append((int(at.timestamp()) + 900 * q, wh // 4 + (1 if q < wh % 4 else 0)))
    return sorted(dict(out).items())


def local(day, zone):
    return dt.datetime.fromisoformat(day).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


def publish(broker, identity, values):
    """A message a day, as a meter does."""
    lines = []
    for i in range(0, len(values), 96):
        part = values[i:i + 96]
        lines.append(json.dumps([{"bt": part[0][0], "n": "energy.import", "u": "Wh", "v": part[0][1]}] +
                                [{"t": at - part[0][0], "n": "energy.import", "u": "Wh", "v": v} for at, v in part[1:]],
                                separators=(",", ":")))
    # RFC 8428: a base time holds for the records behind it.
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t",
                    "headrace/v1/%s/telemetry" % identity, "-l"], input=("\n".join(lines) + "\n").encode(), check=True)
    return len(lines)


def second_opinion(state, case, document_path, values):
    path = os.path.join(state, case["code"] + ".csv")
    with open(path, "w") as f:
        f.write("start,value\n")
        for at, wh in values:
            stamp = dt.datetime.fromtimestamp(at, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            f.write("%s,%d.%03d\n" % (stamp, wh // 1000, wh % 1000))
    out = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "independent_bill.py"),
                          document_path, path, *MONTH, "--tz", case["tz"], "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def minor(text, digits):
    whole, _, part = str(text).partition(".")
    return int(whole + (part + "0" * digits)[:digits])


def register(daemon, case, document, n):
    api = daemon.api
    api.post("/v1/branches", {"branch_id": case["branch"], "code": case["code"], "name": case["code"], "tz": case["tz"],
                              "currency": case["currency"], "minor_digits": case["digits"]})
    api.post("/v1/meters/import", {"meters": [
        {"serial": "R%d" % n, "maker": "T", "model": "HR-MQTT-SENML", "commodity": "electricity", "protocol": "mqtt",
         "identity": "real-%d" % n, "branch": case["code"], "address": {}}]})
    t = api.post("/v1/tariffs", {"document": document, "branch": case["code"], "from": "2015-01-01"})
    other = daemon.login("second", "another-long-password")
    other.post("/v1/tariffs/%s/approve" % document["code"], {"version": t["version"]})
    other.post("/v1/tariffs/%s/activate" % document["code"], {"version": t["version"]})
    answer = api.post("/v1/customers/import", {
        "branch": case["code"],
        "parties": [{"code": "P%d" % n, "name": "Real Building %d" % n}],
        "accounts": [{"number": "A%d" % n, "party": "P%d" % n}],
        "premises": [{"code": "R%d" % n, "address": "1 Main Street"}],
        "service_points": [{"code": "S%d" % n, "premise": "R%d" % n, "commodity": "electricity"}],
        "installations": [{"service_point": "S%d" % n, "meter": "R%d" % n, "from": "2015-01-01T00:00:00Z"}],
        "contracts": [{"number": "C%d" % n, "account": "A%d" % n, "service_point": "S%d" % n, "tariff": document["code"],
                       "from": "2015-01-01"}]})
    if answer.get("refused"):
        raise RuntimeError(answer["refused"])


def bill(daemon, case):
    run = daemon.api.post("/v1/runs", {"branch": case["code"], "cycle": "monthly", "from": MONTH[0], "to": MONTH[1]})
    daemon.api.job(run["job_id"], 120)
    bills = daemon.api.get("/v1/bills?run=%s" % run["run"])["items"]
    return run, [daemon.api.get("/v1/bills/%s" % b["bill"]) for b in bills]


def check(checks, daemon, case, values, document_path):
    want = second_opinion(daemon.state, case, document_path, values)
    _, bills = bill(daemon, case)
    if not checks.equal(len(bills), 1, "%s: bills" % case["code"]):
        return
    lines = {line["code"]: line for line in bills[0]["lines"]}
    checks.equal(sorted(lines), sorted(want["lines"]), "%s: lines" % case["code"])
    for code, amount in want["lines"].items():
        if code in lines:
            checks.equal(lines[code]["amount"], minor(amount, case["digits"]),
                         "%s: %s" % (case["code"], code))
    checks.equal(bills[0]["total"], minor(want["total"], case["digits"]), "%s: total" % case["code"])
    replay = daemon.api.get("/v1/bills/%s/replay" % bills[0]["bill"])
    checks.ok(replay.get("same") is True, "%s: replays byte for byte: %s" % (case["code"], str(replay)[:300]))


def main():
    build = sys.argv[1]
    source = os.path.join(harness.shared_dir(), "data", "intervals", "il-electricity-cdd-hdd-hourly.csv.gz")
    if not os.path.exists(source):
        harness.skip("%s is not on this machine" % source)
    checks = harness.Checks("real_month")
    state = harness.scratch("month")
    db, broker = servers.Postgres(), servers.Broker()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    daemon.sections["mqtt"]["port"] = broker.port
    samples = os.path.join(harness.ROOT, "billing", "tariff", "samples")
    try:
        daemon.start()
        daemon.api.post("/v1/users", {"login": "second", "password": "another-long-password", "roles": "admin", "branches": "*"})
        data, messages = [], 0
        for n, case in enumerate(CASES, 1):
            with open(os.path.join(samples, case["tariff"] + ".json"), encoding="utf-8") as f:
                register(daemon, case, json.load(f), n)
            values = building(source, local(MONTH[0], case["tz"]), local(MONTH[1], case["tz"]))
            checks.ok(len(values) > 2900, "%s: a month of quarter hours: %d" % (case["code"], len(values)))
            data.append(values)
        for n, values in enumerate(data, 1):
            messages += publish(broker, "real-%d" % n, values)
        harness.wait_until(lambda: db.sql("select count(*) from mdm.inbox")[0][0] == str(messages), 60, "the month in the inbox")
        for case, values in zip(CASES, data):
            check(checks, daemon, case, values, os.path.join(samples, case["tariff"] + ".json"))
        checks.equal(daemon.stop(), 0, "clean end")
    finally:
        daemon.kill()
        broker.close()
        db.close()
        harness.remove(state)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
