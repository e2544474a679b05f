#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "meter_ops.h"
#include "host_sql.h"
#include "migrate.h"

static const struct config_key host_keys[] = {
        { "plugin_dir", CONFIG_PATH, NULL,
          "Folder of the plugins to load (*.so). Unset: the one of the installation" },
        { "workers", CONFIG_INT, "4", "Threads that run operations", NULL, 1, 32 },
        { "job_workers", CONFIG_INT, "2", "Threads that run jobs", NULL, 1, 16 },
        { "queue", CONFIG_INT, "256",
          "Operations that may wait for a thread; more are told to come back", NULL, 1, 100000 },
        { "instance", CONFIG_TEXT, "headraced",
          "Name under which this daemon leases jobs. Unique among the daemons of one database" },
        { NULL },
};
const struct config_section host_config[] = {
        { "host", "Plugins, operations and jobs", host_keys },
        { NULL },
};

int host_new(struct host **ret, const struct host_options *options)
{
        struct host *h = calloc(1, sizeof *h);
        pthread_condattr_t attr;

        if (!h)
                return -ENOMEM;
        h->options = *options;
        h->db = options->db;
        if (h->options.workers <= 0)
                h->options.workers = 4;
        if (h->options.workers > 32)
                h->options.workers = 32;
        if (!h->options.job_workers)
                h->options.job_workers = 2;
        if (h->options.job_workers > 16)
                h->options.job_workers = 16;
        if (h->options.queue <= 0)
                h->options.queue = 256;
        h->instance = strdup(options->instance ? options->instance : "headraced");
        h->rate = rate_new();
        h->tail = &h->head;
        h->started_at = host_now_ms();
        routes_init(&h->routes);
        arena_init(&h->sections_arena, 0);
        pthread_mutex_init(&h->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&h->work, &attr);
        pthread_cond_init(&h->idle, &attr);
        pthread_cond_init(&h->job_wake, &attr);
        pthread_cond_init(&h->event_wake, &attr);
        pthread_condattr_destroy(&attr);
        if (!h->instance || !h->rate || host_add_builtin(h, &core_plugin, NULL) ||
            host_add_builtin(h, &meter_plugin, NULL)) {
                host_free(h);
                return -ENOMEM;
        }
        status_init(h);
        *ret = h;
        return 0;
}

bool host_stopping(struct host *h)
{
        bool yes;

        pthread_mutex_lock(&h->lock);
        yes = h->stopping;
        pthread_mutex_unlock(&h->lock);
        return yes;
}

static void threads_stop(struct host *h)
{
        pthread_mutex_lock(&h->lock);
        h->stopping = true;
        pthread_cond_broadcast(&h->work);
        pthread_cond_broadcast(&h->idle);
        pthread_cond_broadcast(&h->job_wake);
        pthread_cond_broadcast(&h->event_wake);
        pthread_mutex_unlock(&h->lock);
        for (int i = 0; i < h->threads_n; i++)
                pthread_join(h->threads[i], NULL);
        h->threads_n = 0;
}

void host_free(struct host *h)
{
        if (!h)
                return;
        threads_stop(h);
        while (h->plugins) {
                struct host_plugin *p = h->plugins;

                h->plugins = p->next;
                if (p->dl)
                        dlclose(p->dl);
                free(p->path);
                free(p);
        }
        routes_deinit(&h->routes);
        arena_deinit(&h->sections_arena);
        rate_free(h->rate);
        free(h->ops);
        free(h->job_types);
        free(h->event_plugins);
        free(h->instance);
        pthread_cond_destroy(&h->work);
        pthread_cond_destroy(&h->idle);
        pthread_cond_destroy(&h->job_wake);
        pthread_cond_destroy(&h->event_wake);
        pthread_mutex_destroy(&h->lock);
        free(h);
}

int host_set_object(struct host *h, const char *name, void *object)
{
        for (size_t i = 0; i < sizeof h->objects / sizeof *h->objects; i++)
                if (!h->objects[i].name || !strcmp(h->objects[i].name, name)) {
                        h->objects[i].name = name;
                        h->objects[i].object = object;
                        return 0;
                }
        return -ENOSPC;
}

/* ---- configuration of the plugins ---- */

static struct config_key *section_keys(struct arena *a, const struct hr_config_key *from)
{
        struct config_key *keys;
        size_t n = 0;

        while (from[n].name)
                n++;
        keys = arena_alloc(a, (n + 1) * sizeof *keys);
        for (size_t i = 0; keys && i < n; i++)
                keys[i] = (struct config_key){ .name = from[i].name,
                                               .type = CONFIG_TEXT,
                                               .default_value = from[i].default_value,
                                               .help = from[i].help };
        return keys;
}

const struct config_section *host_plugin_sections(struct host *h)
{
        struct config_section *list;
        size_t n = 0;

        arena_deinit(&h->sections_arena);
        arena_init(&h->sections_arena, 0);
        list = arena_alloc(&h->sections_arena, (size_t)(h->plugins_n + 1) * sizeof *list);
        for (struct host_plugin *p = h->plugins; list && p; p = p->next) {
                if (!p->p->config || !p->p->config->name)
                        continue;
                list[n].name = p->p->name;
                list[n].help = p->p->summary;
                list[n].keys = section_keys(&h->sections_arena, p->p->config);
                n += list[n].keys != NULL;
        }
        return list;
}

/* ---- start ---- */

static int op_add(struct host *h, struct host_plugin *p, const struct hr_operation *op,
                  struct buf *errors)
{
        const struct host_op *twin = host_find_op(h, op->name);
        struct host_op *o = &h->ops[h->ops_n];
        int r;

        if (twin) {
                host_say(errors, "%s: operation %s is already there, by %s", p->p->name, op->name,
                         twin->plugin->p->name);
                return -EINVAL;
        }
        o->op = op;
        o->plugin = p;
        h->ops_n++;
        r = routes_add(&h->routes, op->method, op->path, o);
        if (r)
                host_say(errors, "%s: operation %s: route %s %s %s", p->p->name, op->name,
                         op->method, op->path,
                         r == -EEXIST ? "is already taken"
                                      : "is malformed; it must be like /v1/things/{thing}");
        return r;
}

static int ops_build(struct host *h, struct buf *errors)
{
        size_t n = 0;
        int r = 0;

        for (int i = 0; i < h->ordered_n; i++)
                for (const struct hr_operation *op = h->ordered[i]->p->operations; op && op->name;
                     op++)
                        n++;
        h->ops = calloc(n + 1, sizeof *h->ops);
        if (!h->ops)
                return -ENOMEM;
        for (int i = 0; i < h->ordered_n; i++)
                for (const struct hr_operation *op = h->ordered[i]->p->operations; op && op->name;
                     op++) {
                        int e = op_add(h, h->ordered[i], op, errors);

                        r = r ? r : e;
                }
        return r ? -EINVAL : 0;
}

static int names_build(struct host *h, struct buf *errors)
{
        struct buf types = BUF_INIT, events = BUF_INIT;
        int r = 0;

        for (int i = 0; i < h->ordered_n; i++) {
                const struct hr_plugin *p = h->ordered[i]->p;

                for (const struct hr_job_type *t = p->jobs; t && t->name; t++) {
                        struct host_plugin *owner = NULL;

                        job_type_find(h, t->name, &owner);
                        if (owner != h->ordered[i]) {
                                host_say(errors, "%s: job type %s is already there, by %s", p->name,
                                         t->name, owner->p->name);
                                r = -EINVAL;
                        }
                        buf_printf(&types, "%s%s", types.len ? " " : "", t->name);
                }
                if (p->subscriptions && p->subscriptions->type)
                        buf_printf(&events, "%s%s", events.len ? " " : "", p->name);
        }
        h->job_types = strdup(buf_cstr(&types));
        h->event_plugins = strdup(buf_cstr(&events));
        if (!h->job_types || !h->event_plugins || types.failed || events.failed)
                r = -ENOMEM;
        buf_deinit(&types);
        buf_deinit(&events);
        return r;
}

static int migrate_one(struct host *h, const char *owner, const struct hr_migration *m,
                       struct buf *errors)
{
        char error[1024] = "";
        int r = migrate_run(h->db, owner, m, error, sizeof error);

        if (r)
                host_say(errors, "%s: %s", owner, error);
        return r;
}

static int migrate_all(struct host *h, struct buf *errors)
{
        int r = migrate_one(h, "core", store_migrations, errors);

        for (int i = 0; !r && i < h->ordered_n; i++)
                if (h->ordered[i]->p->migrations)
                        r = migrate_one(h, h->ordered[i]->p->name, h->ordered[i]->p->migrations,
                                        errors);
        return r;
}

static int init_all(struct host *h, struct buf *errors)
{
        for (int i = 0; i < h->ordered_n; i++) {
                struct host_plugin *p = h->ordered[i];

                if (p->p->init && p->p->init(host_table) != HR_OK) {
                        host_say(errors, "%s: its init() failed; the log may have more",
                                 p->p->name);
                        return -EIO;
                }
                p->running = true;
        }
        return 0;
}

static int thread_add(struct host *h, void *(*run)(void *))
{
        int r = -pthread_create(&h->threads[h->threads_n], NULL, run, h);

        h->threads_n += r == 0;
        return r;
}

static int threads_start(struct host *h)
{
        int r = 0;

        h->started = true;
        for (int i = 0; !r && i < h->options.workers; i++)
                r = thread_add(h, worker_thread);
        if (h->options.job_workers > 0)
                jobs_release_own(h);
        for (int i = 0; !r && i < h->options.job_workers; i++)
                r = thread_add(h, job_thread);
        if (!r)
                r = thread_add(h, event_thread);
        return r ? r : thread_add(h, keep_thread);
}

int host_plan(struct host *h, struct buf *errors)
{
        int r = h->planned ? 0 : plugins_order(h, errors);

        if (h->planned)
                return 0;
        if (!r)
                r = ops_build(h, errors);
        if (!r)
                r = names_build(h, errors);
        h->planned = !r;
        return r;
}

/* May be called again after -ECANCELED, when the database was away. */
int host_start(struct host *h, struct buf *errors)
{
        int r = host_plan(h, errors);

        if (!r)
                r = migrate_all(h, errors);
        if (!r) {
                r = events_register(h);
                if (r)
                        host_say(errors, "host: the database is away");
        }
        if (!r)
                r = init_all(h, errors);
        if (!r) {
                r = threads_start(h);
                if (r)
                        host_say(errors, "host: cannot start its threads: %s", strerror(-r));
        }
        return r;
}

/* ---- tests and the demo ---- */

static int64_t count_of(struct host *h, const char *sql, const char *param)
{
        struct db_conn *c = db_take(h->db, 2000, NULL);
        struct db_rows *rows = NULL;
        int64_t n = 1;

        if (!c)
                return 1;
        if (db_begin(c, "*", true) == DB_OK && db_query(c, sql, 1, &param, &rows) == DB_OK)
                n = db_rows_int(rows, 0, 0);
        db_rows_free(rows);
        db_give(h->db, c);
        return n;
}

int host_drain(struct host *h, int timeout_ms)
{
        int64_t until = host_now_ms() + timeout_ms;

        while (count_of(h, sql_cursor_pending, h->options.no_events ? "" : h->event_plugins) ||
               count_of(h, sql_job_open, h->job_types)) {
                if (host_now_ms() > until)
                        return -ETIMEDOUT;
                nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        }
        return 0;
}
