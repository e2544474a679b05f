"""A private PostgreSQL and a private mosquitto for tests that stop and start them at will."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import free_port, skip, wait_until


class Postgres:
    """Unix socket only; runs as an unprivileged user when the test is root."""

    def __init__(self, options=""):
        """@options: more command line of the server, "-c shared_buffers=256MB"."""
        self.options = options
        bins = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not bins:
            skip("PostgreSQL is not installed")
        self.bin = bins[-1]
        self.dir = tempfile.mkdtemp(prefix="hrpg.")
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("nobody")
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        self._run([self.bin + "/initdb", "-D", self.dir + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "--no-sync"])
        self.url = "host=%s user=headrace dbname=headrace" % self.dir
        self.start()
        for db, statement in (("postgres", "create role headrace login"),
                              ("postgres", "create database headrace owner headrace"),
                              ("headrace", "create extension btree_gist"), ("headrace", "create extension pg_trgm")):
            self.sql(statement, user="postgres", db=db)

    def _run(self, argv):
        demote = None
        if self.user:
            def demote():
                os.setgroups([])
                os.setgid(self.user.pw_gid)
                os.setuid(self.user.pw_uid)
        subprocess.run(argv, cwd=self.dir, preexec_fn=demote, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        self._run([self.bin + "/pg_ctl", "-D", self.dir + "/data", "-w", "-l", self.dir + "/log", "-o",
                   "-c listen_addresses= -c unix_socket_directories=%s -c max_connections=60 -c timezone=UTC %s"
                   % (self.dir, self.options),
                   "start"])

    def stop(self, mode="fast"):
        self._run([self.bin + "/pg_ctl", "-D", self.dir + "/data", "-w", "-m", mode, "stop"])

    def sql(self, statement, user="headrace", db="headrace"):
        out = subprocess.run(["psql", "-X", "-q", "-t", "-A", "-F", "\x1f", "-h", self.dir, "-U", user, "-d", db, "-v",
                              "ON_ERROR_STOP=1", "-c", "set headrace.branches = '*'", "-c", statement],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if out.returncode:
            raise RuntimeError(out.stderr.decode())
        return [line.split("\x1f") for line in out.stdout.decode().splitlines()]

    def close(self):
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass
        shutil.rmtree(self.dir, ignore_errors=True)


class Broker:
    def __init__(self):
        if not shutil.which("mosquitto") and not os.path.exists("/usr/sbin/mosquitto"):
            skip("mosquitto is not installed")
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="hrmq.")
        self.config = os.path.join(self.dir, "mosquitto.conf")
        with open(self.config, "w") as f:
            f.write("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"
                    "user root\nmax_inflight_messages 1000\nmax_queued_messages 1000000\nlog_dest stderr\n"
                    % (self.port, self.dir))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", self.config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

        def answers():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(answers, 20, "mosquitto")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
