#!/usr/bin/env python3
"""A meter that pushes over UDP and wants it confirmed hears so once its message is durable, with its own invoke id, and
not otherwise. The daemon runs as a concentrator: no database, no broker.

usage: push_confirm.py BUILD"""
import os
import socket
import sys

import harness


def wrapper(apdu, source=1, destination=0x66):
    return b"".join(v.to_bytes(2, "big") for v in (1, source, destination, len(apdu))) + apdu


def notification(invoke, value):
    """A data-notification without time: one unsigned number."""
    return b"\x0f" + invoke.to_bytes(4, "big") + b"\x00\x06" + value.to_bytes(4, "big")


def ask(s, message):
    s.send(message)
    try:
        return s.recv(2048)
    except socket.timeout:
        return None


def main():
    state = harness.scratch("confirm")
    c = harness.Checks("push_confirm")
    port = harness.free_port()
    d = harness.Daemon(sys.argv[1], state, role="concentrator", embedded=False,
                       config="[push]\naddress = 127.0.0.1\ntcp_port = %d\nudp_port = %d\n" % (port, port))
    d.sections.pop("database")
    d.sections["upstream"] = {"host": "127.0.0.1", "port": harness.free_port(), "id": "C1"}
    try:
        d.start()
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as s:
                s.connect(("127.0.0.1", port))
                s.settimeout(5)
                for n in range(3):
                    invoke = 0x40000000 | n
                    c.equal(ask(s, wrapper(notification(invoke, 7 + n))),
                            wrapper(b"\x10" + invoke.to_bytes(4, "big") + b"\x00", 0x66, 1), "a confirmed push is confirmed")
                s.settimeout(0.5)
                c.equal(ask(s, wrapper(notification(5, 1))), None, "an unconfirmed one is not")
        c.equal(d.stop(), 0, "the daemon's end")
    finally:
        d.kill()
        harness.remove(state)
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
