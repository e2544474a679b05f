#!/usr/bin/env python3
"""./dev bench: every figure of docs/benchmarks.md, each as a ratio against its yardstick in the same run.

usage: bench.py --build DIR [--write] [--full] [NAME...]     --write puts the table into docs/benchmarks.md"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import billing  # noqa: E402
import harness  # noqa: E402
import servers  # noqa: E402

ROWS = []


def row(name, figure, yardstick, ratio, how):
    ROWS.append((name, figure, yardstick, ratio, how))
    print("%-34s %-28s %-34s %s" % (name, figure, yardstick, ratio), flush=True)


def program(build, name):
    return os.path.join(build, "tests", "bench", name)


def rss_kb(pid, field="VmRSS"):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(field + r":\s+(\d+)", f.read()).group(1))


# ---- DLMS ----

def callgrind(argv):
    """Instructions of a whole program run."""
    with tempfile.NamedTemporaryFile() as out:
        p = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out.name, *argv],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return int(re.search(r"Collected : (\d+)", p.stderr.decode()).group(1)), p.stdout.decode()


def per_round(argv):
    """Instructions of one round: the difference between many and few, so start-up cancels out."""
    few, _ = callgrind([*argv, "10"])
    many, text = callgrind([*argv, "110"])
    return (many - few) / 100, text


# What an independent C client needs (FACTS), in instructions; None: it was not measured there.
SESSIONS = (("wrapper", "none", 0.57e6), ("wrapper", "lls", None), ("hdlc", "none", None), ("hdlc", "gmac", 4.3e6))


def bench_sessions(build):
    for framing, auth, yardstick in SESSIONS:
        per, text = per_round([program(build, "dlms_session"), "-f", framing, "-a", auth])
        trips = re.search(r"(\d+) round trips", text).group(1)
        row("DLMS profile session, %s %s" % (framing, auth), "%.3f M instructions" % (per / 1e6),
            "%.2f M, an independent C client" % (yardstick / 1e6) if yardstick else "(not measured there)",
            "%.3f" % (per / yardstick) if yardstick else "-",
            "callgrind, the client's side: associate, clock, capture objects, 96 rows, release; %s round trips" % trips)
    per, text = per_round([program(build, "dlms_session"), "-c", "-f", "wrapper", "-a", "gmac"])
    trips = int(re.search(r"(\d+) round trips", text).group(1))
    row("DLMS profile session, wrapper gmac, warm cache", "%d round trips" % trips, "8, an independent C client without cache",
        "%.2f" % (trips / 8), "clock and profile in one request with list; %.3f M instructions" % (per / 1e6))
    for meters in (1, 1024):
        argv = [program(build, "dlms_push"), "-m", str(meters)]
        per, _ = per_round(argv)
        text = subprocess.run([*argv, "300000"], stdout=subprocess.PIPE, check=True).stdout.decode()
        row("DLMS ciphered push, keys of %d meters" % meters, "%.1f k instructions" % (per / 1e3),
            "380 k, an independent C client", "%.3f" % (per / 380e3),
            "callgrind; unpack, open, decode %s bytes: %s a second on a core"
            % (re.search(r"push of (\d+)", text).group(1), re.search(r"(\d+) a second", text).group(1)))


class Fleet:
    """A simulated fleet on this machine and dlms_fleet against it."""

    def __init__(self, build, *sim_args):
        self.build, self.state = build, harness.scratch("fleet")
        self.sim = harness.Simulator(build, self.state, "--addresses", "--from", "2026-10-01", "--to", "2026-10-02",
                                     "--now", "2026-10-02T00:00:00Z", "--progress", "0", *sim_args)

    def __enter__(self):
        self.sim.start()
        return self

    def __exit__(self, *unused):
        self.sim.stop()
        harness.remove(self.state)

    def read(self, *args):
        p = subprocess.run([program(self.build, "dlms_fleet"), "--fleet", self.sim.fleet_path, "--truth",
                            self.sim.truth_path, "--from", "2026-10-01", "--to", "2026-10-02", "--timeout", "20000", *args],
                           stdout=subprocess.PIPE, check=True)
        return json.loads(p.stdout)


def bench_concurrency(build):
    """Bare sessions at once on one loop: what each holds, what each costs."""
    cost = {}
    with Fleet(build, "--dlms-wrapper", "10000", "--delay", "300") as fleet:
        for at_once in (1000, 10000):
            r = fleet.read("--core", "--visits", str(at_once))
            cost[at_once] = r["cpu_s"] / r["completed"]
            row("DLMS sessions at once: %d" % r["peak"], "%d bytes each" % r["heap_per_session"], "8192 bytes",
                "%.2f" % (r["heap_per_session"] / 8192), "heap at the peak, pump and client; %.0f us of CPU a session, "
                "300 ms a round trip, %d failed" % (cost[at_once] * 1e6, r["failed"]))
    with Fleet(build, "--dlms-wrapper", "2000", "--delay", "300") as fleet:
        r = fleet.read("--core", "--visits", "100")
        cost[100] = r["cpu_s"] / r["completed"]
    row("DLMS CPU a session, 10,000 at once", "%.0f us" % (cost[10000] * 1e6), "100 at once: %.0f us" % (cost[100] * 1e6),
        "%.2f" % (cost[10000] / cost[100]), "one loop; 1,000 at once: %.0f us" % (cost[1000] * 1e6))


def bench_sweep(build):
    """A daily sweep over a slow link, and what it says of half a million meters."""
    at_once = 1000
    with Fleet(build, "--dlms-wrapper", "5000", "--dlms-hdlc", "5000", "--delay", "300") as fleet:
        r = fleet.read("--visits", str(at_once), "--limit", "300")
    trips, cpu = r["round_trips"] / r["visits"], r["cpu_s"] / r["visits"]
    ideal = trips * 0.3 * r["meters"] / at_once
    row("DLMS sweep of %d meters at 300 ms" % r["meters"], "%.1f s" % r["seconds"],
        "round trips x 300 ms x meters / %d: %.1f s" % (at_once, ideal), "%.2f" % (r["seconds"] / ideal),
        "%d read, %.1f round trips, %.0f us of CPU and %.1f KB a visit; %d values, %d lost, %d doubled"
        % (r["done"], trips, cpu * 1e6, r["heap_per_session"] / 1024, r["checked"], r["lost"], r["doubled"]))
    for trip_ms in (100, 300, 1000, 3000):
        sessions = 500000 * trips * trip_ms / 1000 / 3600
        row("500,000 meters in an hour at %d ms" % trip_ms, "%.0f visits at once" % (sessions + 1), "a core for an hour",
            "%.3f" % (500000 * cpu / 3600), "extrapolated from the sweep: %.1f round trips, %.0f us of CPU, %.0f MB"
            % (trips, cpu * 1e6, sessions * r["heap_per_session"] / 1e6))


def bench_dlms(build):
    bench_sessions(build)
    bench_concurrency(build)
    bench_sweep(build)


# ---- payloads ----

def bench_senml(build):
    text = subprocess.run([program(build, "bench_senml")], stdout=subprocess.PIPE, check=True).stdout.decode()
    row(*text.strip().split("|"))


# ---- MQTT ----

def publish_stream(port, messages, meters):
    """The same stream for both sides: mosquitto_pub -l, one message a line."""
    payload = "".join('[{"bt":%d,"n":"energy.import","u":"Wh","v":%d}]\n' % (1760000400 + 900 * (i // meters), i % 1000)
                      for i in range(messages))
    procs = []
    for m in range(meters):
        lines = payload.splitlines(True)[m::meters]
        p = subprocess.Popen(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t",
                              "headrace/v1/bench-%d/telemetry" % m, "-l"], stdin=subprocess.PIPE)
        threading.Thread(target=lambda p=p, d="".join(lines).encode(): (p.stdin.write(d), p.stdin.close())).start()
        procs.append(p)
    for p in procs:
        p.wait()


def timed_subscriber(broker, messages, meters):
    with tempfile.NamedTemporaryFile() as f:
        sub = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t",
                                "headrace/v1/+/telemetry", "-C", str(messages)], stdout=f)
        time.sleep(0.5)
        began = time.monotonic()
        publish_stream(broker.port, messages, meters)
        sub.wait(300)
        return messages / (time.monotonic() - began)


def timed_daemon(daemon, broker, messages, meters):
    began = time.monotonic()
    publish_stream(broker.port, messages, meters)
    harness.wait_until(lambda: daemon.api.get("/v1/status")["components"]["ingest"]["durable_total"] >= messages, 300,
                       "durable messages", 0.02)
    return messages / (time.monotonic() - began)


def bench_mqtt(build, messages=60000, meters=20):
    state = harness.scratch("bench")
    db, broker = servers.Postgres(), servers.Broker()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    daemon.sections["mqtt"]["port"] = broker.port
    try:
        plain = timed_subscriber(broker, messages, meters)
        daemon.start()
        daemon.api.post("/v1/branches", {"branch_id": 1, "code": "HN", "name": "Hà Nội"})
        daemon.api.post("/v1/meters/import", {"meters": [
            {"serial": "B%d" % m, "maker": "T", "model": "HR-MQTT-SENML", "commodity": "electricity", "protocol": "mqtt",
             "identity": "bench-%d" % m, "branch": "HN", "address": {}} for m in range(meters)]})
        ours = timed_daemon(daemon, broker, messages, meters)
        row("durable MQTT values", "%.0f a second" % ours, "mosquitto_sub to a file: %.0f" % plain, "%.2f" % (ours / plain),
            "%d QoS 1 messages of %d meters, fdatasync before each acknowledgement" % (messages, meters))
    finally:
        daemon.kill()
        broker.close()
        db.close()
        harness.remove(state)


# ---- store ----

def bench_copy(build):
    db = servers.Postgres()
    try:
        p = subprocess.run([program(build, "store-copy")], env=dict(os.environ, HEADRACE_TEST_DB=db.url),
                           stdout=subprocess.PIPE, check=True)
        for line in p.stdout.decode().splitlines():
            # name|figure|yardstick|ratio|how
            parts = line.split("|")
            if len(parts) == 5:
                row(*parts)
    finally:
        db.close()


# ---- whole processes ----

def bench_start(build):
    state = harness.scratch("start")
    db = servers.Postgres()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    try:
        daemon.sections.pop("mqtt")
        daemon.start()
        first = daemon.ready_s
        daemon.stop()
        times = []
        for _ in range(5):
            daemon.start()
            times.append(daemon.ready_s)
            rss = rss_kb(daemon.process.pid)
            daemon.stop()
        began = time.monotonic()
        subprocess.run(["psql", "-h", db.dir, "-U", "headrace", "-c", "select 1", "headrace"], stdout=subprocess.DEVNULL,
                       check=True)
        psql = time.monotonic() - began
        row("daemon start to ready", "%.0f ms" % (sorted(times)[2] * 1000), "psql select 1: %.0f ms" % (psql * 1000),
            "%.1f" % (sorted(times)[2] / psql), "median of 5; the first start with every migration %.0f ms; %d MB resident"
            % (first * 1000, rss // 1024))
    finally:
        daemon.kill()
        db.close()
        harness.remove(state)


def bench_concentrator(build):
    state = harness.scratch("conc")
    broker = servers.Broker()
    daemon = harness.Daemon(build, state, role="concentrator", embedded=False)
    daemon.sections.pop("database")
    daemon.sections["mqtt"]["port"] = broker.port
    daemon.sections["upstream"] = {"host": "127.0.0.1", "port": broker.port, "id": "bench"}
    try:
        daemon.start()
        time.sleep(1)
        kb = rss_kb(daemon.process.pid)
        row("concentrator, resident", "%.1f MB" % (kb / 1024), "16 MB", "%.2f" % (kb / 1024 / 16), "VmRSS, idle")
    finally:
        daemon.kill()
        broker.close()
        harness.remove(state)


# ---- invoices ----

def bench_pdf(build):
    text = subprocess.run([program(build, "bench_pdf"), os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "invoice.json")], stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in text.splitlines():
        row(*line.split("|"))


# ---- billing ----

SIZES = [50000]


def bench_billing(build):
    billing.bench(build, row, SIZES)


BENCHES = {"billing": bench_billing, "pdf": bench_pdf, "dlms": bench_dlms, "senml": bench_senml, "copy": bench_copy, "mqtt": bench_mqtt, "start": bench_start,
           "concentrator": bench_concentrator}


def write(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    table = "| figure | measured | yardstick in the same run | ratio | how |\n|---|---|---|---|---|\n"
    table += "".join("| %s |\n" % " | ".join(r) for r in ROWS)
    text = re.sub(r"(<!-- table -->\n).*?(<!-- end -->)", lambda m: m.group(1) + table + m.group(2), text, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--write", action="store_true")
    p.add_argument("--full", action="store_true", help="billing at 50,000, 150,000 and 500,000 accounts")
    p.add_argument("names", nargs="*")
    args = p.parse_args()
    failed = 0
    if args.full:
        SIZES[1:] = [150000, 500000]
    for name in args.names or BENCHES:
        if name not in BENCHES:
            sys.exit("there is no bench %s; there are: %s" % (name, ", ".join(BENCHES)))
        try:
            BENCHES[name](os.path.abspath(args.build))
        except Exception as e:  # one bench that cannot run must not hide the others
            print("%s: %s" % (name, e), file=sys.stderr)
            failed += 1
    if args.write and not failed:
        write(os.path.join(harness.ROOT, "docs", "benchmarks.md"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
