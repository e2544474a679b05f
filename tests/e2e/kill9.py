#!/usr/bin/env python3
"""The daemon is killed ten times while MQTT and CoAP meters send, and the database is away meanwhile:
every value a meter was acknowledged for is stored exactly once.

usage: kill9.py BUILD [KILLS] [SECONDS_WITHOUT_DATABASE]"""
import random
import sys
import threading
import time

import harness
import servers
import truth

FROM, TO = "2026-10-01T00:00:00Z", "2026-10-31T00:00:00Z"


def main():
    build = sys.argv[1]
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    outage = float(sys.argv[3]) if len(sys.argv) > 3 else 60
    checks = harness.Checks("kill9")
    state = harness.scratch("kill9")
    db, broker = servers.Postgres(), servers.Broker()
    daemon = harness.Daemon(build, state, embedded=False, database=db.url)
    daemon.psql = db.sql
    daemon.sections["mqtt"]["port"] = broker.port
    sim = None
    try:
        daemon.start()
        daemon.api.post("/v1/branches", {"branch_id": 1, "code": "HN", "name": "Hà Nội"})
        # Slow enough that every kill falls into the stream.
        sim = harness.Simulator(build, state, "--mqtt", "20", "--coap", "10", "--from", FROM, "--to", TO, "--seed", "3",
                                "--rate", "30", "--broker", "127.0.0.1:%d" % broker.port, "--coap-server",
                                "127.0.0.1:%d" % daemon.coap_port).start()
        for m in sim.fleet["meters"]:
            m["branch"] = "HN"
        daemon.api.post("/v1/meters/import", sim.fleet)
        rng = random.Random(9)
        for i in range(kills):
            time.sleep(rng.uniform(0.7, 2.0))
            daemon.kill()
            if i == kills // 2:
                db.stop("immediate")
                threading.Timer(outage, db.start).start()
            # The meters' side must come up without the database; the API waits for it.
            daemon.start(api=False)
        daemon.wait_api(outage + 60)
        harness.wait_until(sim.pushed, 600, "the pushing meters to be acknowledged")

        def drained():
            return daemon.api.get("/v1/status")["components"]["ingest"]["drained"]
        harness.wait_until(drained, 300, "the spool to drain")
        daemon.api.job(daemon.api.post("/v1/seal", {"until": "2026-11-02"})["job_id"], 300)
        result, notes = truth.compare(daemon, sim.truth(), FROM, TO)
        for protocol in ("mqtt", "coap"):
            r = result.get(protocol, {})
            checks.ok(r.get("expected", 0) > 1000, "%s meters sent something worth counting: %s" % (protocol, r))
            for bad in ("lost", "doubled", "wrong"):
                checks.equal(r.get(bad), 0, "%s values %s" % (protocol, bad))
        for n in notes:
            print(n)
        print(result)
    finally:
        if sim:
            sim.stop()
        daemon.kill()
        broker.close()
        db.close()
        harness.remove(state)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
