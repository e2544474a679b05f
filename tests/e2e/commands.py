#!/usr/bin/env python3
"""Commands to simulated DLMS meters, from the request to the meter's own proof: approval by a second person,
disconnection and reconnection, clock, limiter, calendar, keys, firmware; limits, protection, a relay that is stuck,
event logs with alarms, and kill -9 between sending and the answer.

usage: commands.py BUILD"""
import base64
import sys
import time

import harness
from head_end import FROM, HeadEnd, refused


def check_switching(h, checks):
    serial = h.meters[0]
    refused(lambda: h.command(serial, "disconnect", reason=""), checks, 422, "invalid_parameter", "no reason")
    c = h.command(serial, "disconnect", reason="contract ended")
    checks.equal(c["state"], "requested", "a disconnection waits for a second person")
    try:
        h.approve(c, by="anna")
        checks.ok(False, "the requester released the own command")
    except harness.Problem as e:
        checks.ok("second person" in str(e), "who asked may not release: %s" % e)
    time.sleep(1.5)
    checks.equal(h.show(c)["attempts"], 0, "nothing is sent before the release")
    h.approve(c)
    c = h.ended(c)
    checks.equal(c["state"], "confirmed", "disconnected: %s" % c.get("error"))
    checks.equal((c["proof"]["control_state"], c["proof"]["output_state"]), ("disconnected", False), "the meter's proof")
    checks.ok(c["proof"].get("read_at"), "with its time")
    checks.equal((c["requested_by"], c["approved_by"]), ("anna", "binh"), "both people are on record")
    state = h.api.get("/v1/meters/%s/state" % serial)
    checks.equal(state["supply"]["control_state"], "disconnected", "the meter's state is kept")
    # Once more: the meter is asked, nothing is sent.
    again = h.command(serial, "disconnect", reason="twice")
    h.approve(again)
    again = h.ended(again)
    checks.equal((again["state"], again["proof"].get("found_so")), ("confirmed", True), "already so: nothing was sent")
    c = h.ended(h.command(serial, "reconnect"))
    checks.equal((c["state"], c["proof"].get("control_state")), ("confirmed", "connected"), "reconnected: %s" % c.get("error"))
    checks.equal(len(h.events("meter.disconnected")), 2, "events meter.disconnected")
    checks.equal(len(h.events("meter.reconnected")), 1, "events meter.reconnected")
    # Every fourth meter can only be armed by remote command.
    serial = h.meters[3]
    c = h.command(serial, "disconnect")
    h.approve(c)
    checks.equal(h.ended(c)["state"], "confirmed", "meter in mode 3 disconnected")
    c = h.ended(h.command(serial, "reconnect"))
    checks.equal(c["state"], "failed", "mode 3 does not reconnect")
    checks.ok("use arm" in c["error"], "and says what does: %s" % c["error"])
    c = h.ended(h.command(serial, "arm"))
    checks.equal((c["state"], c["proof"].get("control_state")), ("confirmed", "ready_for_reconnection"), "armed")


def check_stuck(h, checks):
    serial = h.meters[4]
    c = h.command(serial, "disconnect")
    h.approve(c)
    c = h.ended(c, 90)
    checks.equal(c["state"], "failed", "a relay that does not move is no success")
    checks.ok("still connected" in (c["error"] or ""), "and is said so: %s" % c["error"])
    checks.equal((c["proof"] or {}).get("output_state"), True, "with what the meter shows")
    checks.ok(len(h.events("command.failed")) >= 1, "event command.failed")


def check_protection(h, checks):
    serial = h.meters[1]
    waits = h.command(serial, "disconnect")
    h.api.post("/v1/meters/%s/protections" % serial, {"reason": "dialysis at home"})
    h.approve(waits)
    c = h.ended(waits)
    checks.equal((c["state"], c["attempts"]), ("failed", 0), "protected after the request: not sent")
    checks.ok("dialysis" in c["error"], "with the reason: %s" % c["error"])
    refused(lambda: h.command(serial, "disconnect"), checks, 422, "protected", "a protected supply is refused at once")
    h.people["binh"].post("/v1/meters/%s/protections/lift" % serial)
    checks.equal(h.api.get("/v1/meters/%s/state" % serial)["protections"], [], "lifted")
    # A condition that cannot be checked holds the command back.
    h.db.sql("insert into mdm.command_guard (kind, name, func) values ('disconnect', 'balance', 'billing.no_such_check')")
    c = h.command(serial, "disconnect")
    h.approve(c)
    w = harness.wait_until(lambda: h.show(c)["waits_for"], 20, "the command to be held back", 0.2)
    checks.ok("balance" in w, "what it waits for: %s" % w)
    checks.equal(h.show(c)["attempts"], 0, "and nothing was sent")
    h.db.sql("delete from mdm.command_guard")
    h.people["anna"].post("/v1/commands/%s/cancel" % c["command_id"])


def check_limit(h, checks):
    """The configuration allows 6 disconnections an hour; 5 were counted before."""
    done, waiting = [], []
    for serial in h.meters[5:9]:
        c = h.command(serial, "disconnect")
        h.approve(c)
        done.append(c)
    harness.wait_until(lambda: all(h.show(c)["ended_at"] or h.show(c)["waits_for"] for c in done), 60, "the limit", 0.2)
    states = [h.show(c) for c in done]
    confirmed = [c for c in states if c["state"] == "confirmed"]
    waiting = [c for c in states if c["state"] == "approved"]
    total = int(h.db.sql("select count(*) from mdm.command where kind = 'disconnect' and sent_at is not null")[0][0])
    checks.equal(total, 6, "disconnections sent, whatever was released")
    checks.ok(confirmed and waiting, "some went, the others wait: %d, %d" % (len(confirmed), len(waiting)))
    for c in waiting:
        checks.ok("an hour" in c["waits_for"], "why it waits: %s" % c["waits_for"])
    # The count is this process's own: neither a restart nor the database makes room.
    h.daemon.stop()
    h.daemon.start()
    for login in h.people:
        h.people[login] = h.daemon.login(login, "a long enough password")
    h.db.sql("update mdm.command set next_try_at = now() where state = 'approved'")
    time.sleep(3)
    checks.equal(int(h.db.sql("select count(*) from mdm.command where kind = 'disconnect' and sent_at is not null")[0][0]),
                 6, "after a restart the limit still holds")
    for c in waiting:
        h.people["anna"].post("/v1/commands/%s/cancel" % c["command_id"])


def check_settings(h, checks):
    serial = h.meters[0]
    refused(lambda: h.command(serial, "clock", {"policy": "guess"}), checks, 422, "params_wrong", "clock parameters")
    c = h.ended(h.command(serial, "clock", {"policy": "record", "tolerance_s": 5}))
    checks.ok(abs(c["proof"]["offset_s"] - 40) <= 3, "drift is recorded: %s" % c["proof"])
    c = h.ended(h.command(serial, "clock", {"policy": "set", "tolerance_s": 5, "shift_limit_s": 60}))
    checks.equal((c["state"], c["proof"].get("method")), ("confirmed", "shift"), "a small drift is shifted")
    checks.ok(abs(c["proof"]["offset_s"]) <= 3, "and gone: %s" % c["proof"])
    c = h.ended(h.command(h.meters[2], "clock", {"policy": "set", "tolerance_s": 5, "shift_limit_s": 10}))
    checks.equal((c["state"], c["proof"].get("method")), ("confirmed", "set"), "a larger one is set")
    refused(lambda: h.command(serial, "limiter", {}), checks, 422, "params_wrong", "limiter without threshold")
    c = h.command(serial, "limiter", {"threshold": 4600, "over_s": 30})
    h.approve(c)
    c = h.ended(c)
    checks.equal((c["state"], c["proof"].get("threshold"), c["proof"].get("over_s")), ("confirmed", 4600, 30), "limiter")
    day = {"at": "00:00", "script": "0.0.10.0.100.255", "selector": 1}
    calendar = {"name": "T2026", "seasons": [{"name": "S1", "start": "01-01", "week": "W1"}],
                "weeks": [{"name": "W1", "days": [1, 1, 1, 1, 1, 2, 2]}],
                "days": [{"id": 1, "actions": [day, dict(day, at="09:30", selector=2)]}, {"id": 2, "actions": [day]}]}
    refused(lambda: h.command(serial, "calendar", dict(calendar, weeks=[{"name": "W1", "days": [1]}])), checks, 422,
            "params_wrong", "a week of one day")
    c = h.command(serial, "calendar", calendar)
    h.approve(c)
    c = h.ended(c)
    checks.equal((c["state"], c["proof"].get("calendar")), ("confirmed", "T2026"), "calendar: %s" % c["error"])


def check_keys(h, checks):
    serial = next(s for s in h.meters if s.startswith("HRH"))
    before = h.db.sql("select kind, encode(sealed, 'hex') from mdm.meter_key k join mdm.meter m using (meter_id) "
                      "where m.serial = '%s' order by kind" % serial)
    c = h.command(serial, "keys", reason="yearly change")
    h.approve(c)
    c = h.ended(c)
    checks.equal((c["state"], c["proof"].get("read_under_new_keys")), ("confirmed", True), "keys: %s" % c["error"])
    after = h.db.sql("select kind, encode(sealed, 'hex') from mdm.meter_key k join mdm.meter m using (meter_id) "
                     "where m.serial = '%s' order by kind" % serial)
    checks.equal([k for k, _ in after], [k for k, _ in before], "the kinds of keys are what they were")
    checks.ok(dict(map(tuple, after))["guek"] != dict(map(tuple, before))["guek"], "the sealed key changed")
    read = {}
    for _ in range(20):  # the registry is read again
        time.sleep(0.5)
        read = h.api.post("/v1/meters/%s/read" % serial)
        if read["read"]:
            break
    checks.ok(read.get("read"), "read under the new keys: %s" % read)
    text = h.show(c)
    checks.ok("guek" not in str(text).lower().replace("read_under_new_keys", ""), "no key in the answer")


def check_firmware(h, checks):
    model = "HR-DLMS-W"
    body = b"HRFW HR-FW-2.0\n" + bytes(range(256)) * 40
    image = h.people["anna"].post("/v1/firmware", {"model": model, "identifier": "hr-fw-2.0", "version": "HR-FW-2.0",
                                                   "image": base64.b64encode(body).decode()})
    checks.equal(image["bytes"], len(body), "image taken in")
    serials = [s for s in h.meters if s.startswith("HRW")][:4]
    p = h.people["anna"].post("/v1/campaigns", {"image": image["image_id"], "serials": serials})
    checks.equal((p["state"], p["meters"]), ("requested", 4), "campaign planned")
    try:
        h.people["anna"].post("/v1/campaigns/%s/approve" % p["campaign_id"])
        checks.ok(False, "released by the one who planned it")
    except harness.Problem as e:
        checks.ok("second person" in str(e), "a second person releases it: %s" % e)
    h.people["binh"].post("/v1/campaigns/%s/approve" % p["campaign_id"])
    # In the middle of the transfer the daemon dies; the meters are asked which block they miss.
    harness.wait_until(lambda: h.db.sql("select 1 from mdm.command where kind = 'firmware' and progress ? 'initiated'"), 30,
                       "the transfer to begin", 0.02)
    h.daemon.kill()
    h.daemon.start()
    for login in h.people:
        h.people[login] = h.daemon.login(login, "a long enough password")
    done = lambda: h.api.get("/v1/campaigns/%s" % p["campaign_id"])
    # Activation is read back a minute later; here at once.
    def through():
        h.db.sql("update mdm.command set next_try_at = now() where kind = 'firmware' and state = 'sent' "
                 "and next_try_at < now() + interval '5 minutes'")
        return done() if done()["state"] == "done" else None
    harness.wait_until(through, 120, "the campaign to end: %s" % done(), 1)
    p = done()
    checks.equal((p["confirmed"], p["failed"]), (4, 0), "all four show the new version: %s" % p)
    firmware = h.api.get("/v1/meters/%s/state" % serials[0])["firmware"]
    checks.equal(firmware[0]["version"], "HR-FW-2.0", "version kept: %s" % firmware)
    # An image the meters find wrong: halted after the second failure.
    bad = h.people["anna"].post("/v1/firmware", {"model": model, "identifier": "bad", "version": "HR-FW-9",
                                                 "image": base64.b64encode(b"no such header" * 100).decode()})
    serials = [s for s in h.meters if s.startswith("HRW")]
    p = h.people["anna"].post("/v1/campaigns", {"image": bad["image_id"], "serials": serials, "min_ended": 2,
                                                "max_failed_percent": 20})
    # One after the other, so that the verdict comes before the last is begun.
    h.people["binh"].post("/v1/campaigns/%s/approve" % p["campaign_id"])
    h.db.sql("update mdm.command set next_try_at = now() + (command_id %% 97) * interval '3 seconds' where campaign_id = %s "
             "and state = 'approved'" % p["campaign_id"])
    harness.wait_until(lambda: done_of(h, p)["state"] == "halted", 120, "the campaign to be halted", 0.5)
    p = done_of(h, p)
    checks.ok(p["failed"] >= 2 and p["waiting"] >= 1, "halted before all were tried: %s" % p)
    checks.ok("failed" in (p["halted_why"] or ""), "with the reason: %s" % p["halted_why"])
    checks.equal(len(h.events("campaign.halted")), 1, "event campaign.halted")


def done_of(h, p):
    return h.api.get("/v1/campaigns/%s" % p["campaign_id"])


def check_events(h, checks):
    serial = h.meters[0]
    h.api.post("/v1/meters/%s/read" % serial)
    h.api.post("/v1/meters/%s/read" % serial)

    def log():
        items = h.api.get("/v1/meters/%s/events?limit=200" % serial)["items"]
        names = [e["name"] for e in items]
        return items if "cover.open" in names and "switch.remote.off" in names else None
    items = harness.wait_until(log, 30, "the meter's log", 0.5)
    keys = [(e["at"], e["code"], e["detail"]) for e in items]
    checks.equal(len(keys), len(set(keys)), "every entry once")
    names = [e["name"] for e in items]
    checks.equal(names.count("switch.remote.off"), 1, "one disconnection in the meter's own log")
    checks.equal(names.count("switch.remote.on"), 1, "one reconnection")
    alarms = harness.wait_until(lambda: h.events("meter.alarm"), 20, "alarms", 0.5)
    checks.ok(any(a["body"]["serial"] == serial and a["body"]["name"] == "cover.open" for a in alarms), "alarm of the cover")
    seen = len(alarms)
    h.api.post("/v1/meters/%s/read" % serial)
    time.sleep(2)
    checks.equal(len(h.events("meter.alarm")), seen, "an alarm read again is not told again")


def check_kill(h, checks):
    """kill -9 once the command is marked sent: the meter is asked, the relay moves once."""
    serial = next(s for s in h.meters if s.startswith("HRH"))
    for i in range(4):
        kind = "limiter"
        c = h.command(serial, kind, {"threshold": 5000 + i})
        h.approve(c)
        harness.wait_until(lambda: h.show(c)["attempts"] > 0, 20, "the command to be sent", 0.005)
        h.daemon.kill()
        h.daemon.start()
        for login in h.people:
            h.people[login] = h.daemon.login(login, "a long enough password")
        c = h.ended(c, 60)
        checks.equal((c["state"], c["proof"].get("threshold")), ("confirmed", 5000 + i), "after kill -9: %s" % c["error"])
    read = {}
    for _ in range(10):
        read = h.api.post("/v1/meters/%s/read" % serial)
        if read["read"]:
            break
        time.sleep(0.5)

    def changes():
        items = h.api.get("/v1/meters/%s/events?limit=200" % serial)["items"]
        n = [e["name"] for e in items].count("limiter.changed")
        return n if n >= 4 else None
    checks.equal(harness.wait_until(changes, 20, "the log", 0.5), 4, "each limit took effect exactly once")


def main():
    checks = harness.Checks("commands")
    h = HeadEnd("commands", sys.argv[1],
                ["--dlms-wrapper", "10", "--dlms-hdlc", "2", "--clock-offset", "40", "--stuck", "0", "--tamper", "1"],
                {"commands": {"disconnects_per_hour": 6}})
    try:
        h.start()
        print("meters:", h.meters)
        check_switching(h, checks)
        check_protection(h, checks)
        check_settings(h, checks)
        check_keys(h, checks)
        check_events(h, checks)
        check_kill(h, checks)
        check_limit(h, checks)
        check_firmware(h, checks)
    finally:
        h.close()
    h = HeadEnd("stuck", sys.argv[1], ["--dlms-wrapper", "5", "--stuck", "5"])
    try:
        h.start()
        check_stuck(h, checks)
    finally:
        h.close()
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
