"""Starts the real daemon and the simulator, and talks to them as a client would.

Python's standard library only. Everything a test starts it also ends, by process id; all ports
are picked free on the loopback."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SKIP = 77


def shared_dir():
    return os.environ.get("HEADRACE_SHARED", os.path.join(ROOT, "..", "shared"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(check, timeout, what, every=0.05):
    """The first true value of check(), or an error that says what was waited for."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited %g s for %s" % (timeout, what))
        time.sleep(every)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Problem(Exception):
    def __init__(self, status, body):
        self.status, self.body = status, body
        try:
            self.problem = json.loads(body)
        except ValueError:
            self.problem = {}
        super().__init__("%d %s" % (status, self.problem.get("detail") or body[:300]))


class Api:
    """Over the unix socket (administrator by peer credentials) or, with a token, over TCP."""

    def __init__(self, socket_path=None, port=None, token=None):
        self.socket_path, self.port, self.token = socket_path, port, token

    def raw(self, method, path, body=None, headers=None, timeout=120):
        if self.socket_path:
            c = UnixConnection(self.socket_path, timeout)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        head = {"Accept": "application/json"}
        if self.token:
            head["Authorization"] = "Bearer " + self.token
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            head["Content-Type"] = "application/json"
        if method != "GET":
            head["Idempotency-Key"] = str(uuid.uuid4())
        head.update(headers or {})
        try:
            c.request(method, path, body, head)
            r = c.getresponse()
            return r.status, r.read(), dict((k.lower(), v) for k, v in r.getheaders())
        finally:
            c.close()

    def call(self, method, path, body=None, **kw):
        status, data, _ = self.raw(method, path, body, **kw)
        if status >= 400:
            raise Problem(status, data.decode(errors="replace"))
        return json.loads(data) if data else {}

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, {} if body is None else body, **kw)

    def job(self, job_id, timeout=600, progress=None):
        """Waits for a job's end; an end other than done is an error with the job's own words."""
        def ended():
            j = self.get("/v1/jobs/%s" % job_id)
            if progress:
                progress(j)
            return j if j["status"] not in ("queued", "running") else None
        j = wait_until(ended, timeout, "job %s" % job_id, 0.1)
        if j["status"] != "done":
            raise RuntimeError("job %s ended as %s: %s" % (job_id, j["status"], j.get("error") or j))
        return j


class Daemon:
    """One headraced with its own state directory, configuration and ports."""

    def __init__(self, build, state, config="", role="all", embedded=True, database=None):
        self.build, self.state = os.path.abspath(build), os.path.abspath(state)
        os.makedirs(self.state, exist_ok=True)
        self.http_port, self.mqtt_port, self.coap_port = free_port(), free_port(), free_port()
        self.socket_path = os.path.join(self.state, "headrace.sock")
        if len(self.socket_path) > 100:
            self.socket_path = os.path.join(tempfile.mkdtemp(prefix="hrsock."), "headrace.sock")
        self.config_path = os.path.join(self.state, "headrace.conf")
        self.log_path = os.path.join(self.state, "headraced.log")
        self.role, self.process = role, None
        self.sections = {
            "daemon": {"role": role, "state_dir": self.state},
            "database": {"url": database} if database else {"embedded": "true"},
            "broker": {"embedded": "true" if embedded else "false", "port": self.mqtt_port},
            "mqtt": {"host": "127.0.0.1", "port": self.mqtt_port},
            "coap": {"enabled": "yes", "port": self.coap_port, "address": "127.0.0.1"},
            # Only what a test asks for: simulated meters hold months of the past.
            "sweep": {"back": "0s", "period": "1d"},
            "api": {"address": "127.0.0.1", "port": self.http_port, "socket": self.socket_path,
                    "console_dir": os.path.join(self.build, "console")},
        }
        self.extra = config

    def write_config(self):
        with open(self.config_path, "w") as f:
            for name, keys in self.sections.items():
                f.write("[%s]\n" % name)
                for k, v in keys.items():
                    f.write("%s = %s\n" % (k, v))
                f.write("\n")
            f.write(self.extra)

    @property
    def api(self):
        return Api(socket_path=self.socket_path)

    def http(self, token=None):
        return Api(port=self.http_port, token=token)

    def login(self, user, password):
        return self.http(self.http().post("/v1/login", {"user": user, "password": password})["token"])

    def start(self, timeout=120, env=None, api=True):
        """Returns when the daemon has told the service manager READY=1."""
        self.write_config()
        notify_path = os.path.join(tempfile.gettempdir(), "hrn.%d.%s" % (os.getpid(), uuid.uuid4().hex[:8]))
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        os.chmod(notify_path, 0o777)
        notify.settimeout(0.1)
        log = open(self.log_path, "ab")
        e = dict(os.environ, NOTIFY_SOCKET=notify_path, **(env or {}))
        e.pop("JOURNAL_STREAM", None)
        began = time.monotonic()
        self.process = subprocess.Popen([os.path.join(self.build, "headraced"), "--config", self.config_path],
                                        stdout=log, stderr=log, env=e, cwd=self.state)
        log.close()
        try:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError("headraced ended with %s before it was ready:\n%s"
                                       % (self.process.returncode, self.log_tail()))
                if time.monotonic() - began > timeout:
                    raise TimeoutError("headraced is not ready after %d s:\n%s" % (timeout, self.log_tail()))
                try:
                    if b"READY=1" in notify.recv(4096):
                        break
                except socket.timeout:
                    pass
        except BaseException:
            self.kill()
            raise
        finally:
            notify.close()
            os.unlink(notify_path)
        self.ready_s = time.monotonic() - began
        if api and self.role != "concentrator":
            self.wait_api(timeout)
        return self

    def wait_api(self, timeout=120):
        """The API answers once the database does; the meters' side is ready before that."""
        def answers():
            if self.process.poll() is not None:
                raise RuntimeError("headraced ended with %s:\n%s" % (self.process.returncode, self.log_tail()))
            try:
                return self.api.raw("GET", "/v1/status", timeout=10)[0] == 200
            except OSError:
                return False
        wait_until(answers, timeout, "the API")

    def log_tail(self, n=30):
        try:
            with open(self.log_path, errors="replace") as f:
                return "".join(f.readlines()[-n:])
        except OSError:
            return ""

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, timeout=60):
        """Clean end; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError("headraced did not end within %d s:\n%s" % (timeout, self.log_tail()))

    def embedded_dir(self):
        return os.path.realpath(os.path.join(self.state, "embedded"))

    def psql(self, sql, *args):
        """Rows of a statement as lists of text, read beside the daemon, not through it."""
        out = subprocess.run(["psql", "-X", "-q", "-t", "-A", "-F", "\x1f", "-h", self.embedded_dir(), "-U", "headrace",
                              "-d", "headrace", "-v", "ON_ERROR_STOP=1", "-c", "set headrace.branches = '*'", "-c", sql],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if out.returncode:
            raise RuntimeError(out.stderr.decode())
        return [line.split("\x1f") for line in out.stdout.decode().splitlines()]

    def cli(self, *args, check=True, stdin=None):
        p = subprocess.run([os.path.join(self.build, "headrace"), "--socket", self.socket_path, *args],
                           input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if check and p.returncode:
            raise RuntimeError("headrace %s: %d\n%s" % (" ".join(args), p.returncode, p.stderr.decode()))
        return p


class Simulator:
    def __init__(self, build, state, *args):
        self.fleet_path = os.path.join(state, "fleet.json")
        self.truth_path = os.path.join(state, "truth.jsonl")
        self.log_path = os.path.join(state, "sim.log")
        self.command = [os.path.join(os.path.abspath(build), "headrace-sim"), "--fleet", self.fleet_path,
                        "--truth", self.truth_path, *args]
        self.process = None

    def start(self, timeout=60):
        for p in (self.fleet_path, self.truth_path):
            if os.path.exists(p):
                os.unlink(p)
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError("headrace-sim ended with %d: %s"
                                   % (self.process.returncode, open(self.log_path, errors="replace").read()[-2000:]))
            try:
                with open(self.fleet_path) as f:
                    return json.load(f)
            except (OSError, ValueError):
                return None
        self.fleet = wait_until(ready, timeout, "the simulator's fleet file")
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode if self.process else None

    def pushed(self):
        """Whether every pushing meter has been acknowledged for all it had to say."""
        if self.process.poll() is not None:
            raise RuntimeError("headrace-sim ended with %d" % self.process.returncode)
        with open(self.log_path, errors="replace") as f:
            return "pushes complete" in f.read()

    def truth(self):
        with open(self.truth_path) as f:
            for line in f:
                yield json.loads(line)


class Checks:
    """Counts what held; a run without a single check has failed."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def ok(self, condition, what):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s" % what, flush=True)
        return bool(condition)

    def equal(self, got, expected, what):
        return self.ok(got == expected, "%s: got %r, expected %r" % (what, got, expected))

    def done(self):
        print("%s: %d checks held, %d did not" % (self.name, self.passed, self.failed), flush=True)
        return 0 if self.passed and not self.failed else 1


def scratch(name):
    """A fresh state directory, removed at the end unless HEADRACE_KEEP is set."""
    d = tempfile.mkdtemp(prefix="hr-%s." % name)
    os.chmod(d, 0o755)
    return d


def remove(state):
    if os.environ.get("HEADRACE_KEEP"):
        print("kept: %s" % state)
        return
    link = os.path.join(state, "embedded")
    if os.path.islink(link):
        shutil.rmtree(os.path.realpath(link), ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


def skip(why):
    print("SKIP: %s" % why)
    sys.exit(SKIP)
