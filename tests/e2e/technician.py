#!/usr/bin/env python3
"""The technician's commands against simulated meters, without a daemon: over the TCP wrapper, HDLC over TCP, a serial
line and an optical head (both pseudo terminals), and every way it can fail with its own text and exit code.

usage: technician.py BUILD"""
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import tty

import harness

BUILD = os.path.abspath(sys.argv[1])
PASSWORD = "kWh-2026"


class OpticalHead(threading.Thread):
    """A meter with an optical port, at its end of a pseudo terminal: the sign-on of IEC 62056-21 in mode E as the
    standard's text has it, then the bytes of an HDLC meter that listens on TCP. Throws everything back, as cheap heads
    do, until HDLC begins."""

    def __init__(self, port, offers=rb"\2", confirms=True):
        super().__init__(daemon=True)
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path, self.slave = os.ttyname(slave), slave
        self.port, self.offers, self.confirms = port, offers, confirms
        self.acknowledged, self.stop = None, False
        self.start()

    def line(self):
        got = b""
        while not got.endswith(b"\r\n") and not self.stop:
            if select.select([self.master], [], [], 0.1)[0]:
                got += os.read(self.master, 64)
        os.write(self.master, got)
        return got

    def run(self):
        while not self.stop:
            while self.line() != b"/?!\r\n" and not self.stop:
                pass
            os.write(self.master, b"/HRS5" + self.offers + b"SIM\r\n")
            self.acknowledged = self.line()
            if self.confirms:
                os.write(self.master, self.acknowledged)
            self.hdlc()

    def hdlc(self):
        """Until nothing was said for a second after a disconnect."""
        with socket.create_connection(("127.0.0.1", self.port)) as meter:
            quiet = time.monotonic()
            while not self.stop and time.monotonic() - quiet < 1:
                for fd in select.select([self.master, meter], [], [], 0.1)[0]:
                    quiet = time.monotonic()
                    if fd is meter:
                        data = meter.recv(4096)
                        if not data:
                            return
                        os.write(self.master, data)
                    else:
                        meter.sendall(os.read(self.master, 4096))

    def close(self):
        self.stop = True
        self.join()
        os.close(self.master)
        os.close(self.slave)


class Tool:
    def __init__(self, state):
        self.state = state

    def __call__(self, *args, env=None):
        e = dict(os.environ, XDG_STATE_HOME=self.state, **(env or {}))
        for name in ("HEADRACE_GUEK", "HEADRACE_GAK", "HEADRACE_PASSWORD"):
            if not env or name not in env:
                e.pop(name, None)
        return subprocess.run([os.path.join(BUILD, "headrace"), *args], env=e, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
                              universal_newlines=True)

    def json(self, *args, **kw):
        p = self(*args, "--json", **kw)
        return p, json.loads(p.stdout) if p.stdout else None


def by_model(sim, model):
    return [m for m in sim.fleet["meters"] if m["model"] == model]


def write_keys(path, **values):
    with open(path, "w") as f:
        f.write("# of one meter\n")
        for k, v in values.items():
            f.write("%s = %s\n" % (k, v))
    os.chmod(path, 0o600)
    return path


def value_of(reply, obis):
    return next((v["value"] for v in reply["values"] if v["obis"] == obis), None)


def register(sim, meter, channel="energy.import.total"):
    """What the meter's register shows at the end of its history, from the simulator's own list."""
    for line in sim.truth():
        if line["identity"] == meter["identity"] and line["channel"] == channel:
            return line["values"]
    return None


def read_wrapper(c, tool, sim):
    url = "tcp://127.0.0.1:%d" % by_model(sim, "HR-DLMS-W")[0]["address"]["port"]
    p, reply = tool.json("read", url)
    c.equal(p.returncode, 0, "read over the wrapper: " + p.stderr)
    c.ok(re.match(r"2026-10-02 07:00:0\d", value_of(reply, "0.0.1.0.0.255") or ""), "the clock's local time")
    c.ok(int(value_of(reply, "1.0.1.8.0.255")) > 0, "the register")
    intervals = register(sim, by_model(sim, "HR-DLMS-W")[0], "energy.import")
    p, reply = tool.json("read", url, "--from", "2026-10-01T00:15:00Z", "--to", "2026-10-01T02:00:00Z")
    c.equal([r["c2"] for r in reply["profile"]["rows"]], [str(v) for v in intervals[:8]], "profile rows are the meter's")
    c.equal(reply["profile"]["period_s"], 900, "capture period")
    p = tool("read", url, "--obis", "1.0.99.9.9.255", "--obis", "1.0.1.8.0.255/3")
    c.equal(p.returncode, 1, "an object that is not there")
    c.ok("object undefined" in p.stdout and "{0, 30}" in p.stdout, "its reason in the table: " + p.stdout)
    p = tool("read", url, "--client", "1", "--auth", "lls", env={"HEADRACE_PASSWORD": PASSWORD})
    c.equal(p.returncode, 0, "with a password: " + p.stderr)
    return url


def read_hdlc(c, tool, sim, url, keys, what):
    p, reply = tool.json("read", url, "--model", "HR-DLMS-H", "--key-file", keys)
    if not c.equal(p.returncode, 0, "read over %s: %s" % (what, p.stderr)):
        return
    want = register(sim, by_model(sim, "HR-DLMS-H")[0])[-1]
    c.equal(value_of(reply, "1.0.1.8.0.255"), str(want), "the register over " + what)


def failures(c, tool, sim, state, keys):
    wrapper = "tcp://127.0.0.1:%d" % by_model(sim, "HR-DLMS-W")[0]["address"]["port"]
    meter = by_model(sim, "HR-DLMS-H")[0]
    hdlc = "hdlc://127.0.0.1:%d" % meter["address"]["port"]
    h = ["--model", "HR-DLMS-H", "--timeout", "1", "--retries", "0"]
    wrong = write_keys(os.path.join(state, "wrong.keys"), guek="00" * 16, gak=meter["keys"]["gak"])
    short = write_keys(os.path.join(state, "short.keys"), guek="0011")
    cases = [
        ("wrong key", 5, "keys do not fit", ["read", hdlc, *h, "--key-file", wrong]),
        ("wrong password", 5, "refused the password", ["read", wrapper, "--client", "1", "--auth", "lls"]),
        ("password missing", 2, "password is missing", ["read", wrapper, "--client", "2", "--auth", "sha1"]),
        ("no password given", 5, "requires authentication|refused the password",
         ["read", wrapper, "--client", "1", "--auth", "none"]),
        ("wrong server SAP", 5, "client and server SAP", ["read", wrapper, "--server", "5", "--timeout", "1"]),
        ("wrong HDLC address", 4, "HDLC address", ["read", hdlc, *h, "--server", "5", "--key-file", keys]),
        ("closed port", 3, "connection refused", ["read", "tcp://127.0.0.1:%d" % harness.free_port()]),
        ("unknown name", 3, "spelling", ["read", "tcp://meter.invalid:4059"]),
        ("no serial line", 3, "adapter", ["read", "serial:///dev/nonexistent"]),
        ("a file that is no line", 3, "no serial line", ["read", "serial:///dev/null"]),
        ("wrapper where HDLC is", 4, "hdlc://", ["read", hdlc.replace("hdlc", "tcp"), "--timeout", "1"]),
        ("key of wrong length", 2, "32 hexadecimal digits", ["read", hdlc, *h, "--key-file", short]),
        ("a URL that is none", 2, "tcp://HOST:PORT", ["read", "127.0.0.1:4059"]),
        ("no such model", 2, "no built-in model", ["read", wrapper, "--model", "NONE"]),
        ("unknown option", 2, "--fast is no option", ["read", wrapper, "--fast"]),
    ]
    texts = set()
    for what, code, text, args in cases:
        env = {"HEADRACE_PASSWORD": "not-it"} if what == "wrong password" else None
        p = tool(*args, env=env)
        c.equal(p.returncode, code, "%s: exit code (%s)" % (what, p.stderr.strip()))
        c.ok(re.search(text, p.stderr), "%s says why: %s" % (what, p.stderr.strip()))
        texts.add(p.stderr)
    c.equal(len(texts), len(cases), "every failure has a text of its own")
    c.ok("guek" not in "".join(texts).lower() or "0011" not in "".join(texts), "no key is shown")


def scan(c, tool, sim):
    url = "tcp://127.0.0.1:%d" % by_model(sim, "HR-DLMS-W")[0]["address"]["port"]
    p, reply = tool.json("scan", url, "--clients", "1,16", "--servers", "1,3", "--timeout", "1")
    c.equal(p.returncode, 0, "scan: " + p.stderr)
    c.equal(sorted((a["client"], a["server"], a["found"]) for a in reply["addresses"]),
            [(1, 1, "answers, wants authentication"), (16, 1, "associates without password")], "addresses found")
    names = {o["obis"]: o for o in reply["objects"]}
    c.equal(names["1.0.1.8.0.255"]["name"], "active import energy, total", "a name in words")
    c.equal(names["1.0.1.8.0.255"]["access"], "1-3r", "access rights")
    c.equal(names["1.0.99.1.0.255"]["kind"], "profile", "the class in words")
    p = tool("scan", url, "--clients", "16", "--servers", "9", "--timeout", "1")
    c.equal(p.returncode, 4, "scan of addresses nobody has: " + p.stderr)


def diagnose(c, tool, url, keys, sim):
    p, reply = tool.json("diagnose", url, "--model", "HR-DLMS-H", "--key-file", keys)
    steps = {s["step"]: s["result"] for s in reply["steps"]}
    c.equal([s["step"] for s in reply["steps"]],
            ["connection", "HDLC link", "public client", "association", "keys", "counter", "clock", "load profile"],
            "steps of a diagnosis")
    # The simulated clock stands still in the past: that is what a diagnosis has to find.
    c.equal(steps["clock"], "look", "a clock that is wrong is seen")
    c.equal((steps["association"], steps["keys"], p.returncode), ("ok", "ok", 8), "what else was found: " + p.stdout)
    p = tool("diagnose", "tcp://127.0.0.1:%d" % harness.free_port())
    c.equal(p.returncode, 3, "diagnosis of a closed port")
    c.ok("FAILED" in p.stdout and "cannot be read" in p.stdout, p.stdout)
    wrapper = "tcp://127.0.0.1:%d" % by_model(sim, "HR-DLMS-W")[0]["address"]["port"]
    p = tool("diagnose", wrapper, "--client", "1", "--auth", "lls", env={"HEADRACE_PASSWORD": "not-it"})
    c.equal(p.returncode, 5, "diagnosis of a wrong password")
    c.ok(re.search(r"public client +ok", p.stdout) and re.search(r"association +FAILED", p.stdout), p.stdout)


def record(c, tool, url, keys, state):
    path = os.path.join(state, "session.jsonl")
    live = tool("trace", url, "--model", "HR-DLMS-H", "--key-file", keys, "--record", path)
    c.equal(live.returncode, 0, "trace: " + live.stderr)
    c.ok("SNRM" in live.stdout and "active import energy, total: value" in live.stdout, "words of a trace")
    c.equal(os.stat(path).st_mode & 0o777, 0o600, "a recording is its owner's alone")
    again = tool("replay", path, "--key-file", keys)
    c.equal(again.returncode, 0, "replay: " + again.stderr)
    c.equal(again.stdout, live.stdout, "a replay says what the trace said")
    closed = tool("replay", path)
    c.ok("give --key-file" in closed.stdout and "active import" not in closed.stdout, "without keys it stays closed")
    with open(keys) as f:
        secrets = re.findall(r"= (\S+)", f.read())
    with open(path) as f:
        recorded = f.read()
    c.ok(not any(s.lower() in (recorded + live.stdout).lower() for s in secrets), "no key in recording or trace")
    p, _ = tool("replay", path, "--json", "--key-file", keys), None
    lines = [json.loads(line) for line in p.stdout.splitlines()]
    c.ok(any(line.get("apdu", {}) and line["apdu"].get("pdu") == "AARQ" for line in lines), "JSON of a replay")
    # One byte of the recording damaged: said, with its exit code.
    damaged = os.path.join(state, "damaged.jsonl")
    lines = recorded.splitlines(True)
    last = next(i for i in range(len(lines) - 1, 0, -1) if '"in"' in lines[i])
    lines[last] = re.sub(r'"hex":"7E(..)(..)', r'"hex":"7E\1FF', lines[last])
    with open(damaged, "w") as f:
        f.writelines(lines)
    c.equal(tool("replay", damaged, "--key-file", keys).returncode, 7, "a damaged recording")
    with open(damaged, "w") as f:
        f.write("{}\n")
    p = tool("replay", damaged)
    c.ok(p.returncode == 7 and "line 1" in p.stderr, "not a recording: " + p.stderr)


def counters(c, sim, state):
    """Never lower, though the tool is killed in mid-session; a lost file is made up for by asking the meter."""
    meter = by_model(sim, "HR-DLMS-H")[1]
    url = "hdlc://127.0.0.1:%d" % meter["address"]["port"]
    state = os.path.join(state, "second")
    os.mkdir(state)
    tool = Tool(state)
    keys = write_keys(os.path.join(state, "second.keys"), **meter["keys"])
    path = os.path.join(state, "headrace", "counters")

    def reserved():
        with open(path) as f:
            return max(int(x) for x in re.findall(r"^counter \S+ (\d+)$", f.read(), re.M))
    last = 0
    for i in range(5):
        e = dict(os.environ, XDG_STATE_HOME=state)
        p = subprocess.Popen([os.path.join(BUILD, "headrace"), "read", url, "--model", "HR-DLMS-H", "--key-file", keys],
                             env=e, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 * i)
        p.kill()
        p.wait()
        p = tool("read", url, "--model", "HR-DLMS-H", "--key-file", keys)
        c.equal(p.returncode, 0, "after a kill: " + p.stderr)
        c.ok(reserved() > last, "the counter rises")
        last = reserved()
    with open(path) as f:
        lines = f.read()
    with open(path, "w") as f:
        f.write(re.sub(r"(?m)^(counter \S+) \d+$", r"\1 5", lines))
    p = tool("read", url, "--model", "HR-DLMS-H", "--key-file", keys)
    c.equal(p.returncode, 0, "behind the meter's counter: " + p.stderr)
    c.ok(reserved() >= last - 512, "the meter's own counter was taken up")


def serial(c, tool, sim, keys, state):
    port = by_model(sim, "HR-DLMS-H")[0]["address"]["port"]
    if shutil.which("socat"):
        line = os.path.join(state, "line")
        p = subprocess.Popen(["socat", "PTY,link=%s,raw,echo=0" % line, "TCP:127.0.0.1:%d" % port])
        harness.wait_until(lambda: os.path.exists(line), 10, "socat's line")
        read_hdlc(c, tool, sim, "serial://" + line, keys, "a serial line")
        p.terminate()
        p.wait()
    head = OpticalHead(port)
    read_hdlc(c, tool, sim, "optical://" + head.path, keys, "an optical head")
    c.equal(head.acknowledged, b"\x06252\r\n", "the acknowledgement asks for HDLC at 9600 baud")
    head.close()
    head = OpticalHead(port, confirms=False)
    read_hdlc(c, tool, sim, "optical://" + head.path, keys, "an optical head that does not confirm")
    head.close()
    head = OpticalHead(port, offers=b"")
    p = tool("read", "optical://" + head.path)
    c.ok(p.returncode == 7 and "does not offer HDLC" in p.stderr and "HRS5SIM" in p.stderr, "mode C only: " + p.stderr)
    head.close()
    silent, slave = os.openpty()
    p = tool("read", "optical://" + os.ttyname(slave))
    c.ok(p.returncode == 4 and "position" in p.stderr, "nobody at the head: " + p.stderr)
    os.close(silent)
    os.close(slave)


def main():
    state = harness.scratch("technician")
    c = harness.Checks("technician")
    sim = harness.Simulator(BUILD, state, "--dlms-wrapper", "1", "--dlms-hdlc", "2", "--lls", PASSWORD, "--from",
                            "2026-10-01", "--to", "2026-10-02", "--now", "2026-10-02T00:00:00Z")
    tool = Tool(state)
    try:
        sim.start()
        meter = by_model(sim, "HR-DLMS-H")[0]
        url = "hdlc://127.0.0.1:%d" % meter["address"]["port"]
        keys = write_keys(os.path.join(state, "meter.keys"), **meter["keys"])
        read_wrapper(c, tool, sim)
        read_hdlc(c, tool, sim, url, keys, "HDLC over TCP")
        failures(c, tool, sim, state, keys)
        scan(c, tool, sim)
        diagnose(c, tool, url, keys, sim)
        record(c, tool, url, keys, state)
        counters(c, sim, state)
        serial(c, tool, sim, keys, state)
    finally:
        sim.stop()
        harness.remove(state)
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
