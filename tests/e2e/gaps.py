#!/usr/bin/env python3
"""Back-fill after a week's outage: only what is missing is asked for, every interval arrives once, what the meter itself
lacks is noted and not asked for again; groups and cells of the schedule; a suggested mapping.

usage: gaps.py BUILD"""
import datetime
import socket
import sys
import time

import harness
from head_end import HeadEnd

DAY = 86400
PERIOD = 900


def iso(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(h, serial, channel, lo, hi):
    rows = h.db.sql("select extract(epoch from r.at)::bigint, r.value from mdm.meter m, mdm.readings(m.meter_id, %d::smallint, "
                    "'%s', '%s') r where m.serial = '%s' order by 1" % (channel, iso(lo), iso(hi), serial))
    return [(int(a), int(b)) for a, b in rows]


def truth(h, serial, channel):
    meter = next(m for m in h.sim.fleet["meters"] if m["serial"] == serial)
    out = {}
    for line in h.sim.truth():
        if line["identity"] != meter["identity"] or line["channel"] != channel:
            continue
        start = datetime.datetime.fromisoformat(line["start"].replace("Z", "+00:00")).timestamp()
        for i, v in enumerate(line["values"]):
            out[int(start) + i * line["period_s"]] = v
    return out


def check_backfill(h, checks, begin, end):
    """Days two and four came another way (a file, another head-end); the rest of the week is missing."""
    serial = h.meters[0]
    want = truth(h, serial, "energy.import")
    checks.ok(len(want) >= 6 * 96, "the meter has a week: %d values" % len(want))
    meter = h.db.sql("select meter_id from mdm.meter where serial = '%s'" % serial)[0][0]
    for day in (1, 3):
        lo = begin + day * DAY
        values = [want[lo + i * PERIOD] for i in range(96)]
        h.db.sql("select mdm.put_intervals(%s, 1::smallint, '%s', 900, 0::smallint, 5::smallint, array%s)"
                 % (meter, iso(lo), values))
    checks.equal(len(stored(h, serial, 1, begin, end)), 2 * 96, "two days are stored, nothing else")
    h.daemon.sections["sweep"]["back"] = "8d"
    h.daemon.stop()
    h.daemon.start()

    def complete():
        got = stored(h, serial, 1, begin, end)
        return got if len(got) >= (end - begin) // PERIOD else None
    got = harness.wait_until(complete, 60, "the back-fill", 0.5)
    checks.equal([g for g in got if want.get(g[0]) != g[1]], [], "every value is the meter's")
    checks.equal(len(got), len({a for a, _ in got}), "each once")
    # What was stored already was not sent again: only runs outside those two days came by visits.
    asked = h.db.sql("select sum((select count(*) from mdm.readings(%s, 1::smallint, '%s', '%s') r where r.source in (2, 6)))"
                     % (meter, iso(begin + DAY), iso(begin + 2 * DAY)))[0][0]
    checks.equal(int(asked), 0, "the day stored before keeps its source: it was not asked for")
    values = int(h.db.sql("select count(*) from mdm.readings(%s, 1::smallint, '%s', '%s') r where r.source in (2, 6)"
                          % (meter, iso(begin), iso(end)))[0][0])
    checks.equal(values, (end - begin) // PERIOD - 2 * 96, "exactly the missing intervals came by visits")
    for other in h.meters[1:]:
        harness.wait_until(lambda s=other: h.db.sql("select count(*) from mdm.meter_cause k join mdm.meter m using (meter_id) "
                                                    "where m.serial = '%s' and k.cause = 'read'" % s)[0][0] != "0", 30, "reads", 0.5)


def check_groups(h, checks):
    h.api.post("/v1/read-groups", {"name": "industrial", "priority": 0, "period_s": 60, "deadline_s": 600})
    groups = {g["name"]: g for g in h.api.get("/v1/read-groups")["items"]}
    checks.equal(groups["industrial"]["priority"], 0, "the group is there")
    fleet = dict(h.sim.fleet)
    for m in fleet["meters"]:
        m["address"]["group"] = "industrial"
        m["address"]["cell"] = "C1"
    h.api.post("/v1/meters/import", fleet)
    sweep = harness.wait_until(lambda: (lambda s: s if s.get("cells") == 1 else None)(h.api.get("/v1/sweep")), 20, "the cell", 0.3)
    checks.equal(sweep["late"], 0, "nobody is late")
    h.api.post("/v1/meters/%s/read" % h.meters[0])
    shown = h.api.get("/v1/unread?meter=%s" % h.meters[0])["items"][0]
    next_try = datetime.datetime.fromisoformat(shown["next_try"].replace("Z", "+00:00")).timestamp()
    checks.ok(next_try - time.time() < 120, "visited by its group's period, not the daily one: %s" % shown["next_try"])


def check_suggestion(h, checks):
    """A push nobody knows: kept, a mapping suggested, a model made of it, the message replayed without loss."""
    def obis(text):
        return bytes([9, 6]) + bytes(int(x) for x in text.split("."))

    def row(code, value, scaler, unit):
        return b"\x02\x03" + obis(code) + b"\x06" + value.to_bytes(4, "big") + b"\x02\x02\x0f" + bytes([scaler & 0xFF]) + \
            b"\x16" + bytes([unit])
    body = b"\x02\x03" + b"\x02\x02" + obis("0.0.96.1.0.255") + b"\x09\x08" + b"UNKNOWN1" + \
        row("1.0.1.8.0.255", 123456, 1, 30) + row("1.0.32.7.0.255", 2304, -1, 35)
    apdu = b"\x0f\x00\x00\x00\x01\x00" + body
    with socket.create_connection(("127.0.0.1", h.push_port), 5) as s:
        s.sendall(b"\x00\x01\x00\x01\x00\x10" + len(apdu).to_bytes(2, "big") + apdu)
    held = harness.wait_until(lambda: h.api.get("/v1/quarantine?state=held")["items"], 20, "the message in quarantine", 0.3)
    answer = h.api.get("/v1/quarantine/%s/suggest" % held[0]["quarantine_id"])
    items = {i["obis"]: i for i in answer["items"]}
    checks.equal(items["1.0.1.8.0.255"]["channel"], "energy.import.total", "energy: %s" % answer)
    checks.equal((items["1.0.32.7.0.255"]["channel"], items["1.0.32.7.0.255"]["scaler"], items["1.0.32.7.0.255"]["sure"]),
                 ("voltage.l1", -1, True), "voltage with the meter's own scaler")
    checks.ok(items["0.0.96.1.0.255"]["names_meter"], "what names the meter")
    model = answer["model"]
    model["model"], model["maker"] = "SUGGESTED-1", "Unknown"
    import json
    import os
    folder = os.path.join(h.state, "models")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "suggested.json"), "w") as f:
        json.dump(model, f)
    h.daemon.sections["daemon"]["models_dir"] = folder
    h.daemon.stop()
    h.daemon.start()
    h.api.post("/v1/meters/import", {"meters": [{"serial": "UNKNOWN1", "maker": "Unknown", "model": "SUGGESTED-1", "commodity":
                                                 "electricity", "protocol": "dlms", "identity": "UNKNOWN1", "branch": "HN",
                                                 "address": {}}]})
    replayed = harness.wait_until(lambda: h.api.get("/v1/quarantine?state=replayed")["items"], 20, "the replay", 0.3)
    checks.equal(len(replayed), 1, "replayed")
    lo = int(time.time()) - 3600
    got = harness.wait_until(lambda: stored(h, "UNKNOWN1", 129, lo, lo + 7200), 10, "its register", 0.3)
    checks.equal([v for _, v in got], [1234560], "nothing lost")


def main():
    checks = harness.Checks("gaps")
    end = int(time.time()) // DAY * DAY
    begin = end - 7 * DAY
    h = HeadEnd("gaps", sys.argv[1], ["--from", iso(begin), "--to", iso(end), "--dlms-wrapper", "2", "--dlms-hdlc", "1"],
                {"sweep": {"back": "0s", "per_cell": 1}})
    h.push_port = harness.free_port()
    h.daemon.sections["push"] = {"tcp_port": h.push_port, "address": "127.0.0.1"}
    try:
        h.start()
        time.sleep(2)
        check_backfill(h, checks, begin, end)
        check_groups(h, checks)
        check_suggestion(h, checks)
    finally:
        h.close()
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
