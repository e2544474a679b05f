/*
 * headraced: arguments, configuration, wiring. The only file that sees everything; what each part
 * does stands in its own folder.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "api.h"
#include "buf.h"
#include "collect.h"
#include "collect_ops.h"
#include "config.h"
#include "core_ops.h"
#include "db.h"
#include "host.h"
#include "ingest.h"
#include "log.h"
#include "masterkey.h"
#include "meter_ops.h"
#include "migrate.h"
#include "notify.h"
#include "registry.h"
#include "services.h"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78 };

static const struct config_key daemon_keys[] = {
        { "role", CONFIG_ENUM, "all", "What this process does", "all|collect|business|concentrator", 0, 0 },
        { "state_dir", CONFIG_PATH, "/var/lib/headrace", "Spool, keys, embedded services", NULL, 0, 0 },
        { "log_level", CONFIG_ENUM, "info", "Least important record logged", "error|warn|info|debug", 0, 0 },
        { "instance", CONFIG_TEXT, "headraced", "Name among several daemons on one database", NULL, 0, 0 },
        { "master_key", CONFIG_SECRET, NULL, "64 hexadecimal digits that seal meter keys; unset: STATE/master.key", NULL, 0,
          0 },
        { "admin_login", CONFIG_TEXT, "admin", "First administrator, made when there is no user", NULL, 0, 0 },
        { "admin_password", CONFIG_SECRET, NULL, "Password of the first administrator; unset: none is made", NULL, 0, 0 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key database_keys[] = {
        { "url", CONFIG_SECRET, NULL, "libpq connection string or URL of the database's owner (no superuser)", NULL, 0, 0 },
        { "embedded", CONFIG_BOOL, "no", "Run a private PostgreSQL instead", NULL, 0, 0 },
        { "connections", CONFIG_INT, "12", "Connections at most", NULL, 8, 500 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key broker_keys[] = {
        { "embedded", CONFIG_BOOL, "no", "Run a private MQTT broker on the loopback", NULL, 0, 0 },
        { "port", CONFIG_INT, "1883", "Its port", NULL, 1, 65535 },
        { "run_as", CONFIG_TEXT, "postgres", "User of embedded services when started by root", NULL, 0, 0 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key spool_keys[] = {
        { "max_size", CONFIG_SIZE, "8G", "Readings kept on disk while the database is away", NULL, 1 << 20, INT64_MAX },
        { "segment_size", CONFIG_SIZE, "64M", "Size of one spool file", NULL, 1 << 16, 1 << 30 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_section own_sections[] = {
        { "daemon", "The process", daemon_keys },
        { "database", "PostgreSQL", database_keys },
        { "broker", "Embedded MQTT broker", broker_keys },
        { "spool", "Durable queue before the database", spool_keys },
        { NULL, NULL, NULL },
};

enum { MAX_SECTIONS = 40 };

struct arguments {
        const char *config_path;
        const char *role; /* NULL = from the configuration */
        bool check_only;
};

struct daemon {
        uv_loop_t loop;
        uv_signal_t sigterm, sigint, sighup;
        uv_async_t started; /* the host came up on its own thread */
        uv_thread_t starter;
        bool starter_running;
        struct notify notify;
        struct arguments args;
        struct config_section sections[MAX_SECTIONS];
        struct config *config;
        struct secret master_key;
        struct services *services;
        struct db *db;
        struct registry *registry;
        struct ingest *ingest;
        struct collect *collect;
        struct host *host;
        struct api *api;
        bool collects, serves; /* what the role asks for */
        bool host_ready;
        _Atomic bool stopping;
        int exit_code;
};

static bool role_is(const struct daemon *d, const char *role)
{
        const char *r = d->args.role ? d->args.role : config_text(d->config, "daemon", "role");

        return strcmp(r, role) == 0;
}

/* ---- arguments ---- */

static const char usage[] =
        "usage: headraced [--config FILE] [--role ROLE] [--check-config]\n"
        "\n"
        "  -c, --config FILE    default /etc/headrace/headrace.conf\n"
        "  -r, --role ROLE      all, collect, business or concentrator; replaces the file's\n"
        "      --check-config   read the configuration, say what is wrong with it, end\n"
        "      --help-config    every key with type, default and meaning, as an example file\n"
        "  -V, --version\n";

static void add_sections(struct daemon *d, const struct config_section *from, size_t *n)
{
        for (; from->name && *n < MAX_SECTIONS - 1; from++)
                d->sections[(*n)++] = *from;
}

static void gather_sections(struct daemon *d)
{
        size_t n = 0;

        add_sections(d, own_sections, &n);
        add_sections(d, collect_config, &n);
        add_sections(d, host_config, &n);
        add_sections(d, api_config, &n);
}

static void print_config_help(struct daemon *d)
{
        struct buf b = BUF_INIT;

        config_describe(d->sections, &b);
        fputs(buf_cstr(&b), stdout);
        buf_deinit(&b);
}

/* -1: go on; else the exit status. */
static int parse_arguments(struct daemon *d, int argc, char **argv)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },  { "role", required_argument, NULL, 'r' },
                { "check-config", no_argument, NULL, 'k' },  { "help-config", no_argument, NULL, 'H' },
                { "version", no_argument, NULL, 'V' },       { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        d->args.config_path = "/etc/headrace/headrace.conf";
        while ((c = getopt_long(argc, argv, "c:r:Vh", options, NULL)) != -1) {
                switch (c) {
                case 'c':
                        d->args.config_path = optarg;
                        break;
                case 'r':
                        d->args.role = optarg;
                        break;
                case 'k':
                        d->args.check_only = true;
                        break;
                case 'H':
                        print_config_help(d);
                        return 0;
                case 'V':
                        printf("headraced %s\n", HEADRACE_VERSION);
                        return 0;
                case 'h':
                        fputs(usage, stdout);
                        return 0;
                default:
                        fputs(usage, stderr);
                        return EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "headraced: %s: unexpected argument\n%s", argv[optind], usage);
                return EXIT_USAGE;
        }
        if (d->args.role && strcmp(d->args.role, "all") != 0 && strcmp(d->args.role, "collect") != 0 &&
            strcmp(d->args.role, "business") != 0 && strcmp(d->args.role, "concentrator") != 0) {
                fprintf(stderr, "headraced: --role %s: there are all, collect, business and concentrator\n", d->args.role);
                return EXIT_USAGE;
        }
        return -1;
}

/* ---- configuration ---- */

static int load_config(struct daemon *d)
{
        struct buf errors = BUF_INIT;
        int r = config_load(&d->config, d->args.config_path, d->sections, &errors);

        if (r == 0 && !role_is(d, "concentrator") && !config_text(d->config, "database", "url") &&
            !config_bool(d->config, "database", "embedded")) {
                buf_printf(&errors, "%s: [database] needs url = ... or embedded = true\n", d->args.config_path);
                config_free(d->config);
                d->config = NULL;
                r = -EINVAL;
        }
        if (r)
                fprintf(stderr, "%s", errors.len ? buf_cstr(&errors) : "out of memory\n");
        buf_deinit(&errors);
        return r;
}

static void apply_log_level(struct daemon *d)
{
        enum log_level level = LOG_INFO;

        log_level_parse(config_text(d->config, "daemon", "log_level"), &level);
        log_set_level(level);
}

static const char *plugin_value(void *arg, const char *plugin, const char *key)
{
        struct daemon *d = arg;

        return config_plugin_text(d->config, plugin, key);
}

/* ---- end ---- */

static void stop_loop(struct daemon *d, int exit_code)
{
        if (d->stopping)
                return;
        d->stopping = true;
        d->exit_code = exit_code;
        log_info(NULL, "stopping");
        notify_stopping(&d->notify);
        uv_stop(&d->loop);
}

static void on_term(uv_signal_t *h, int signum)
{
        (void)signum;
        stop_loop(h->data, 0);
}

static void on_spool_failed(void *arg, int error)
{
        log_error(NULL, "the spool failed: ending, to start again on what the disk really has",
                  LOG_S("why", strerror(-error)));
        stop_loop(arg, EXIT_FAILURE);
}

static void on_reload(uv_signal_t *h, int signum)
{
        struct daemon *d = h->data;
        struct config *old = d->config;

        (void)signum;
        notify_reloading();
        d->config = NULL;
        if (load_config(d)) {
                d->config = old;
                log_error(NULL, "the new configuration is faulty; the old one stays");
        } else {
                /* What holds listeners and sessions keeps its values until the next start. */
                apply_log_level(d);
                config_free(d->config);
                d->config = old;
                log_info(NULL, "configuration read again");
        }
        if (d->registry)
                registry_reload(d->registry);
        notify_reloaded();
}

/* ---- opening ---- */

static int make_state_dir(const char *path)
{
        if (mkdir(path, 0750) && errno != EEXIST) {
                log_error(NULL, "cannot make the state directory", LOG_S("path", path), LOG_S("why", strerror(errno)));
                return -errno;
        }
        return 0;
}

/* As many descriptors as we may have: every meter session is one. */
static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int say(const char *what, struct buf *why)
{
        log_error(NULL, what, LOG_S("why", buf_cstr(why)));
        buf_deinit(why);
        return -EPROTO;
}

static int open_services(struct daemon *d, const char *state_dir)
{
        struct services_options o = {
                .state_dir = state_dir,
                .run_as = config_text(d->config, "broker", "run_as"),
                .postgres = config_bool(d->config, "database", "embedded") && !role_is(d, "concentrator"),
                .broker = config_bool(d->config, "broker", "embedded"),
                .broker_port = (int)config_int(d->config, "broker", "port"),
        };
        struct buf why = BUF_INIT;

        if (!o.postgres && !o.broker)
                return 0;
        if (services_open(&d->services, &d->loop, &o, &why))
                return say("the embedded services cannot start", &why);
        buf_deinit(&why);
        return 0;
}

static const char *conninfo(const struct daemon *d)
{
        const char *embedded = d->services ? services_database(d->services) : NULL;

        return embedded ? embedded : config_text(d->config, "database", "url");
}

static int open_store(struct daemon *d, const char *state_dir)
{
        struct buf why = BUF_INIT;
        char spool_dir[PATH_MAX];
        struct ingest_options o = {
                .spool_dir = spool_dir,
                .conninfo = role_is(d, "concentrator") ? NULL : conninfo(d),
                .spool_max_bytes = (uint64_t)config_int(d->config, "spool", "max_size"),
                .segment_bytes = (uint64_t)config_int(d->config, "spool", "segment_size"),
                .failed = on_spool_failed,
                .arg = d,
        };
        int r;

        if (!role_is(d, "concentrator")) {
                r = db_open(&d->db, conninfo(d), (int)config_int(d->config, "database", "connections"));
                if (r)
                        return r;
        }
        if (!d->collects)
                return 0;
        if (masterkey_load(&d->master_key, config_text(d->config, "daemon", "master_key"), state_dir, &why))
                return say("no master key", &why);
        buf_deinit(&why);
        snprintf(spool_dir, sizeof spool_dir, "%s/spool", state_dir);
        r = ingest_open(&d->ingest, &d->loop, &o);
        if (r)
                log_error(NULL, "cannot open the spool", LOG_S("dir", spool_dir),
                          LOG_S("why", r == -EBUSY ? "another process uses it" : strerror(-r)));
        return r;
}

/* ---- host: comes up on its own thread, because the database may be away ---- */

static void start_host(void *arg)
{
        struct daemon *d = arg;
        unsigned pause_ms = 500;

        for (;;) {
                struct buf errors = BUF_INIT;
                int r = host_start(d->host, &errors);

                if (r == 0) {
                        buf_deinit(&errors);
                        d->host_ready = true;
                        break;
                }
                log_error(NULL, "the business side cannot start", LOG_S("why", buf_cstr(&errors)));
                buf_deinit(&errors);
                if (r != -ECANCELED || d->stopping)
                        break;
                /* The database is away: readings go to the spool meanwhile. */
                for (unsigned waited = 0; waited < pause_ms && !d->stopping; waited += 50)
                        usleep(50000);
                pause_ms = pause_ms < 5000 ? pause_ms * 2 : 5000;
        }
        uv_async_send(&d->started);
}
