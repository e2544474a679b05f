#!/usr/bin/env python3
"""A concentrator without a database: keeps what meters publish while its upstream is away, forwards
it in order when it is back, over its own kill -9; and stays below 16 MB.

usage: collect_concentrator.py HEADRACED"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MESSAGES = 600


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, seconds, test):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if test():
            return
        time.sleep(0.05)
    raise SystemExit("FAILED: %s not within %d s" % (what, seconds))


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def broker(folder, name, port):
    conf = os.path.join(folder, name + ".conf")
    with open(conf, "w") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n"
                "max_inflight_messages 500\nmax_queued_messages 0\n" % port)
    p = subprocess.Popen(["/usr/sbin/mosquitto", "-c", conf], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    wait("broker", 10, lambda: answers(port))
    return p


def daemon(binary, folder):
    log = open(os.path.join(folder, "daemon.log"), "ab")
    return subprocess.Popen([binary, "--config", os.path.join(folder, "headrace.conf"), "--role", "concentrator"],
                            stdout=log, stderr=log)


def publish(port, first, count):
    lines = "".join('{"n":%d}\n' % i for i in range(first, first + count))
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-l", "-t",
                    "headrace/v1/M1/telemetry"], input=lines.encode(), check=True)


def rss_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def texts(packet_hex_lines):
    """Payloads behind the record's head: the JSON the meter sent."""
    out = []
    for line in packet_hex_lines:
        raw = bytes.fromhex(line)
        out.append(int(raw[raw.rindex(b'{"n":') + 5:-1]))
    return out


def main():
    binary = sys.argv[1]
    if not os.access("/usr/sbin/mosquitto", os.X_OK) or not shutil.which("mosquitto_sub"):
        print("SKIP: needs mosquitto and its clients")
        return 77
    folder = tempfile.mkdtemp(prefix="headrace-conc-")
    local, up = free_port(), free_port()
    with open(os.path.join(folder, "headrace.conf"), "w") as f:
        f.write("[daemon]\nrole = concentrator\nstate_dir = %s/state\n[mqtt]\nhost = 127.0.0.1\nport = %d\n"
                "[upstream]\nhost = 127.0.0.1\nport = %d\nid = C1\nrate = 400\n" % (folder, local, up))
    children = [broker(folder, "local", local)]
    d = daemon(binary, folder)
    children.append(d)
    try:
        time.sleep(1.0)
        publish(local, 0, MESSAGES // 2)          # the upstream is away
        d.send_signal(signal.SIGKILL)
        d.wait()
        children.append(broker(folder, "up", up))
        received = os.path.join(folder, "received")
        sub = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(up), "-q", "1", "-i", "head-end", "-c",
                                "-t", "headrace/v1/up/+", "-F", "%x"], stdout=open(received, "wb"))
        children.append(sub)
        time.sleep(0.5)
        d = daemon(binary, folder)
        children.append(d)
        publish(local, MESSAGES // 2, MESSAGES // 4)
        time.sleep(0.4)
        d.send_signal(signal.SIGKILL)             # in the middle of forwarding
        d.wait()
        d = daemon(binary, folder)
        children.append(d)
        publish(local, MESSAGES * 3 // 4, MESSAGES // 4)

        def got():
            with open(received) as f:
                return texts(line.strip() for line in f if line.endswith("\n"))
        wait("all messages upstream", 30, lambda: set(got()) == set(range(MESSAGES)))
        rss = rss_kib(d.pid)
        numbers = got()
        # In order but for what was sent again after a kill: each rise goes to the next one new.
        new, highest = [], -1
        for n in numbers:
            if n not in new[-MESSAGES:]:
                new.append(n)
            highest = max(highest, n)
        assert new == sorted(new), "out of order"
        d.send_signal(signal.SIGTERM)
        assert d.wait(10) == 0, "the daemon did not end well"
        print("%d messages, %d sent twice, in order; %d KiB resident" % (len(set(numbers)), len(numbers) - len(set(numbers)), rss))
        limit = 16 * 1024
        if "asan" in subprocess.run(["ldd", binary], capture_output=True, text=True).stdout:
            print("memory is not judged with sanitizers")
        else:
            assert rss < limit, "%d KiB resident" % rss
    except BaseException:
        with open(os.path.join(folder, "daemon.log")) as f:
            print(f.read()[-3000:])
        raise
    finally:
        for c in children:
            if c.poll() is None:
                c.kill()
                c.wait()
    shutil.rmtree(folder)
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
