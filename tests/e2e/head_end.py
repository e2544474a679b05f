"""What the tests of commands and schedules share: a daemon with its own PostgreSQL and simulated DLMS meters."""
import os

import harness
import servers

FROM, TO = "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"


class HeadEnd:
    """Daemon, database, simulator; two people beside the administrator."""

    def __init__(self, name, build, sim_args, sections=None, config=""):
        self.build, self.state = build, harness.scratch(name)
        self.db = servers.Postgres()
        self.daemon = harness.Daemon(build, self.state, config=config, embedded=False, database=self.db.url)
        self.daemon.psql = self.db.sql
        del self.daemon.sections["mqtt"]
        self.daemon.sections["coap"]["enabled"] = "no"
        self.daemon.sections["sweep"].update({"back": "10d", "retry_min": "1s", "jitter": "0s"})
        for section, keys in (sections or {}).items():
            self.daemon.sections.setdefault(section, {}).update(keys)
        first = [] if "--from" in sim_args else ["--from", FROM]
        self.sim = harness.Simulator(build, self.state, *first, *sim_args)
        self.people = {}

    def start(self, change=None):
        self.daemon.start()
        self.daemon.api.post("/v1/branches", {"branch_id": 1, "code": "HN", "name": "Hà Nội"})
        self.sim.start()
        for m in self.sim.fleet["meters"]:
            m["branch"] = "HN"
        self.meters = [m["serial"] for m in self.sim.fleet["meters"]]
        if change:
            change(self.sim.fleet)
        self.daemon.api.post("/v1/meters/import", self.sim.fleet)
        for login in ("anna", "binh"):
            self.daemon.api.post("/v1/users", {"login": login, "password": "a long enough password", "roles": "operator", "branches": "*"})
            self.people[login] = self.daemon.login(login, "a long enough password")
        return self

    @property
    def api(self):
        return self.daemon.api

    def command(self, serial, kind, params=None, reason="test", by="anna", **more):
        body = {"kind": kind, "params": params or {}, "reason": reason}
        body.update(more)
        return self.people[by].post("/v1/meters/%s/commands" % serial, body)

    def approve(self, command, by="binh"):
        return self.people[by].post("/v1/commands/%s/approve" % command["command_id"])

    def show(self, command):
        return self.api.get("/v1/commands/%s" % command["command_id"])

    def ended(self, command, timeout=60):
        def look():
            c = self.show(command)
            return c if c["ended_at"] else None
        try:
            return harness.wait_until(look, timeout, "command %s to end" % command["command_id"], 0.1)
        except TimeoutError:
            print(self.show(command))
            print(self.daemon.log_tail())
            raise

    def events(self, kind):
        return [e for e in self.api.get("/v1/events?limit=1000&type=" + kind).get("items", []) if e["type"] == kind]

    def close(self):
        self.sim.stop()
        self.daemon.kill()
        self.db.close()
        if os.environ.get("HEADRACE_KEEP"):
            print(open(self.daemon.log_path, errors="replace").read()[-8000:])
        harness.remove(self.state)


def refused(call, checks, status, code, what):
    """That a call is refused, with this code."""
    try:
        call()
    except harness.Problem as e:
        checks.equal((e.status, e.problem.get("code")), (status, code), what)
        return e.problem
    checks.ok(False, what + ": it was taken")
    return {}
