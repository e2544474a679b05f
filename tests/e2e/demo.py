#!/usr/bin/env python3
"""./dev demo: a simulated town, from the meter's frame to the paid bill.

Starts the daemon with its embedded database and broker and the simulator, registers the town, reads
a month over every protocol, seals, validates, bills, issues, takes a payment, answers a request,
counts every value against what the simulated meters know they sent, and writes summary.json. Then
serves the console until Ctrl-C, or ends with --exit."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import town  # noqa: E402
import truth  # noqa: E402

MONTH = ("2026-10-01", "2026-11-01")
# In UTC, wide enough for the local days of both branches.
SPAN = ("2026-09-30T00:00:00Z", "2026-11-02T00:00:00Z")
ADMIN = ("admin", "headrace-demo-1")
CLERK = ("thu", "clerk-demo-first-1")
APPROVER = ("linh", "approver-demo-second-2")


class Steps:
    """One line a step: what is going on, how long it took."""

    def __init__(self):
        self.durations, self.name, self.live = {}, None, sys.stderr.isatty()

    def begin(self, name, text):
        self.end()
        self.name, self.text, self.note, self.began = name, text, "", time.monotonic()
        if self.live:
            sys.stderr.write("  … %s\r" % text)
            sys.stderr.flush()

    def progress(self, note):
        self.note = note
        if self.live:
            sys.stderr.write("\033[K  … %s: %s\r" % (self.text, note))
            sys.stderr.flush()

    def end(self):
        if not self.name:
            return
        spent = time.monotonic() - self.began
        self.durations[self.name] = round(spent, 2)
        sys.stderr.write("%s  ✓ %s%s (%.1f s)\n" % ("\033[K" if self.live else "", self.text,
                                                    ": " + self.note if self.note else "", spent))
        sys.stderr.flush()
        self.name = None


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--state", default="var/demo")
    p.add_argument("--exit", action="store_true", help="end after the summary instead of serving the console")
    p.add_argument("--scale", type=float, default=1, help="so many times the usual number of meters")
    p.add_argument("--then", metavar="COMMAND", help="run this against the finished demo (DEMO_URL, DEMO_USER, "
                                                     "DEMO_PASSWORD are set), then end; its exit status is ours")
    return p.parse_args()


def make_simulator(args, daemon):
    n = args.scale
    series = os.path.join(harness.shared_dir(), "data", "intervals")
    options = ["--dlms-wrapper", 40 * n, "--dlms-hdlc", 40 * n, "--modbus", 30 * n, "--mqtt", 80 * n, "--coap", 40 * n]
    options = [str(max(1, int(o))) if not isinstance(o, str) else o for o in options]
    options += ["--from", SPAN[0], "--to", SPAN[1], "--seed", "7", "--broker", "127.0.0.1:%d" % daemon.mqtt_port,
                "--coap-server", "127.0.0.1:%d" % daemon.coap_port]
    if os.path.isdir(series):
        options += ["--series", series]
    return harness.Simulator(args.build, args.state, *options)


def register_town(daemon, fleet, steps):
    """Branches, people, meters, contracts."""
    api = daemon.api
    for b in town.BRANCHES:
        api.post("/v1/branches", b)
    for b in town.BRANCHES:
        api.call("PUT", "/v1/branches/%s/payee" % b["code"], town.PAYEES[b["code"]])
    for (login, password), role in ((CLERK, "clerk"), (APPROVER, "approver")):
        api.post("/v1/users", {"login": login, "password": password, "roles": role, "branches": "*"})
    for i, m in enumerate(fleet["meters"]):
        m["branch"] = town.branch_of(i, m)
    api.post("/v1/meters/import", fleet, timeout=600)
    doc = town.customers(fleet, "2026-09-01")
    answer = api.post("/v1/customers/import", doc, timeout=600)
    if answer.get("refused"):
        raise RuntimeError("the town was not taken whole: %s" % answer["refused"][:3])
    steps.progress("%d meters, %d customers" % (len(fleet["meters"]), len(doc["parties"])))


def load_tariffs(daemon, steps):
    folder = os.path.join(harness.ROOT, "billing", "tariff", "samples")
    names = []
    approver = daemon.login(*ADMIN)  # another person than the one who loads them
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                document = json.load(f)
            t = daemon.api.post("/v1/tariffs", {"document": document})
            for step in ("approve", "activate"):
                approver.post("/v1/tariffs/%s/%s" % (t["code"], step), {"version": t["version"]})
            names.append(t["code"])
    steps.progress(", ".join(names))


def sweep(daemon, steps):
    daemon.api.post("/v1/sweep", {"from": SPAN[0], "to": SPAN[1]})

    def ended():
        run = daemon.api.get("/v1/sweep")["run"]
        steps.progress("%s of %s meters read" % (run["done"], run["meters"]))
        return run if run.get("finished") else None
    return harness.wait_until(ended, 900, "the sweep of the polled meters", 0.2)


def collect_pushes(daemon, sim, steps):
    """The pushing meters end by themselves once everything was acknowledged."""
    harness.wait_until(sim.pushed, 900, "the pushing meters", 0.2)

    def loaded():
        s = daemon.api.get("/v1/status")["components"]["ingest"]
        held = int(daemon.psql("select count(*) from mdm.quarantine where state in ('held', 'due')")[0][0])
        steps.progress("%s messages durable and loaded; those that came before their meter was registered are replayed"
                       % s["durable_total"])
        return s["drained"] and not held
    harness.wait_until(loaded, 300, "the spool to be loaded", 0.2)


def bill(daemon, steps):
    """One clerk makes the runs, another approves them: never the same person."""
    maker, approver = daemon.login(*CLERK), daemon.login(*APPROVER)
    runs = []
    for b in town.BRANCHES:
        run = maker.post("/v1/runs", {"branch": b["code"], "cycle": "monthly", "from": MONTH[0], "to": MONTH[1]})
        daemon.api.job(run["job_id"], 900, lambda j: steps.progress("%s of %s accounts" % (j.get("done"), j.get("total"))))
        approver.post("/v1/runs/%s/approve" % run["run"])
        issue = maker.post("/v1/runs/%s/issue" % run["run"])
        daemon.api.job(issue["job_id"], 900)
        runs.append(daemon.api.get("/v1/runs/%s" % run["run"]))
    return runs


def every(daemon, path, member, limit=500):
    """All rows of a paged list."""
    rows, cursor = [], None
    while True:
        page = daemon.api.get("%s%slimit=%d%s" % (path, "&" if "?" in path else "?", limit,
                                                  "&cursor=" + cursor if cursor else ""))
        rows += page[member]
        cursor = page.get("next")
        if not cursor:
            return rows


def print_invoices(daemon, state, invoices, steps):
    folder = os.path.join(state, "invoices")
    os.makedirs(folder, exist_ok=True)
    for inv in invoices:
        status, data, _ = daemon.api.raw("GET", "/v1/invoices/%s/pdf" % inv["number"])
        if status != 200 or not data.startswith(b"%PDF"):
            raise RuntimeError("invoice %s: status %d, no PDF" % (inv["number"], status))
        with open(os.path.join(folder, inv["number"].replace("/", "-") + ".pdf"), "wb") as f:
            f.write(data)
    steps.progress("%d PDFs in %s" % (len(invoices), folder))


def pay_and_serve(daemon, invoices, steps):
    clerk = daemon.login(*CLERK)
    inv = invoices[0]
    payment = clerk.post("/v1/payments", {"channel": "cash", "reference": "demo-1", "amount": str(inv["total"]),
                                          "currency": inv["currency"], "invoice": inv["number"]})
    request = clerk.post("/v1/requests", {"account": inv["account"], "type": "high_bill",
                                          "text": "Why is October higher than September?"})
    clerk.post("/v1/requests/%s/reply" % request["number"], {"text": "The load curve shows the second half of the "
                                                                     "month; the bill's lines are explained online."})
    clerk.post("/v1/requests/%s/close" % request["number"], {"text": "Explained by telephone."})
    steps.progress("payment %s, request %s closed" % (payment.get("receipt"), request["number"]))
    return payment, request


def run(args, steps, daemon):
    steps.begin("start", "daemon, database and broker start")
    daemon.start()
    steps.progress("ready")
    sim = make_simulator(args, daemon)
    try:
        steps.begin("simulator", "a town of simulated meters wakes up")
        sim.start()
        steps.begin("register", "town is registered")
        register_town(daemon, sim.fleet, steps)
        steps.begin("tariffs", "tariffs are loaded and prove their examples")
        load_tariffs(daemon, steps)
        steps.begin("sweep", "polled meters: DLMS and Modbus")
        sweep(daemon, steps)
        steps.begin("push", "pushing meters: MQTT and CoAP")
        collect_pushes(daemon, sim, steps)
        steps.begin("seal", "days are sealed into blocks")
        daemon.api.job(daemon.api.post("/v1/seal", {"until": SPAN[1][:10]})["job_id"], 600)
        steps.begin("count", "every value is counted")
        result, notes = truth.compare(daemon, sim.truth(), *SPAN)
        steps.progress(", ".join("%s %d" % (p, r["stored"]) for p, r in sorted(result.items())))
        steps.begin("validate", "readings are validated")
        for b in town.BRANCHES:
            v = daemon.api.post("/v1/vee/runs", {"branch": b["code"], "from": MONTH[0], "to": MONTH[1]})
            daemon.api.job(v["job_id"], 600)
        steps.begin("bill", "October is billed, approved, issued")
        runs = bill(daemon, steps)
        invoices = every(daemon, "/v1/invoices", "items")
        steps.progress("%d invoices" % len(invoices))
        steps.begin("print", "invoices are printed")
        print_invoices(daemon, args.state, invoices, steps)
        steps.begin("pay", "a payment is taken, a customer answered")
        payment, request = pay_and_serve(daemon, invoices, steps)
        steps.end()
    finally:
        sim.stop()
    return summarise(daemon, args, steps, {
        "protocols": result, "notes": notes, "runs": runs, "payment": payment,
        "request": request["number"], "invoices": len(invoices)})


def summarise(daemon, args, steps, s):
    protocols = s["protocols"]
    s["ledger"] = daemon.api.get("/v1/ledger/sums")
    s["durations_s"] = steps.durations
    s["lost"] = sum(r["lost"] for r in protocols.values())
    s["doubled"] = sum(r["doubled"] for r in protocols.values())
    s["wrong"] = sum(r["wrong"] for r in protocols.values())
    s["meters"] = sum(r["meters"] for r in protocols.values())
    s["console"] = "http://127.0.0.1:%d/" % daemon.http_port
    path = os.path.join(args.state, "summary.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(s, f, indent=2, ensure_ascii=False)
        f.write("\n")
    print("\n%-8s %7s %10s %10s %6s %8s" % ("protocol", "meters", "expected", "stored", "lost", "doubled"))
    for name, r in sorted(protocols.items()):
        print("%-8s %7d %10d %10d %6d %8d" % (name, r["meters"], r["expected"], r["stored"], r["lost"], r["doubled"]))
    for r in s["runs"]:
        print("run %s: %s bills, %s %s, %s exceptions" % (r.get("run"), r.get("bills"), r.get("total"), r.get("currency"),
                                                          len(r.get("exceptions") or ())))
    print("%d invoices; one paid, receipt %s; request %s closed" % (s["invoices"], s["payment"].get("receipt"), s["request"]))
    for n in s["notes"]:
        print("! " + n)
    print("summary: %s" % path)
    return s


def serve(daemon):
    print("\nConsole  http://127.0.0.1:%d/   user %s, password %s" % (daemon.http_port, *ADMIN))
    print("Command  build/headrace --socket %s status" % daemon.socket_path)
    print("Ctrl-C ends everything.")
    try:
        while daemon.process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()


def on_term(signum, frame):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, on_term)
    args = parse()
    steps = Steps()
    args.state = os.path.abspath(args.state)
    harness.remove(args.state)
    os.makedirs(args.state, exist_ok=True)
    daemon = harness.Daemon(args.build, args.state,
                            config="[plugin billrun]\nsingle_operator = no\n" if os.environ.get("DEMO_STRICT") else "")
    daemon.sections["daemon"]["admin_login"] = ADMIN[0]
    daemon.sections["daemon"]["admin_password"] = ADMIN[1]
    daemon.sections["api"]["body_limit"] = "64M"
    began = time.monotonic()
    rc = 1
    try:
        s = run(args, steps, daemon)
        print("finished in %.0f s" % (time.monotonic() - began))
        rc = 0 if s["lost"] == 0 and s["doubled"] == 0 and s["wrong"] == 0 and s["invoices"] > 0 else 1
        if args.then:
            env = dict(os.environ, DEMO_URL=s["console"].rstrip("/"), DEMO_USER=ADMIN[0], DEMO_PASSWORD=ADMIN[1],
                       DEMO_STATE=args.state, DEMO_SOCKET=daemon.socket_path)
            rc = subprocess.run(args.then, shell=True, env=env, check=False).returncode or rc
        elif not args.exit:
            serve(daemon)
    except KeyboardInterrupt:
        print("\nstopped")
        rc = 130
    except Exception as e:
        steps.end()
        print("\nThe demo failed: %s\n\nThe daemon's last words:\n%s" % (e, daemon.log_tail(15)), file=sys.stderr)
        if os.environ.get("DEBUG"):
            raise
    finally:
        if daemon.process:
            status = daemon.stop()
            if status != 0:
                print("headraced ended with status %s" % status, file=sys.stderr)
                rc = rc or 1
    return rc


if __name__ == "__main__":
    sys.exit(main())
