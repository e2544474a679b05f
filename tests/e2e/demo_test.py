#!/usr/bin/env python3
"""The whole demo, smaller, on this build, then the console in a real browser against it.

usage: demo_test.py BUILD"""
import json
import os
import shutil
import subprocess
import sys

import harness


def main():
    build = os.path.abspath(sys.argv[1])
    state = harness.scratch("demo")
    here = os.path.dirname(os.path.abspath(__file__))
    web = os.path.join(harness.ROOT, "tests", "web")
    shots = os.path.join(build, "screenshots")
    checks = harness.Checks("demo")
    try:
        command = [sys.executable, os.path.join(here, "demo.py"), "--build", build, "--state", state, "--scale", "0.25"]
        if shutil.which("chromium") and os.path.isdir(os.path.join(web, "node_modules")):
            command += ["--then", "node %s/console.mjs $DEMO_URL $DEMO_USER $DEMO_PASSWORD %s" % (web, shots)]
        else:
            print("chromium or the browser test's packages are missing: the console is not tested")
            command += ["--exit"]
        rc = subprocess.run(command, check=False, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1")).returncode
        checks.equal(rc, 0, "exit status of the demo and the browser test")
        with open(os.path.join(state, "summary.json")) as f:
            s = json.load(f)
        checks.equal(s["lost"], 0, "lost")
        checks.equal(s["doubled"], 0, "doubled")
        checks.equal(s["wrong"], 0, "wrong")
        checks.equal(sorted(s["protocols"]), ["coap", "dlms", "modbus", "mqtt"], "protocols")
        for name, r in s["protocols"].items():
            checks.ok(r["expected"] > 1000, "%s: a month of values: %s" % (name, r))
            checks.equal(r["stored"], r["expected"], "%s stored" % name)
        checks.ok(s["invoices"] >= s["meters"] - 2, "invoices for %d meters: %d" % (s["meters"], s["invoices"]))
        with open(os.path.join(state, "headraced.log"), errors="replace") as f:
            log = f.read()
        checks.ok("AddressSanitizer" not in log and "runtime error" not in log, "no sanitizer report in the daemon's log")
    finally:
        harness.remove(state)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
