#!/usr/bin/env python3
"""Counts what a test run did: summary.py testlog.json [NAME=passed|failed ...]

Names the failed and the skipped, and closes with the line `N passed, N failed, N skipped`.
A run that executed nothing is a failure."""
import json
import sys

passed, failed, skipped = [], [], []
with open(sys.argv[1], encoding="utf-8") as f:
    for line in f:
        t = json.loads(line)
        {"OK": passed, "SKIP": skipped, "EXPECTEDFAIL": passed}.get(t["result"], failed).append(t)
for extra in sys.argv[2:]:
    name, result = extra.split("=")
    (passed if result == "passed" else failed).append({"name": name, "result": result.upper(), "duration": 0})
for t in failed:
    print("failed: %s (%s)" % (t["name"], t["result"]))
for t in skipped:
    print("skipped: %s" % t["name"])
slow = sorted(passed + failed, key=lambda t: -t["duration"])[:5]
print("slowest: " + ", ".join("%s %.0f s" % (t["name"], t["duration"]) for t in slow))
print("%d passed, %d failed, %d skipped" % (len(passed), len(failed), len(skipped)))
sys.exit(1 if failed or not passed else 0)
