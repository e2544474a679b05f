"""Runs a fuzz target over inputs made from the shared vector files.

usage: corpus.py KIND OUTDIR            writes the inputs, one file each
       corpus.py KIND --run PROGRAM     replays them; 77 when the vectors are not on this machine
"""
import json
import os
import subprocess
import sys
import tempfile

import corpus_services

FILES = {
    "frames": ["push_hdlc", "push_hdlc_ciphered", "hdlc_frames", "push_mbus_ciphered", "push_apdu"],
    "mbus": ["mbus_wired", "wmbus"],
    "apdus": ["acse", "xdlms", "push_apdu"],
}


def lines(shared, name):
    with open(os.path.join(shared, "vectors", name + ".jsonl"), encoding="utf-8") as f:
        return [json.loads(text) for text in f]


def mode(session):
    """The first byte of the session targets: wrapper 1, ciphered 2, dedicated 4."""
    keys = session["keys"] or {}
    return (session["framing"] == "wrapper") | bool(keys) << 1 | ("dedicated" in keys) << 2


def sessions(shared, direction):
    for session in lines(shared, "sessions"):
        sent = [bytes.fromhex(hexa) for step in session["steps"] for way, hexa in step["ex"]
                if way == direction]
        for end in (4, 8, len(sent)):
            yield bytes([mode(session)]) + b"".join(sent[:end])


def protected(shared):
    """APDUs of the cryptographic records, and of the ciphered pushes without their framing."""
    for name in ("crypto", "crypto_suite1"):
        for line in lines(shared, name):
            if "apdu" in line:
                yield bytes.fromhex(line["apdu"])
    for line in lines(shared, "push_hdlc_ciphered") + lines(shared, "push_mbus_ciphered"):
        data = bytes.fromhex(line["hex"])
        at = data.find(b"\xDB\x08")
        if at >= 0:
            yield data[at:]


def signed(shared):
    """A general-signing APDU with the fields of the general-ciphering record."""
    for line in lines(shared, "crypto_suite1"):
        if line["op"] == "general-ciphering":
            head = bytes.fromhex(line["apdu"])[1:30]
            content = bytes.fromhex(line["plain"])[:40]
            yield b"\xDF" + head + bytes([len(content)]) + content + b"\x40" + bytes(64)


def setup(shared):
    for line in lines(shared, "crypto"):
        if line["op"] == "keywrap":
            for ids in ((0,), (2, 3), (0, 0), (7,)):
                yield bytes([1, len(ids)]) + b"".join(
                    bytes([2, 2, 22, i, 9, 24]) + bytes.fromhex(line["out"]) for i in ids)
    for line in lines(shared, "crypto_suite1"):
        if line["op"] == "ecdsa-verify" and line["message"].startswith("00"):
            yield (bytes([1, 1, 2, 2, 22, 0, 9, 0x81, 128]) + bytes.fromhex(line["message"])[1:]
                   + bytes.fromhex(line["signature"]))


def inputs(shared, kind):
    if kind == "client":
        yield from sessions(shared, "rx")
    elif kind == "server":
        yield from sessions(shared, "tx")
    elif kind == "channel":
        for head in (0, 1, 2, 3, 7, 11):
            for line in lines(shared, "hdlc_frames")[:8]:
                yield bytes([head]) + bytes.fromhex(line["hex"])
        for data in list(sessions(shared, "tx")) + list(sessions(shared, "rx")):
            yield data
        yield from corpus_services.links()
    elif kind == "security":
        for line in lines(shared, "crypto"):
            if "apdu" in line:
                yield b"\0" + bytes.fromhex(line["apdu"])[2:]
    elif kind == "envelope":
        yield from protected(shared)
        yield from signed(shared)
    elif kind == "protect":
        for suite in range(3):
            for data in list(protected(shared)) + list(signed(shared)):
                yield bytes([suite]) + data
            for line in lines(shared, "xdlms")[:6]:
                for how in range(0, 128, 9):
                    yield bytes([0x81 + suite, how, how]) + bytes.fromhex(line["hex"])
    elif kind == "setup":
        yield from setup(shared)
    elif kind == "replies":
        yield from corpus_services.replies()
    elif kind == "requests":
        yield from corpus_services.requests()
    elif kind == "services":
        yield from corpus_services.services()
        for line in lines(shared, "xdlms"):
            yield bytes.fromhex(line["hex"])
    elif kind == "data":
        for line in lines(shared, "xdlms") + lines(shared, "push_apdu"):
            data = bytes.fromhex(line["hex"])
            for at in (0, 4, 18, 5):
                yield data[at:]
        yield bytes.fromhex("13020212090B000102AABB000203010203")
        yield from corpus_services.data()
    else:
        for name in FILES[kind]:
            for line in lines(shared, name):
                yield bytes.fromhex(line["hex"])


def write(shared, kind, folder):
    os.makedirs(folder, exist_ok=True)
    for i, data in enumerate(inputs(shared, kind)):
        with open(os.path.join(folder, "%s-%03d" % (kind, i)), "wb") as f:
            f.write(data)


def main():
    shared = os.environ.get("HEADRACE_SHARED", "../shared")
    if not os.path.exists(os.path.join(shared, "vectors")):
        print("SKIP: no vectors in", shared)
        return 77
    if sys.argv[2] != "--run":
        write(shared, sys.argv[1], sys.argv[2])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write(shared, sys.argv[1], folder)
        return subprocess.run([sys.argv[3], folder], check=False).returncode


sys.exit(main())
