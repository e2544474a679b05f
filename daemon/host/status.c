#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "host_sql.h"

int host_add_status(struct host *h, const char *name, host_status_fn *fn, void *arg)
{
        int r = -1;

        pthread_mutex_lock(&h->lock);
        if (h->status_n < HOST_MAX_STATUS) {
                h->status[h->status_n++] = (struct status_entry){ name, fn, arg };
                r = 0;
        }
        pthread_mutex_unlock(&h->lock);
        return r;
}

enum { STUCK_S = 60 };

static void status_host(void *arg, struct buf *json)
{
        struct host *h = arg;
        int64_t now = host_now_ms(), longest = 0;
        int queued, busy;

        pthread_mutex_lock(&h->lock);
        queued = h->queued;
        busy = h->busy;
        for (int i = 0; i < h->workers_n; i++)
                if (h->working_since[i] && (now - h->working_since[i]) / 1000 > longest)
                        longest = (now - h->working_since[i]) / 1000;
        pthread_mutex_unlock(&h->lock);
        buf_printf(json,
                   "{\"state\":\"%s\",\"version\":\"%s\",\"uptime_seconds\":%" PRId64
                   ",\"workers\":%d,\"busy\":%d,\"longest_seconds\":%" PRId64
                   ",\"queued\":%d,\"refused_total\":%lu"
                   ",\"failed_logins_total\":%lu,\"audit_rows_total\":%lu}",
                   queued >= h->options.queue || longest >= STUCK_S ? "degraded" : "ok",
                   HEADRACE_VERSION, (host_now_ms() - h->started_at) / 1000, h->options.workers,
                   busy, longest, queued, atomic_load(&h->refused_busy),
                   atomic_load(&h->logins_failed), atomic_load(&h->audit_rows));
}

static void status_database(void *arg, struct buf *json)
{
        struct host *h = arg;
        int64_t began = host_now_ms();
        struct db_error e = { 0 };
        struct db_conn *c = db_take(h->db, 1000, &e);
        struct db_rows *rows = NULL;

        if (c && db_begin(c, "*", true) == DB_OK &&
            db_query(c, sql_job_counts, 0, NULL, &rows) == DB_OK) {
                buf_printf(json, "{\"state\":\"ok\",\"answer_ms\":%" PRId64, host_now_ms() - began);
                buf_printf(json, ",\"jobs_queued\":%s,\"jobs_running\":%s,\"jobs_failed\":%s}",
                           db_rows_text(rows, 0, 0), db_rows_text(rows, 0, 1),
                           db_rows_text(rows, 0, 2));
        } else {
                const char *why = c ? db_last_error(c)->message : e.message;

                buf_put_str(json, "{\"state\":\"failed\",\"error\":");
                buf_put_json_str(json, why, strlen(why));
                buf_put_str(json, "}");
        }
        db_rows_free(rows);
        if (c)
                db_give(h->db, c);
}

/* Cursors by plugin: {"vee":{"behind":0,...}} or NULL. */
static json_t *cursors(struct host *h)
{
        struct db_conn *c = db_take(h->db, 1000, NULL);
        struct db_rows *rows = NULL;
        json_t *all = json_object();

        if (c && db_query(c, sql_cursor_list, 0, NULL, &rows) == DB_OK)
                for (size_t i = 0; i < db_rows_count(rows); i++)
                        json_object_set_new(all, db_rows_text(rows, i, 0),
                                            json_pack("{s:I,s:I,s:s,s:b}", "behind",
                                                      (json_int_t)db_rows_int(rows, i, 1),
                                                      "failures",
                                                      (json_int_t)db_rows_int(rows, i, 2), "error",
                                                      db_rows_text(rows, i, 3), "suspended",
                                                      !strcmp(db_rows_text(rows, i, 4), "t")));
        db_rows_free(rows);
        if (c)
                db_give(h->db, c);
        return all;
}

static void status_plugins(void *arg, struct buf *json)
{
        struct host *h = arg;
        json_t *all = cursors(h), *list = json_array(), *root;
        bool degraded = false;
        char *text;

        for (int i = 0; i < h->ordered_n; i++) {
                const struct host_plugin *p = h->ordered[i];
                json_t *cursor = json_object_get(all, p->p->name);
                json_t *item = json_pack("{s:s,s:s,s:b,s:I}", "name", p->p->name, "version",
                                         p->p->version, "running", p->running, "failures",
                                         (json_int_t)atomic_load(&p->failures));

                if (cursor && json_is_true(json_object_get(cursor, "suspended")))
                        degraded = true;
                if (cursor)
                        json_object_set(item, "events", cursor);
                json_array_append_new(list, item);
        }
        root = json_pack("{s:s,s:i,s:o}", "state", degraded ? "degraded" : "ok", "loaded",
                         h->ordered_n, "plugins", list);
        text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        buf_put_str(json, text ? text : "{\"state\":\"degraded\"}");
        free(text);
        json_decref(root);
        json_decref(all);
}

void status_init(struct host *h)
{
        host_add_status(h, "host", status_host, h);
        host_add_status(h, "database", status_database, h);
        host_add_status(h, "plugins", status_plugins, h);
}

/* The named component's object; one that is not well formed is shown as failed. */
static json_t *component(const struct status_entry *e)
{
        struct buf b = BUF_INIT;
        json_t *j;

        e->fn(e->arg, &b);
        j = b.failed ? NULL : json_loadb((const char *)b.p, b.len, 0, NULL);
        buf_deinit(&b);
        if (!json_is_object(j)) {
                json_decref(j);
                j = json_pack("{s:s,s:s}", "state", "failed", "error",
                              "the component's status is not a JSON object");
        }
        return j;
}

static json_t *document(struct host *h)
{
        json_t *root = json_object(), *parts = json_object();
        const char *worst = "ok";

        for (int i = 0; i < h->status_n; i++) {
                json_t *j = component(&h->status[i]);
                const char *state = json_string_value(json_object_get(j, "state"));

                if (state && (!strcmp(state, "failed") ||
                              (!strcmp(state, "degraded") && strcmp(worst, "failed"))))
                        worst = !strcmp(state, "failed") ? "failed" : "degraded";
                json_object_set_new(parts, h->status[i].name, j);
        }
        json_object_set_new(root, "state", json_string(worst));
        json_object_set_new(root, "components", parts);
        return root;
}

void host_status(struct host *h, struct buf *json)
{
        json_t *root = document(h);
        char *text = json_dumps(root, JSON_COMPACT);

        buf_put_str(json, text ? text : "{\"state\":\"failed\"}");
        free(text);
        json_decref(root);
}

/* ---- Prometheus ---- */

static void metric(struct buf *text, const char *component_name, const char *member,
                   const json_t *value)
{
        size_t n = strlen(member);
        bool counter = n > 6 && !strcmp(member + n - 6, "_total");

        for (const char *s = member; *s; s++)
                if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_'))
                        return;
        buf_printf(text, "# TYPE headrace_%s_%s %s\nheadrace_%s_%s ", component_name, member,
                   counter ? "counter" : "gauge", component_name, member);
        if (json_is_integer(value))
                buf_printf(text, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
        else if (json_is_real(value))
                buf_printf(text, "%.9g\n", json_real_value(value));
        else
                buf_printf(text, "%d\n", json_is_true(value));
}

static void operation_metrics(struct host *h, struct buf *text)
{
        static const char *const results[] = { "ok", "rejected", "failed" };

        buf_put_str(text, "# TYPE headrace_operations_total counter\n");
        for (size_t i = 0; i < h->ops_n; i++) {
                struct host_op *o = &h->ops[i];
                unsigned long calls = atomic_load(&o->calls), n[3];

                if (!calls)
                        continue;
                n[1] = atomic_load(&o->rejected);
                n[2] = atomic_load(&o->failed);
                n[0] = calls > n[1] + n[2] ? calls - n[1] - n[2] : 0;
                for (int k = 0; k < 3; k++)
                        buf_printf(
                                text,
                                "headrace_operations_total{operation=\"%s\",result=\"%s\"} %lu\n",
                                o->op->name, results[k], n[k]);
        }
        buf_put_str(text, "# TYPE headrace_operation_seconds_total counter\n");
        for (size_t i = 0; i < h->ops_n; i++)
                if (atomic_load(&h->ops[i].calls))
                        buf_printf(
                                text, "headrace_operation_seconds_total{operation=\"%s\"} %.6f\n",
                                h->ops[i].op->name, (double)atomic_load(&h->ops[i].micros) / 1e6);
}

void host_metrics(struct host *h, struct buf *text)
{
        json_t *root = document(h), *part, *value;
        const char *name, *member;

        buf_put_str(text, "# TYPE headrace_component_up gauge\n");
        json_object_foreach(json_object_get(root, "components"), name, part)
        {
                const char *state = json_string_value(json_object_get(part, "state"));

                buf_printf(text, "headrace_component_up{component=\"%s\"} %d\n", name,
                           state && strcmp(state, "failed") != 0);
        }
        json_object_foreach(json_object_get(root, "components"), name, part)
        {
                json_object_foreach(part, member, value)
                {
                        if (json_is_number(value) || json_is_boolean(value))
                                metric(text, name, member, value);
                }
        }
        operation_metrics(h, text);
        json_decref(root);
}
