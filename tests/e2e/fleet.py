#!/usr/bin/env python3
"""Fleets of simulated DLMS meters read by the collector's visits and schedule over bad links: everything that was
measured arrives once, and who is unread has a named cause.

usage: fleet.py BUILD [METERS]     METERS on the link that drops 5 % and cuts 2 % (2000)"""
import json
import os
import subprocess
import sys

import harness

DAY = ("--from", "2026-10-01", "--to", "2026-10-02")


def fleet(build, sim_args, fleet_args):
    """Reads a simulated fleet once. What the reader found, and the simulator's summary."""
    state = harness.scratch("fleet")
    sim = harness.Simulator(build, state, "--addresses", *DAY, "--now", "2026-10-02T00:00:00Z", "--progress", "0", *sim_args)
    try:
        sim.start()
        p = subprocess.run([os.path.join(build, "tests", "bench", "dlms_fleet"), "--fleet", sim.fleet_path, "--truth",
                            sim.truth_path, *DAY, *fleet_args], stdout=subprocess.PIPE, check=False)
        read = json.loads(p.stdout)
        read["status"] = p.returncode
        sim.stop()
        with open(sim.log_path) as f:
            told = [json.loads(line) for line in f if line.startswith('{"summary"')]
        return read, told[-1]["summary"]
    finally:
        sim.stop()
        harness.remove(state)


def whole(c, read, what, missing=0):
    """Nothing lost, doubled or wrong; all read but @missing, and those have causes."""
    c.equal((read["status"], read["lost"], read["doubled"], read["wrong"]), (0, 0, 0, 0),
            what + ": lost, doubled, wrong values")
    c.ok(read["meters"] - read["done"] <= missing, "%s: %d of %d meters complete" % (what, read["done"], read["meters"]))
    c.equal(sum(read["unread"].values()), read["meters"] - read["done"], what + ": every unread meter has its cause")
    c.ok("not_tried" not in read["unread"] and "internal_error" not in read["unread"], what + ": causes are real")
    c.ok(read["checked"] >= 96 * read["done"], "%s: %d values compared" % (what, read["checked"]))


def main():
    build = os.path.abspath(sys.argv[1])
    meters = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    half = str(meters // 2)
    c = harness.Checks("fleet")

    read, told = fleet(build, ["--dlms-wrapper", half, "--dlms-hdlc", half, "--drop", "5", "--cut", "2", "--delay", "20"],
                       ["--visits", "200", "--timeout", "1000", "--limit", "120"])
    print("drop 5 %%, cut 2 %%: %s" % json.dumps(read))
    whole(c, read, "a link that drops and cuts", meters // 1000)
    c.ok(told["answers_dropped"] > 0.04 * told["polls"], "answers were dropped: %d" % told["answers_dropped"])
    c.ok(told["cuts"] > 0.01 * told["connections"], "connections were cut: %d" % told["cuts"])

    read, told = fleet(build, ["--dlms-wrapper", "60", "--dlms-hdlc", "60", "--late", "5", "--late-by", "1500",
                               "--reset-transfer", "20", "--delay", "5"], ["--timeout", "1000", "--limit", "60"])
    whole(c, read, "late answers and restarts in mid-transfer")
    c.ok(told["late"] > 0 and told["transfers_reset"] > 0, "both happened: %s" % told)

    read, told = fleet(build, ["--dlms-wrapper", "40", "--dlms-hdlc", "40", "--ahead", "10", "--drift", "20", "--no-release",
                               "20", "--one-connection", "40", "--pause", "300"], ["--limit", "60"])
    whole(c, read, "meters with ways of their own")
    c.ok(read["connections"] >= 80 + 10, "meters ahead of our counter were asked for it: %d" % read["connections"])

    read, _ = fleet(build, ["--dlms-hdlc", "20", "--wrong-key", "5"], ["--limit", "8", "--timeout", "1000"])
    whole(c, read, "wrong keys", 5)
    c.equal(read["unread"], {"wrong_encryption_key": 5}, "their cause")
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
