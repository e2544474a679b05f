#!/usr/bin/env python3
"""Bad input of every kind costs only itself: a clear answer, nothing stored, the daemon up.

usage: bad_input.py BUILD"""
import os
import socket
import subprocess
import sys
import threading
import time
import uuid

import harness
import servers


def check_config(checks, build, state):
    path = os.path.join(state, "bad.conf")
    with open(path, "w") as f:
        f.write("[daemon]\nrole = al\n[api]\nprot = 80\nport = 99999\n[nosuch]\nx = 1\n")
    p = subprocess.run([os.path.join(build, "headraced"), "--check-config", "--config", path], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    text = p.stdout.decode()
    checks.ok(p.returncode != 0, "a wrong configuration is refused")
    for want in ("bad.conf:2", "role", "bad.conf:4", "did you mean \"port\"", "bad.conf:5", "0 to 65535", "bad.conf:6",
                 "nosuch"):
        checks.ok(want in text, "--check-config names %r: %s" % (want, text))
    p = subprocess.run([os.path.join(build, "headraced"), "--config", "/nonexistent.conf"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    checks.ok(p.returncode not in (0, -6, -11) and "/nonexistent.conf" in p.stdout.decode(), "a missing file is named")
    p = subprocess.run([os.path.join(build, "headraced"), "--frobnicate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False)
    checks.ok(p.returncode == 2 and "--frobnicate" in p.stdout.decode(), "an unknown option is named")


def check_http(checks, daemon):
    api = daemon.api
    token = daemon.login("admin", "a-long-enough-password")
    status, body, _ = token.raw("POST", "/v1/branches", b"{" + b"x" * (10 << 20))
    checks.equal(status, 413, "a body of 10 MB")
    checks.ok(b"detail" in body, "the refusal says why: %r" % body[:200])
    for name, payload in (("not JSON", b"{nope"), ("duplicate keys", b'{"code":"A","code":"B"}'), ("an array", b"[]"),
                          ("NUL", b'{"code":"\x00"}'), ("not UTF-8", b'{"code":"\xff"}')):
        status, body, _ = api.raw("POST", "/v1/branches", payload)
        checks.ok(400 <= status < 500, "%s: %d %r" % (name, status, body[:100]))
    for path in ("/v1/nosuch", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/meters/%00"):
        status, body, _ = api.raw("GET", path)
        # A path that is neither a file nor the API's is one of the console's own: its page, nothing else.
        checks.ok(status in (400, 404) or (status == 200 and body.lstrip().lower().startswith(b"<!doctype html")),
                  "%s: %d %r" % (path, status, body[:60]))
        checks.ok(b"root:" not in body, "%s leaks nothing" % path)
    status, _, head = api.raw("DELETE", "/v1/branches")
    checks.equal(status, 405, "a method the path does not have")
    status, _, _ = harness.Api(port=daemon.http_port).raw("GET", "/v1/meters")
    checks.equal(status, 401, "no token")
    status, _, _ = harness.Api(port=daemon.http_port, token="0" * 64).raw("GET", "/v1/meters")
    checks.equal(status, 401, "a made-up token")


def check_idempotency(checks, daemon, db):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"branch": "HN", "name": "Nguyễn Văn Đôi", "phone": "84901112222"}
    first = daemon.api.raw("POST", "/v1/customers", body, key)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(daemon.api.raw("POST", "/v1/customers", body, key)))
               for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    checks.ok(first[0] in (200, 201), "customer created: %s" % first[1][:200])
    for a in answers:
        checks.equal(a[1], first[1], "the same key gives the same answer")
    checks.equal(db.sql("select count(*) from crm.party where name = 'Nguyễn Văn Đôi'"), [["1"]], "one row for six posts")
    other = daemon.api.raw("POST", "/v1/customers", dict(body, name="Anders"), key)
    checks.ok(other[0] in (409, 422), "the same key with another body: %d" % other[0])


def publish(broker, topic, payload):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic, "-s"],
                   input=payload, check=True)


def check_mqtt(checks, daemon, broker, db):
    good = b'[{"bt":1760000400,"n":"energy.import","u":"Wh","v":5}]'
    bad = [b"", b"{", b"[]", b"[" * 5000, b"\xff\xfe\x00", b'[{"n":"energy.import","u":"Wh","v":1e400,"bt":1}]',
           b'[{"n":"energy.import","u":"bananas","v":1,"bt":1760000400}]',
           b'[{"n":"energy.import","u":"Wh","v":"x","bt":1760000400}]', b"A" * 200000]
    for payload in bad:
        if payload:
            publish(broker, "headrace/v1/bad-1/telemetry", payload)
    publish(broker, "headrace/v1/never-registered/telemetry", good)
    publish(broker, "headrace/v1/bad-1/telemetry", good)

    def good_one():
        return db.sql("select r.value from mdm.meter m cross join lateral mdm.readings(m.meter_id, 1::smallint, "
                      "'2025-01-01', '2026-01-01') r where m.serial = 'B1'")
    checks.equal(harness.wait_until(good_one, 30, "the good message behind the bad ones"), [["5"]], "only the good value")
    kept = db.sql("select count(*) from mdm.quarantine where identity = 'never-registered'")
    checks.equal(kept, [["1"]], "the unknown meter's message is kept")
    fleet = {"meters": [{"serial": "N1", "maker": "T", "model": "HR-MQTT-SENML", "commodity": "electricity",
                         "protocol": "mqtt", "identity": "never-registered", "branch": "HN", "address": {}}]}
    daemon.api.post("/v1/meters/import", fleet)

    def replayed():
        return db.sql("select r.value from mdm.meter m cross join lateral mdm.readings(m.meter_id, 1::smallint, "
                      "'2025-01-01', '2026-01-01') r where m.serial = 'N1'")
    checks.equal(harness.wait_until(replayed, 30, "the replay"), [["5"]], "replayed once registered")


def check_sockets(checks, daemon):
    """Garbage on every port, a sender of one byte a second, a thousand half-open connections."""
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=5) as s:
            s.sendall(os.urandom(300))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        for n in (0, 1, 13, 200, 1400):
            u.sendto(os.urandom(n), ("127.0.0.1", daemon.coap_port))
    held = []
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", daemon.http_port), timeout=5)
        s.sendall(b"GET /v1/status HTTP/1.1\r\nHo")
        held.append(s)
    began = time.monotonic()
    status, _, _ = daemon.api.raw("GET", "/v1/status")
    checks.equal(status, 200, "others are served meanwhile")
    checks.ok(time.monotonic() - began < 2, "and without delay")
    for s in held:
        s.close()


def main():
    build = os.path.abspath(sys.argv[1])
    checks = harness.Checks("bad_input")
    state = harness.scratch("bad")
    db, broker = servers.Postgres(), servers.Broker()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    daemon.sections["mqtt"]["port"] = broker.port
    daemon.sections["daemon"].update(admin_login="admin", admin_password="a-long-enough-password")
    try:
        check_config(checks, build, state)
        daemon.start()
        pid = daemon.process.pid
        daemon.api.post("/v1/branches", {"branch_id": 1, "code": "HN", "name": "Hà Nội"})
        daemon.api.post("/v1/meters/import", {"meters": [
            {"serial": "B1", "maker": "T", "model": "HR-MQTT-SENML", "commodity": "electricity", "protocol": "mqtt",
             "identity": "bad-1", "branch": "HN", "address": {}}]})
        check_http(checks, daemon)
        check_idempotency(checks, daemon, db)
        check_mqtt(checks, daemon, broker, db)
        check_sockets(checks, daemon)
        checks.ok(daemon.process.poll() is None and daemon.process.pid == pid, "the same daemon is still up")
        checks.equal(daemon.stop(), 0, "clean end")
        with open(daemon.log_path, errors="replace") as f:
            log = f.read()
        checks.ok("a-long-enough-password" not in log, "no password in the log")
        checks.ok("ERROR: AddressSanitizer" not in log and "runtime error" not in log, "no sanitizer report")
    finally:
        daemon.kill()
        broker.close()
        db.close()
        harness.remove(state)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
