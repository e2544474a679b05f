#!/usr/bin/env python3
"""kill -9 twenty times in the middle of sessions with GMAC meters: no invocation counter is used twice, none lower than
one before. What the daemon sends is taken down by a proxy that parses it on its own, shares no code with the daemon, and
stands where the meters are said to be.

usage: counters_kill9.py BUILD [KILLS]"""
import random
import socket
import sys
import threading
import time

import harness
from head_end import HeadEnd

CIPHERED = {0xC8, 0xC9, 0xCB, 0xD0, 0xD1, 0xD3, 0x21}  # glo-get/set/action, ded-..., glo-initiate


class Frames:
    """Cuts a client's octets into HDLC frames by their length field and finds invocation counters in them."""

    def __init__(self, found):
        self.data, self.found = b"", found

    def feed(self, octets):
        self.data += octets
        while True:
            start = self.data.find(b"\x7e")
            if start < 0 or len(self.data) < start + 3:
                return
            if self.data[start + 1] == 0x7E:
                self.data = self.data[start + 1:]
                continue
            size = (self.data[start + 1] & 7) << 8 | self.data[start + 2]
            if len(self.data) < start + 1 + size:
                return
            self.frame(self.data[start + 1:start + 1 + size])
            self.data = self.data[start + 1 + size:]

    def frame(self, f):
        at = 2
        for _ in range(2):  # destination, source
            while not f[at] & 1:
                at += 1
            at += 1
        control = f[at]
        info = f[at + 3:-2] if len(f) > at + 3 else b""
        if control & 1 or info[:2] != b"\xe6\xe6":  # no I-frame, or not the first segment
            return
        apdu = info[3:]
        if apdu and apdu[0] in CIPHERED:
            self.ciphered(apdu)
        elif apdu and apdu[0] == 0x60:  # AARQ: the initiate request stands in its user information
            at = apdu.find(b"\xbe")
            while at >= 0:
                if at + 5 < len(apdu) and apdu[at + 2] == 0x04 and apdu[at + 4] == 0x21:
                    self.ciphered(apdu[at + 4:])
                    return
                at = apdu.find(b"\xbe", at + 1)

    def ciphered(self, apdu):
        at = 2 if apdu[1] < 0x80 else 2 + (apdu[1] & 0x7F)
        self.found(int.from_bytes(apdu[at + 1:at + 5], "big"), apdu[0])


class Proxy(threading.Thread):
    """One meter's door: passes everything on, slowly enough for a kill to fall between, notes every counter."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.counters, self.bad = port, [], []
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(16)
        self.port = self.server.getsockname()[1]
        self.lock = threading.Lock()
        self.start()

    def found(self, counter, tag):
        with self.lock:
            last = self.counters[-1] if self.counters else -1
            if counter <= last:
                self.bad.append((last, counter, hex(tag)))
            self.counters.append(max(counter, last))
            self.count = len(self.counters)

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(client,), daemon=True).start()

    def session(self, client):
        try:
            meter = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            client.close()
            return
        frames = Frames(self.found)

        def pump(a, b, take):
            try:
                while True:
                    octets = a.recv(4096)
                    if not octets:
                        break
                    if take:
                        frames.feed(octets)
                        time.sleep(0.01)
                    b.sendall(octets)
            except OSError:
                pass
            for s in (a, b):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        back = threading.Thread(target=pump, args=(meter, client, False), daemon=True)
        back.start()
        pump(client, meter, True)
        back.join(5)
        client.close()
        meter.close()


def main():
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    checks = harness.Checks("counters_kill9")
    h = HeadEnd("counters", sys.argv[1], ["--dlms-hdlc", "6", "--counter-ahead", "230"],
                {"sweep": {"period": "1s", "retry_min": "100ms"}})
    proxies = []

    def doors(fleet):
        for m in fleet["meters"]:
            p = Proxy(m["address"]["port"])
            proxies.append(p)
            m["address"]["port"] = p.port
    rng = random.Random(20)
    in_middle = 0
    try:
        h.start(doors)
        for _ in range(kills):
            before = sum(len(p.counters) for p in proxies)
            harness.wait_until(lambda: sum(len(p.counters) for p in proxies) > before + 5, 60, "sessions", 0.01)
            time.sleep(rng.uniform(0, 0.3))
            n = sum(len(p.counters) for p in proxies)
            h.daemon.kill()
            in_middle += sum(len(p.counters) for p in proxies) - n < 3
            h.daemon.start(api=False)
        h.daemon.wait_api()
        for serial in h.meters:
            answer = harness.wait_until(lambda s=serial: read(h, s), 60, "meter %s to be read at the end" % serial, 0.2)
            checks.equal(answer["cause"], "read", "%s at the end: %s" % (serial, answer["detail"]))
        for p, serial in zip(proxies, h.meters):
            checks.equal(p.bad, [], "%s: counters used twice or lowered (last, then, APDU)" % serial)
            checks.ok(len(p.counters) > 2 * kills, "%s: the proxy saw %d ciphered requests" % (serial, len(p.counters)))
            # The meters had seen 230 million: the first visit asked and went on above it.
            checks.ok(p.counters[-1] > 230000000, "%s was resynchronised" % serial)
        print("%d kills, %d counters seen, all rising" % (kills, sum(len(p.counters) for p in proxies)))
    finally:
        h.close()
    return checks.done()


def read(h, serial):
    try:
        answer = h.api.post("/v1/meters/%s/read" % serial)
    except harness.Problem:
        return None
    return answer if answer["read"] else None


if __name__ == "__main__":
    sys.exit(main())
