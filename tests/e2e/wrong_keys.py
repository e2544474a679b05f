#!/usr/bin/env python3
"""Each way a DLMS meter's access can be wrong is its own cause on the list of unread meters, with evidence and a next
step, and is kept in the meter's history; a meter whose counter is ahead is read in the same visit.

usage: wrong_keys.py BUILD"""
import json
import sys

import harness
from head_end import HeadEnd

def flip(hexadecimal):
    return "%02X" % (int(hexadecimal[:2], 16) ^ 0xFF) + hexadecimal[2:]


def spoil(fleet):
    """What is wrong with which meter."""
    hdlc = [m for m in fleet["meters"] if m["model"] == "HR-DLMS-H"]
    plain = [m for m in fleet["meters"] if m["model"] == "HR-DLMS-W"]
    want = {}

    def wrong(m, cause):
        want[m["serial"]] = cause
        return m
    wrong(hdlc[0], "wrong_encryption_key")["keys"]["guek"] = flip(hdlc[0]["keys"]["guek"])
    wrong(hdlc[1], "wrong_authentication_key")["keys"]["gak"] = flip(hdlc[1]["keys"]["gak"])
    wrong(hdlc[2], "wrong_title")["identity"] = "48524F5448455231"
    wrong(hdlc[4], "unknown_sap")["address"]["server_sap"] = 77
    wrong(hdlc[5], "registry")["keys"] = {}
    wrong(plain[0], "wrong_password")["keys"]["lls"] = "not-the-password"
    wrong(plain[1], "unknown_sap")["address"]["server_sap"] = 9
    wrong(plain[2], "connection_refused")["address"]["port"] = harness.free_port()
    want[hdlc[6]["serial"]] = "read"
    want[plain[3]["serial"]] = "read"
    spoil.want = want


def main():
    checks = harness.Checks("wrong_keys")
    # Counters up to 230 million seen already: ahead of a new registry's (seconds since 2020), in reach.
    h = HeadEnd("wrongkeys", sys.argv[1],
                ["--dlms-wrapper", "4", "--dlms-hdlc", "7", "--lls", "12345678", "--counter-ahead", "230"],
                {"sweep": {"connect_timeout": "2s"}, "dlms": {"answer_timeout": "500ms"}})
    try:
        h.start(spoil)
        for serial, cause in sorted(spoil.want.items()):
            answer = harness.wait_until(lambda s=serial: try_read(h, s), 60, "a read of %s" % serial, 0.2)
            checks.equal(answer["cause"], cause, "%s: %s" % (serial, answer["detail"]))
        unread = h.api.get("/v1/unread")["items"]
        shown = {m["serial"]: m for m in unread}
        texts = {}
        for serial, cause in spoil.want.items():
            if cause == "read":
                checks.ok(serial not in shown, "%s is read and not on the list" % serial)
                continue
            m = shown.get(serial, {})
            checks.equal(m.get("cause"), cause, "%s on the list of unread meters" % serial)
            checks.ok(m.get("text") and m.get("detail") and m.get("next_step"), "%s: text, evidence, next step: %s" % (cause, m))
            texts[cause] = m.get("text")
        checks.equal(len(set(texts.values())), len(texts), "every cause has a text of its own: %s" % texts)
        for serial, cause in spoil.want.items():
            history = harness.wait_until(lambda s=serial: h.api.get("/v1/meters/%s/causes" % s)["items"], 20, "history", 0.2)
            checks.ok(any(i["cause"] == cause for i in history), "%s in the history of %s: %s" % (cause, serial, history[:2]))
        one = h.daemon.cli("meter", "unread", "--meter", next(iter(shown)), "--json")
        checks.equal(json.loads(one.stdout)["total"], 1, "one meter's cause on the command line")
        table = h.daemon.cli("meter", "causes", next(iter(shown))).stdout.decode()
        checks.ok(shown[next(iter(shown))]["cause"] in table, "its history on the command line: %s" % table)
        # Mended: the next visit reads it, and the history says so.
        serial = next(s for s, c in spoil.want.items() if c == "wrong_password")
        meter = next(m for m in h.sim.fleet["meters"] if m["serial"] == serial)
        meter["keys"]["lls"] = "12345678"
        h.api.post("/v1/meters/import", {"meters": [meter]})
        harness.wait_until(lambda: (try_read(h, serial) or {}).get("cause") == "read", 60, "the mended meter", 0.5)
        harness.wait_until(lambda: h.api.get("/v1/meters/%s/causes" % serial)["items"][0]["cause"] == "read", 20, "its history", 0.2)
    finally:
        h.close()
    check_counter(sys.argv[1], checks)
    return checks.done()


def check_counter(build, checks):
    """Four thousand million counters seen: nothing a head-end may follow on a plain answer's word."""
    h = HeadEnd("counter", build, ["--dlms-hdlc", "1", "--counter-ahead", "4000"], {"dlms": {"answer_timeout": "500ms"}})
    try:
        h.start()
        answer = harness.wait_until(lambda: try_read(h, h.meters[0]), 60, "a read", 0.2)
        checks.equal(answer["cause"], "counter", "counter out of reach: %s" % answer["detail"])
        shown = h.api.get("/v1/unread?cause=counter")["items"]
        checks.equal([m["serial"] for m in shown], [h.meters[0]], "on the list of unread meters")
        checks.ok("change the keys" in shown[0]["next_step"], "with its next step")
    finally:
        h.close()


def try_read(h, serial):
    try:
        return h.api.post("/v1/meters/%s/read" % serial)
    except harness.Problem as e:
        if e.problem.get("code") == "not_in_schedule":
            return None
        raise


if __name__ == "__main__":
    sys.exit(main())
