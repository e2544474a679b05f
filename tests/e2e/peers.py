#!/usr/bin/env python3
"""Independent implementations against ours: mosquitto's clients, coap-client over DTLS with a right, a wrong
and an unknown identity, mbpoll reading our simulator, pymodbus being the meter our daemon reads.

usage: peers.py BUILD"""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import harness
import servers
import truth

AT = 1760000400  # 2025-10-09T09:00:00Z, a whole quarter of an hour
SENML = json.dumps([{"bn": "", "bt": AT, "n": "energy.import", "u": "Wh", "v": 321},
                    {"t": 900, "n": "energy.import", "u": "Wh", "v": 123}])
KEY = "headrace-peer-01"  # coap-client takes keys as text


def meters(port):
    """What meter.import takes: one meter for each peer."""
    base = {"maker": "PEER", "period_s": 900, "branch": "HN", "commodity": "electricity"}
    return {"meters": [
        dict(base, serial="MQ1", model="HR-MQTT-SENML", protocol="mqtt", identity="peer-mq1", address={}),
        dict(base, serial="CO1", model="HR-COAP-SENML", protocol="coap", identity="peer-co1", address={},
             commodity="heat", keys={"psk": KEY.encode().hex()}),
        dict(base, serial="MB1", model="EASTRON-SDM630", protocol="modbus", identity="127.0.0.1:%d/1" % port,
             address={"host": "127.0.0.1", "port": port, "unit": 1}),
    ]}


PYMODBUS = """
import struct, sys
from pymodbus.server.sync import StartTcpServer
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusSlaveContext, ModbusServerContext
regs = [0] * 0x0200
def f32(address, value):
    regs[address], regs[address + 1] = struct.unpack(">HH", struct.pack(">f", value))
f32(0x48, 12345.5); f32(0x4A, 7.25); f32(0x4C, 3.5); f32(0x4E, 1.5)
f32(0x00, 230.0); f32(0x02, 231.0); f32(0x04, 229.5); f32(0x34, 1500.0); f32(0x46, 50.0)
block = ModbusSequentialDataBlock(0, regs)
store = ModbusSlaveContext(ir=block, hr=block, zero_mode=True)
StartTcpServer(context=ModbusServerContext(slaves=store, single=True), address=("127.0.0.1", int(sys.argv[1])))
"""


def pymodbus_server(state, port):
    path = os.path.join(state, "pymodbus_meter.py")
    source = PYMODBUS
    probe = subprocess.run(["/usr/bin/python3", "-c", "import pymodbus.server.sync"], stderr=subprocess.DEVNULL, check=False)
    if probe.returncode:
        source = source.replace("pymodbus.server.sync", "pymodbus.server")
    with open(path, "w") as f:
        f.write(source)
    server = subprocess.Popen(["/usr/bin/python3", path, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    harness.wait_until(answers, 20, "the pymodbus meter")
    return server


def readings(db, serial, channel):
    rows = db.sql("select extract(epoch from r.at)::bigint, r.value from mdm.meter m cross join mdm.channel c "
                  "cross join lateral mdm.readings(m.meter_id, c.channel, '2000-01-01', '2100-01-01') r "
                  "where m.serial = '%s' and c.code = '%s' order by 1" % (serial, channel))
    return [(int(a), int(b)) for a, b in rows]


def coap(port, identity, key, payload, timeout=8):
    """(exit status, output) of coap-client; -u identity, -k key."""
    p = subprocess.run(["coap-client-openssl", "-m", "post", "-t", "110", "-u", identity, "-k", key, "-B", str(timeout),
                        "-v", "6", "-e", payload, "coaps://127.0.0.1:%d/v1/telemetry" % port],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout + 20, check=False)
    return p.stdout.decode(errors="replace")


def check_mqtt(checks, db, broker):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t",
                    "headrace/v1/peer-mq1/telemetry", "-m", SENML], check=True)
    got = harness.wait_until(lambda: readings(db, "MQ1", "energy.import"), 20, "mosquitto_pub's reading")
    checks.equal(got, [(AT, 321), (AT + 900, 123)], "values mosquitto_pub sent")
    # Again, as a broker would after a lost acknowledgement: nothing doubles.
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t",
                    "headrace/v1/peer-mq1/telemetry", "-m", SENML], check=True)
    time.sleep(2)
    checks.equal(readings(db, "MQ1", "energy.import"), [(AT, 321), (AT + 900, 123)], "the same message again")


def check_coap(checks, db, port):
    body = SENML.replace("energy.import", "heat.energy")
    out = coap(port, "peer-co1", KEY, body)
    got = []
    try:
        got = harness.wait_until(lambda: readings(db, "CO1", "heat.energy"), 10, "coap-client's reading")
    except TimeoutError:
        print(out[-2000:])
    checks.equal(got, [(AT, 321), (AT + 900, 123)], "values coap-client sent with the right key")
    checks.ok("2.04" in out, "coap-client was answered 2.04")
    before = readings(db, "CO1", "heat.energy")
    wrong = coap(port, "peer-co1", "not-the-peers-key", body.replace("321", "999"))
    checks.ok("2.04" not in wrong, "a wrong key gets no 2.04")
    unknown = coap(port, "nobody", KEY, body.replace("321", "998"))
    checks.ok("2.04" not in unknown, "an unknown identity gets no 2.04")
    checks.equal(readings(db, "CO1", "heat.energy"), before, "nothing stored for wrong key or unknown identity")


def check_pymodbus(checks, daemon, db):
    answer = daemon.api.post("/v1/meters/MB1/read", {}, timeout=60)
    print("pymodbus meter read:", json.dumps(answer)[:300])
    want = {"energy.import.total": 12345500, "energy.export.total": 7250, "reactive.import.total": 3500}
    for channel, value in want.items():
        got = harness.wait_until(lambda c=channel: readings(db, "MB1", c), 20, "the pymodbus meter's %s" % channel)
        checks.equal(got[-1][1], value, "pymodbus meter, %s" % channel)


def check_mbpoll(checks, build, state):
    """mbpoll (libmodbus) reads our simulated meter; its register equals the truth file."""
    sim = harness.Simulator(build, state, "--modbus", "1", "--from", "2026-10-01T00:00:00Z", "--to", "2026-10-02T00:00:00Z",
                            "--seed", "5").start()
    try:
        a = sim.fleet["meters"][0]["address"]
        out = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(a["port"]), "-a", str(a["unit"]), "-0", "-t", "3", "-r", "256",
                              "-c", "2", "-1", "127.0.0.1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = out.stdout.decode()
        words = [int(line.split(":")[1].split()[0]) & 0xFFFF for line in text.splitlines() if line.startswith("[")]
        checks.equal(len(words), 2, "registers mbpoll read: %s" % text[-300:])
        total = truth.expected(sim.truth())
        last = max((at, v) for (p, i, c), s in total.items() if c == "energy.import.total" for at, v in s.items())
        checks.equal((words[0] << 16 | words[1]) * 10, last[1] // 10 * 10, "mbpoll's total against the truth file")
    finally:
        sim.stop()


def main():
    build = sys.argv[1]
    for tool in ("mosquitto_pub", "coap-client-openssl", "mbpoll"):
        if not shutil.which(tool):
            harness.skip("%s is not installed" % tool)
    checks = harness.Checks("peers")
    state = harness.scratch("peers")
    db, broker = servers.Postgres(), servers.Broker()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    daemon.sections["mqtt"]["port"] = broker.port
    port = harness.free_port()
    meter = pymodbus_server(state, port)
    try:
        daemon.start()
        daemon.api.post("/v1/branches", {"branch_id": 1, "code": "HN", "name": "Hà Nội"})
        daemon.api.post("/v1/meters/import", meters(port))
        check_mqtt(checks, db, broker)
        check_coap(checks, db, daemon.coap_port)
        check_pymodbus(checks, daemon, db)
        check_mbpoll(checks, build, state)
        checks.equal(daemon.stop(), 0, "exit status of the daemon")
    finally:
        meter.kill()
        meter.wait()
        daemon.kill()
        broker.close()
        db.close()
        harness.remove(state)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
