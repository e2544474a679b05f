#include "services.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "crc.h"
#include "log.h"

enum {
        READY_TIMEOUT_MS = 60000,
        STOP_TIMEOUT_MS = 20000,
        BACKOFF_MIN_MS = 500,
        BACKOFF_MAX_MS = 30000
};

/* Arguments of one child: text and pointers kept as long as it may be restarted. */
struct command {
        char *argv[24];
        size_t n;
};

struct services {
        uv_loop_t *loop;
        uv_signal_t sigchld;
        uv_timer_t retry;
        unsigned open_handles;
        bool closing;
        char dir[PATH_MAX]; /* where the data lies */
        char conninfo[PATH_MAX + 64];
        uid_t uid;
        gid_t gid;
        struct child postgres, broker;
        struct command postgres_cmd, broker_cmd;
        int broker_port;
        unsigned restarts;
        int backoff_ms;
};

__attribute__((format(printf, 2, 3))) static int fail(struct buf *error, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        buf_vprintf(error, fmt, ap);
        va_end(ap);
        return -EPROTO;
}

__attribute__((format(printf, 2, 3))) static void arg(struct command *c, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        if (c->n + 1 < sizeof c->argv / sizeof *c->argv && vasprintf(&c->argv[c->n], fmt, ap) >= 0)
                c->n++;
        va_end(ap);
}

static void command_free(struct command *c)
{
        while (c->n > 0)
                free(c->argv[--c->n]);
        memset(c, 0, sizeof *c);
}

static void pause_ms(int ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

/* ---- where the data lies ---- */

/* May @uid walk down to @path? Only the "others" bits and ownership count; that is enough here. */
static bool reachable(const char *path, uid_t uid)
{
        char part[PATH_MAX];
        struct stat st;

        for (const char *p = path + 1;; p++) {
                if (*p != '/' && *p != 0)
                        continue;
                snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
                if (stat(part, &st) ||
                    !((st.st_mode & S_IXOTH) || (st.st_uid == uid && (st.st_mode & S_IXUSR))))
                        return false;
                if (*p == 0)
                        return true;
        }
}

static int make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, struct buf *error)
{
        if (mkdir(path, mode) && errno != EEXIST)
                return fail(error, "cannot make %s: %s", path, strerror(errno));
        if (geteuid() == 0 && chown(path, uid, gid))
                return fail(error, "cannot give %s to the embedded services' user: %s", path,
                            strerror(errno));
        return 0;
}

static void note_place(const char *state_dir, const char *dir)
{
        char link_path[PATH_MAX];

        snprintf(link_path, sizeof link_path, "%s/embedded", state_dir);
        unlink(link_path);
        if (symlink(dir, link_path))
                log_warn(NULL, "cannot note where the embedded data lies",
                         LOG_S("why", strerror(errno)));
}

static int choose_dir(struct services *s, const struct services_options *o, struct buf *error)
{
        struct sockaddr_un un;
        size_t room = sizeof un.sun_path - sizeof "/embedded/.s.PGSQL.5432";
        bool near =
                strlen(o->state_dir) < room && (geteuid() != 0 || reachable(o->state_dir, s->uid));

        if (near) {
                snprintf(s->dir, sizeof s->dir, "%s/embedded", o->state_dir);
                return make_dir(s->dir, 0700, s->uid, s->gid, error);
        }
        snprintf(s->dir, sizeof s->dir, "/var/tmp/headrace-%u-%08x", (unsigned)geteuid(),
                 crc32c(0, o->state_dir, strlen(o->state_dir)));
        note_place(o->state_dir, s->dir);
        return make_dir(s->dir, 0700, s->uid, s->gid, error);
}

static int choose_user(struct services *s, const struct services_options *o, struct buf *error)
{
        struct passwd *pw;

        s->uid = geteuid();
        s->gid = getegid();
        if (geteuid() != 0)
                return 0;
        pw = getpwnam(o->run_as);
        if (!pw || pw->pw_uid == 0)
                return fail(error,
                            "the embedded services cannot run as \"%s\": %s; set [services] run_as",
                            o->run_as, pw ? "it is root" : "there is no such user");
        s->uid = pw->pw_uid;
        s->gid = pw->pw_gid;
        return 0;
}

/* ---- PostgreSQL ---- */

static int find_postgres(char out[static PATH_MAX], const char *program, struct buf *error)
{
        glob_t g = { 0 };
        int r = glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &g);

        if (r == 0)
                snprintf(out, PATH_MAX, "%.*s%s",
                         (int)(strlen(g.gl_pathv[g.gl_pathc - 1]) - strlen("postgres")),
                         g.gl_pathv[g.gl_pathc - 1], program);
        globfree(&g);
        return r == 0 ? 0
                      : fail(error, "PostgreSQL is not installed: apt-get install postgresql, or "
                                    "set [database] url");
}

static struct child child_of(const struct services *s, const char *name, struct command *cmd,
                             const char *log, int end_signal)
{
        return (struct child){ .name = name,
                               .argv = cmd->argv,
                               .dir = s->dir,
                               .log_path = log,
                               .uid = s->uid,
                               .gid = s->gid,
                               .end_signal = end_signal };
}

static int init_cluster(struct services *s, struct buf *error)
{
        char program[PATH_MAX], data[PATH_MAX + 16];
        struct command cmd = { 0 };
        struct child c;
        int r;

        snprintf(data, sizeof data, "%s/pg/PG_VERSION", s->dir);
        if (access(data, F_OK) == 0)
                return 0;
        r = find_postgres(program, "initdb", error);
        if (r)
                return r;
        log_info(NULL, "making the embedded database", LOG_S("dir", s->dir));
        /* Made beside and renamed: a cut-off initdb never looks like a cluster. */
        arg(&cmd, "/bin/sh");
        arg(&cmd, "-c");
        arg(&cmd, "rm -rf pg.new && \"$0\" -D pg.new -U postgres -A peer -E UTF8 --locale=C.UTF-8 "
                  "--data-checksums "
                  "&& printf 'local all all trust\\n' >pg.new/pg_hba.conf && sync && mv pg.new pg");
        arg(&cmd, "%s", program);
        c = child_of(s, "initdb", &cmd, "initdb.log", SIGTERM);
        r = child_run(&c);
        command_free(&cmd);
        return r == 0 ? 0 : fail(error, "initdb failed; its words are in %s/initdb.log", s->dir);
}

/* A postmaster left by a daemon that was killed ends by itself (PDEATHSIG); wait for that. */
static int wait_old_postmaster(const struct services *s, struct buf *error)
{
        char path[PATH_MAX + 32];
        long pid = 0;
        FILE *f;

        snprintf(path, sizeof path, "%s/pg/postmaster.pid", s->dir);
        for (int waited = 0; waited < READY_TIMEOUT_MS; waited += 50) {
                f = fopen(path, "re");
                if (!f)
                        return 0;
                if (fscanf(f, "%ld", &pid) != 1)
                        pid = 0;
                fclose(f);
                if (pid <= 0 || (kill((pid_t)pid, 0) && errno == ESRCH))
                        return 0;
                pause_ms(50);
        }
        return fail(error, "another PostgreSQL (process %ld) still uses %s/pg; stop it first", pid,
                    s->dir);
}

static bool postgres_answers(const struct services *s)
{
        char conninfo[PATH_MAX + 64];

        snprintf(conninfo, sizeof conninfo,
                 "host=%s user=postgres dbname=postgres connect_timeout=2", s->dir);
        return PQping(conninfo) == PQPING_OK;
}

static int wait_ready(struct services *s, struct child *c, bool (*ready)(const struct services *),
                      struct buf *error)
{
        for (int waited = 0; waited < READY_TIMEOUT_MS; waited += 20) {
                if (ready(s))
                        return 0;
                if (child_ended(c, NULL))
                        return fail(error, "the embedded %s ended at once; its words are in %s/%s",
                                    c->name, s->dir, c->log_path);
                pause_ms(20);
        }
        return fail(error, "the embedded %s does not answer after %d s; see %s/%s", c->name,
                    READY_TIMEOUT_MS / 1000, s->dir, c->log_path);
}

static int sql(PGconn *conn, const char *statement, struct buf *error)
{
        PGresult *r = PQexec(conn, statement);
        ExecStatusType st = PQresultStatus(r);
        int ok = st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK;

        if (!ok)
                fail(error, "embedded database: %s", PQerrorMessage(conn));
        PQclear(r);
        return ok ? 0 : -EPROTO;
}

/* The daemon works as a plain owner, not as superuser: row-level security must bind it. */
static int make_database(struct services *s, struct buf *error)
{
        static const char *const once[] = {
                "do $$ begin if not exists (select from pg_roles where rolname = 'headrace') then "
                "create role headrace login; end if; end $$",
                NULL,
        };
        char conninfo[PATH_MAX + 64];
        PGconn *conn;
        PGresult *r;
        int rc = 0;

        snprintf(conninfo, sizeof conninfo, "host=%s user=postgres dbname=postgres", s->dir);
        conn = PQconnectdb(conninfo);
        for (size_t i = 0; once[i] && rc == 0; i++)
                rc = sql(conn, once[i], error);
        r = PQexec(conn, "select 1 from pg_database where datname = 'headrace'");
        if (rc == 0 && PQntuples(r) == 0)
                rc = sql(conn, "create database headrace owner headrace", error);
        PQclear(r);
        PQfinish(conn);
        if (rc)
                return rc;
        snprintf(conninfo, sizeof conninfo, "host=%s user=postgres dbname=headrace", s->dir);
        conn = PQconnectdb(conninfo);
        rc = sql(conn,
                 "set client_min_messages = warning; create extension if not exists btree_gist; "
                 "create extension if not exists pg_trgm",
                 error);
        PQfinish(conn);
        return rc;
}

static int start_postgres(struct services *s, struct buf *error)
{
        char program[PATH_MAX];
        int r = find_postgres(program, "postgres", error);

        if (r)
                return r;
        r = init_cluster(s, error);
        if (r == 0)
                r = wait_old_postmaster(s, error);
        if (r)
                return r;
        arg(&s->postgres_cmd, "%s", program);
        arg(&s->postgres_cmd, "-D");
        arg(&s->postgres_cmd, "%s/pg", s->dir);
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "listen_addresses=");
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "unix_socket_directories=%s", s->dir);
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "timezone=UTC");
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "max_connections=60");
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "shared_buffers=256MB");
        arg(&s->postgres_cmd, "-c");
        arg(&s->postgres_cmd, "max_wal_size=2GB");
        s->postgres = child_of(s, "postgres", &s->postgres_cmd, "postgres.log", SIGINT);
        r = child_start(&s->postgres);
        if (r)
                return fail(error, "cannot start %s: %s", program, strerror(-r));
        r = wait_ready(s, &s->postgres, postgres_answers, error);
        if (r == 0)
                r = make_database(s, error);
        snprintf(s->conninfo, sizeof s->conninfo, "host=%s user=headrace dbname=headrace", s->dir);
        return r;
}

/* ---- MQTT broker ---- */

static int write_broker_config(struct services *s, int port, struct buf *error)
{
        char path[PATH_MAX + 32];
        FILE *f;

        snprintf(path, sizeof path, "%s/mosquitto.conf", s->dir);
        f = fopen(path, "we");
        if (!f)
                return fail(error, "cannot write %s: %s", path, strerror(errno));
        /* The defaults drop messages beyond 1,000 queued and throttle at 20 in flight. */
        fprintf(f,
                "listener %d 127.0.0.1\nallow_anonymous true\npersistence "
                "true\npersistence_location %s/\n"
                "autosave_interval 30\nmax_inflight_messages 1000\nmax_queued_messages 1000000\n"
                "log_dest stderr\nlog_type error\nlog_type warning\nlog_type "
                "notice\nconnection_messages false\n",
                port, s->dir);
        if (fclose(f))
                return fail(error, "cannot write %s: %s", path, strerror(errno));
        if (geteuid() == 0 && chown(path, s->uid, s->gid))
                return fail(error, "cannot give %s away: %s", path, strerror(errno));
        return 0;
}

static bool broker_answers(const struct services *s)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)s->broker_port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

        if (fd >= 0)
                close(fd);
        return ok;
}

static int start_broker(struct services *s, int port, struct buf *error)
{
        const char *program = access("/usr/sbin/mosquitto", X_OK) == 0 ? "/usr/sbin/mosquitto"
                                                                       : "/usr/bin/mosquitto";
        int r = write_broker_config(s, port, error);

        s->broker_port = port;
        if (r)
                return r;
        if (access(program, X_OK))
                return fail(error, "mosquitto is not installed: apt-get install mosquitto, or set "
                                   "[mqtt] broker");
        arg(&s->broker_cmd, "%s", program);
        arg(&s->broker_cmd, "-c");
        arg(&s->broker_cmd, "%s/mosquitto.conf", s->dir);
        s->broker = child_of(s, "mosquitto", &s->broker_cmd, "mosquitto.log", SIGTERM);
        r = child_start(&s->broker);
        if (r)
                return fail(error, "cannot start %s: %s", program, strerror(-r));
        return wait_ready(s, &s->broker, broker_answers, error);
}

/* ---- supervision ---- */

static void schedule_retry(struct services *s);

static void restart_ended(struct services *s, struct child *c)
{
        int status = 0;

        if (!c->argv || (c->pid && !child_ended(c, &status)))
                return;
        s->restarts++;
        log_error(NULL, "an embedded service ended; starting it again", LOG_S("service", c->name),
                  LOG_I("status", status), LOG_I("backoff_ms", s->backoff_ms));
        if (child_start(c))
                log_error(NULL, "it could not be started", LOG_S("service", c->name));
}

static void on_retry(uv_timer_t *t)
{
        struct services *s = t->data;

        restart_ended(s, &s->postgres);
        restart_ended(s, &s->broker);
}

static void schedule_retry(struct services *s)
{
        if (s->closing || uv_is_active((uv_handle_t *)&s->retry))
                return;
        uv_timer_start(&s->retry, on_retry, (uint64_t)s->backoff_ms, 0);
        s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

/* Ended children keep pid 0 until the timer starts them: quick restarts never spin. */
static void on_sigchld(uv_signal_t *h, int signum)
{
        struct services *s = h->data;
        struct child *all[] = { &s->postgres, &s->broker };
        int64_t now = (int64_t)(uv_hrtime() / 1000000);

        (void)signum;
        for (size_t i = 0; i < 2; i++) {
                int64_t lived = now - all[i]->started_ms;

                if (!all[i]->argv || all[i]->pid == 0 || !child_ended(all[i], NULL))
                        continue;
                if (lived > BACKOFF_MAX_MS)
                        s->backoff_ms = BACKOFF_MIN_MS;
                schedule_retry(s);
        }
}

static void on_handle_closed(uv_handle_t *h)
{
        struct services *s = h->data;

        s->open_handles--;
}

static int watch(struct services *s)
{
        int r = uv_signal_init(s->loop, &s->sigchld);

        if (r)
                return r;
        uv_timer_init(s->loop, &s->retry);
        s->open_handles = 2;
        s->sigchld.data = s->retry.data = s;
        s->backoff_ms = BACKOFF_MIN_MS;
        uv_unref((uv_handle_t *)&s->sigchld);
        uv_unref((uv_handle_t *)&s->retry);
        return uv_signal_start(&s->sigchld, on_sigchld, SIGCHLD);
}

int services_open(struct services **ret, uv_loop_t *loop, const struct services_options *o,
                  struct buf *error)
{
        struct services *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->loop = loop;
        if (mkdir(o->state_dir, 0755) && errno != EEXIST)
                r = fail(error, "cannot make the state directory %s: %s", o->state_dir,
                         strerror(errno));
        else
                r = choose_user(s, o, error);
        if (r == 0)
                r = choose_dir(s, o, error);
        if (r == 0 && o->postgres)
                r = start_postgres(s, error);
        if (r == 0 && o->broker)
                r = start_broker(s, o->broker_port, error);
        if (r == 0)
                r = watch(s);
        if (r) {
                services_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

const char *services_database(const struct services *s)
{
        return s->conninfo[0] ? s->conninfo : NULL;
}

unsigned services_restarts(const struct services *s)
{
        return s->restarts;
}

void services_close(struct services *s)
{
        if (!s)
                return;
        s->closing = true;
        child_stop(&s->broker, STOP_TIMEOUT_MS);
        child_stop(&s->postgres, STOP_TIMEOUT_MS);
        if (s->open_handles) {
                uv_close((uv_handle_t *)&s->sigchld, on_handle_closed);
                uv_close((uv_handle_t *)&s->retry, on_handle_closed);
                while (s->open_handles)
                        uv_run(s->loop, UV_RUN_ONCE);
        }
        command_free(&s->postgres_cmd);
        command_free(&s->broker_cmd);
        free(s);
}
