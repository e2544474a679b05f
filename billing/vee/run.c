/* The validation job: meter by meter, a batch in each transaction. */

#include "vee_plugin.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "vee.h"
#include "vee_sql.h"

enum { MAX_INTERVALS = 366 * 96 * 2 };

struct work {
        struct hr_call *call;
        struct vee_rules rules;
        struct tz *tz; /* owned */
        char run[24], branch[8], serial[64];
        int64_t from, to;
        int64_t after, meters, estimated, findings, total;
};

/* One meter's stretch. Memory is the call's. */
struct stretch {
        const char *meter, *channel, *reg; /* reg "" = no register channel */
        char from_text[24], to_text[24];
        int64_t from, to;
        bool energy, by_register;
        struct vee_series series;
        struct vee_context ctx;
        struct vee_findings findings;
};

/* ---- loading ---- */

static uint32_t usual_period(struct hr_rows *rows, int64_t registered)
{
        size_t n = vee_host->rows_count(rows), same = 0;
        int64_t first = n > 0 ? vee_host->rows_int(rows, 0, "period_s") : registered;

        for (size_t i = 0; i < n; i++) {
                int64_t p = vee_host->rows_int(rows, i, "period_s");

                same += p == registered;
                first = p < first ? p : first;
        }
        return (uint32_t)(same > 0 ? registered : first);
}

static uint8_t method_of(int64_t status)
{
        return status >= 2 && status <= 5 ? (status == 2 ? VEE_LINEAR : VEE_LIKE_DAY)
                                          : VEE_MEASURED;
}

static bool make_grid(struct hr_call *call, struct vee_series *s, int64_t from, int64_t to,
                      uint32_t period_s)
{
        /* Intervals begin at whole periods of UTC. */
        s->at = from - from % period_s + (from % period_s ? period_s : 0);
        s->period_s = period_s;
        s->n = to > s->at ? (size_t)((to - s->at) / period_s) : 0;
        if (s->n == 0 || s->n > MAX_INTERVALS)
                return false;
        s->value = vee_host->alloc(call, s->n * sizeof(*s->value));
        s->method = vee_host->alloc(call, s->n);
        if (!s->value || !s->method)
                return false;
        memset(s->method, VEE_MISSING, s->n);
        return true;
}

/* A register difference over several intervals: spread evenly, each unit given once. */
static void spread(struct vee_series *s, int64_t at, size_t k, int64_t value)
{
        int64_t given = 0;

        for (size_t i = 0; i < k; i++) {
                int64_t until = (int64_t)((__int128)value * (int64_t)(i + 1) / (int64_t)k);

                (void)vee_put(s, at + (int64_t)(i * s->period_s), s->period_s, until - given,
                              VEE_LINEAR);
                given = until;
        }
}

struct spread_list {
        struct {
                int64_t at;
                size_t k;
        } item[64];
        size_t n;
};

static void put_rows(struct work *w, struct stretch *x, struct vee_series *s, struct hr_rows *rows,
                     struct spread_list *spreads)
{
        size_t conflicts = 0, off = 0;
        int64_t first_off = 0;

        for (size_t i = 0; i < vee_host->rows_count(rows); i++) {
                int64_t at = vee_host->rows_int(rows, i, "at"),
                        value = vee_host->rows_int(rows, i, "value");
                uint32_t period = (uint32_t)vee_host->rows_int(rows, i, "period_s");
                int e;

                if (x->by_register && period > s->period_s && period % s->period_s == 0 &&
                    spreads && spreads->n < 64) {
                        spread(s, at, period / s->period_s, value);
                        spreads->item[spreads->n].at = at;
                        spreads->item[spreads->n++].k = period / s->period_s;
                        continue;
                }
                e = vee_put(s, at, period, value, method_of(vee_host->rows_int(rows, i, "status")));
                conflicts += e == 1;
                if (e < 0 && off++ == 0)
                        first_off = at;
        }
        if (!spreads)
                return;
        if (conflicts > 0)
                vee_add(&x->findings, "duplicate", VEE_WARN, s->at,
                        s->at + (int64_t)(s->n * s->period_s), (int64_t)conflicts, 0,
                        "%zu intervals have two different values", conflicts);
        if (off > 0)
                vee_add(&x->findings, "interval_size", VEE_WARN, first_off, first_off + s->period_s,
                        (int64_t)off, s->period_s, "%zu readings do not fit intervals of %u s", off,
                        s->period_s);
        (void)w;
}

static enum hr_status load_register(struct work *w, struct stretch *x)
{
        const char *params[] = { x->meter, x->reg, x->from_text, x->to_text };
        struct hr_rows *rows;
        enum hr_status s;

        if (!*x->reg || x->by_register)
                return HR_OK;
        s = vee_host->query(w->call, sql_register_pair, 4, params, &rows);
        if (s != HR_OK || vee_host->rows_count(rows) == 0)
                return s;
        x->ctx.register_from = vee_host->rows_int(rows, 0, "from_utc");
        x->ctx.register_to = vee_host->rows_int(rows, 0, "to_utc");
        x->ctx.register_delta = vee_host->rows_int(rows, 0, "delta");
        /* A register that went back was exchanged or turned over: no sum to compare with. */
        x->ctx.register_known = x->ctx.register_delta >= 0;
        return HR_OK;
}

static enum hr_status load_before(struct work *w, struct stretch *x)
{
        const char *params[] = { x->meter, x->channel,
                                 vee_host->format(w->call, "%lld",
                                                  (long long)(x->from - (x->to - x->from))),
                                 x->from_text };
        struct hr_rows *rows;
        enum hr_status s = vee_host->query(w->call, sql_usage_daily, 4, params, &rows);

        x->ctx.daily_before = -1;
        if (s == HR_OK && vee_host->rows_count(rows) > 0 && !vee_host->rows_null(rows, 0, "daily"))
                x->ctx.daily_before = vee_host->rows_int(rows, 0, "daily");
        return s;
}

static bool has_gap(const struct vee_series *s)
{
        return s->n > 0 && memchr(s->method, VEE_MISSING, s->n) != NULL;
}

static enum hr_status load_history(struct work *w, struct stretch *x)
{
        int64_t back = x->series.at - w->rules.like_lookback_days * 86400;
        struct vee_series *h = vee_host->alloc(w->call, sizeof(*h));
        const char *params[] = { x->meter, x->channel,
                                 vee_host->format(w->call, "%lld", (long long)back), x->from_text };
        struct hr_rows *rows;
        enum hr_status s;

        if (!has_gap(&x->series) || !h ||
            !make_grid(w->call, h, back, x->series.at, x->series.period_s))
                return HR_OK;
        s = vee_host->query(w->call, sql_usage, 4, params, &rows);
        if (s == HR_OK) {
                put_rows(w, x, h, rows, NULL);
                x->ctx.history = h;
        }
        return s;
}

/* ---- storing ---- */

static const char *values_text(struct hr_call *call, const struct vee_series *s, size_t from,
                               size_t to)
{
        struct buf b;
        const char *text;

        buf_init(&b);
        for (size_t i = from; i < to; i++)
                buf_printf(&b, "%c%lld", i == from ? '{' : ',', (long long)s->value[i]);
        buf_put_u8(&b, '}');
        text = b.failed ? NULL : vee_host->format(call, "%s", buf_cstr(&b));
        buf_deinit(&b);
        return text;
}

static enum hr_status store_run(struct work *w, struct stretch *x, size_t from, size_t to)
{
        const struct vee_series *s = &x->series;
        bool line = s->method[from] == VEE_LINEAR;
        const char *params[] = { x->meter,
                                 x->channel,
                                 vee_host->format(
                                         w->call, "%lld",
                                         (long long)(s->at + (int64_t)(from * s->period_s))),
                                 vee_host->format(w->call, "%u", s->period_s),
                                 line ? "2" : "3",
                                 values_text(w->call, s, from, to),
                                 w->run,
                                 w->branch,
                                 line ? "linear" : "like_day" };

        return params[5] ? vee_host->query(w->call, sql_put_estimate, 9, params, NULL) : HR_RETRY;
}

/* Estimates go back to the reading store: one message for each stretch of one method. @before says
 * which intervals had a value already. */
static enum hr_status store_estimates(struct work *w, struct stretch *x, const uint8_t *before)
{
        const struct vee_series *s = &x->series;
        enum hr_status st = HR_OK;

        for (size_t i = 0; i < s->n && st == HR_OK;) {
                size_t from = i;

                while (i < s->n && before[i] == VEE_MISSING && s->method[i] != VEE_MISSING &&
                       s->method[i] == s->method[from] && i - from < 5000)
                        i++;
                if (i == from) {
                        i++;
                        continue;
                }
                w->estimated += (int64_t)(i - from);
                st = store_run(w, x, from, i);
        }
        return st;
}

static enum hr_status store_spreads(struct work *w, struct stretch *x,
                                    const struct spread_list *spreads)
{
        const struct vee_series *s = &x->series;
        enum hr_status st = HR_OK;

        for (size_t i = 0; i < spreads->n && st == HR_OK; i++) {
                size_t from = (size_t)((spreads->item[i].at - s->at) / s->period_s);
                const char *params[] = { x->meter,
                                         x->reg,
                                         vee_host->format(w->call, "%lld",
                                                          (long long)spreads->item[i].at),
                                         vee_host->format(w->call, "%u", s->period_s),
                                         NULL,
                                         x->channel,
                                         w->run,
                                         w->branch };

                if (spreads->item[i].at < s->at || from + spreads->item[i].k > s->n)
                        continue;
                params[4] = values_text(w->call, s, from, from + spreads->item[i].k);
                w->estimated += (int64_t)spreads->item[i].k;
                st = params[4]
                             ? vee_host->query(w->call, sql_put_register_estimate, 8, params, NULL)
                             : HR_RETRY;
        }
        return st;
}

static enum hr_status announce(struct work *w, const struct stretch *x, const char *ids)
{
        if (strcmp(ids, "[]") == 0)
                return HR_OK;
        return vee_host->publish(
                w->call, "vee.exception", x->meter,
                vee_host->format(w->call, "{\"meter_id\":%s,\"channel\":%s,\"exceptions\":%s}",
                                 x->meter, x->channel, ids));
}

static enum hr_status store_findings(struct work *w, struct stretch *x)
{
        static const char *const severities[] = { "info", "warn", "block" };
        json_t *list = json_array();
        const char *params[] = { w->run, x->meter, x->channel, x->from_text, x->to_text, NULL };
        struct hr_rows *rows;
        enum hr_status s;
        char *text;

        for (size_t i = 0; i < x->findings.n; i++) {
                const struct vee_finding *f = &x->findings.item[i];

                json_array_append_new(list,
                                      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "rule",
                                                f->rule, "severity", severities[f->severity],
                                                "from", (json_int_t)f->from, "to",
                                                (json_int_t)f->to, "value", (json_int_t)f->value,
                                                "limit", (json_int_t)f->limit, "text", f->text));
        }
        text = json_dumps(list, JSON_COMPACT);
        json_decref(list);
        params[5] = text;
        s = text ? vee_host->query(w->call, sql_findings_store, 6, params, &rows) : HR_RETRY;
        free(text);
        w->findings += (int64_t)x->findings.n;
        return s != HR_OK ? s : announce(w, x, vee_host->rows_text(rows, 0, "blocking"));
}

/* ---- one stretch ---- */

static enum hr_status load_values(struct work *w, struct stretch *x, int64_t registered,
                                  struct spread_list *spreads)
{
        const char *params[] = { x->meter, x->channel, x->from_text, x->to_text };
        struct hr_rows *rows;
        enum hr_status s = vee_host->query(w->call, sql_has_intervals, 4, params, &rows);

        if (s != HR_OK)
                return s;
        x->by_register = strcmp(vee_host->rows_text(rows, 0, "yes"), "t") != 0;
        s = vee_host->query(w->call, sql_usage, 4, params, &rows);
        if (s != HR_OK)
                return s;
        if (make_grid(w->call, &x->series, x->from, x->to, usual_period(rows, registered)))
                put_rows(w, x, &x->series, rows, spreads);
        if (vee_host->rows_count(rows) == 0)
                vee_add(&x->findings, "no_data", VEE_BLOCK, x->from, x->to, 0, 0,
                        "no reading at all in this period");
        return s;
}

static enum hr_status validate(struct work *w, struct hr_rows *meters, size_t row)
{
        struct stretch *x = vee_host->alloc(w->call, sizeof(*x));
        struct spread_list *spreads = vee_host->alloc(w->call, sizeof(*spreads));
        struct vee_rules rules = w->rules;
        uint8_t *before;
        enum hr_status s;

        if (!x || !spreads)
                return HR_RETRY;
        x->meter = vee_host->rows_text(meters, row, "meter_id");
        x->channel = vee_host->rows_text(meters, row, "channel");
        x->reg = vee_host->rows_text(meters, row, "register");
        x->from = vee_host->rows_int(meters, row, "from_utc");
        x->to = vee_host->rows_int(meters, row, "to_utc");
        snprintf(x->from_text, sizeof(x->from_text), "%lld", (long long)x->from);
        snprintf(x->to_text, sizeof(x->to_text), "%lld", (long long)x->to);
        x->ctx = (struct vee_context){ .tz = w->tz,
                                       .one_way = true,
                                       .energy = strcmp(vee_host->rows_text(meters, row, "energy"),
                                                        "t") == 0 };
        rules.max_w = vee_host->rows_int(meters, row, "max_w");
        s = load_values(w, x, vee_host->rows_int(meters, row, "period_s"), spreads);
        if (s == HR_OK)
                s = load_register(w, x);
        if (s == HR_OK)
                s = load_before(w, x);
        if (s == HR_OK)
                s = load_history(w, x);
        if (s != HR_OK)
                return s;
        before = vee_host->alloc(w->call, x->series.n + 1);
        if (!before)
                return HR_RETRY;
        if (x->series.n > 0)
                memcpy(before, x->series.method, x->series.n);
        if (x->findings.n == 0 ||
            strcmp(x->findings.item[x->findings.n - 1].rule, "no_data") != 0) {
                if (!x->by_register)
                        vee_estimate(&rules, &x->ctx, &x->series);
                vee_check(&rules, &x->ctx, &x->series, &x->findings);
        }
        s = store_estimates(w, x, before);
        if (s == HR_OK)
                s = store_spreads(w, x, spreads);
        return s == HR_OK ? store_findings(w, x) : s;
}

/* ---- the job ---- */

static int64_t member(json_t *o, const char *key)
{
        return json_integer_value(json_object_get(o, key));
}

static void read_rules(struct work *w, struct hr_rows *r)
{
        w->rules = (struct vee_rules){
                .spike_ratio = vee_host->rows_int(r, 0, "spike_ratio"),
                .spike_skip_w = vee_host->rows_int(r, 0, "spike_skip_w"),
                .sum_ratio = vee_host->rows_int(r, 0, "sum_ratio"),
                .sum_resolution = vee_host->rows_int(r, 0, "sum_resolution"),
                .low = vee_host->rows_int(r, 0, "low"),
                .high = vee_host->rows_int(r, 0, "high"),
                .zero_days = vee_host->rows_int(r, 0, "zero_days"),
                .same_count = vee_host->rows_int(r, 0, "same_count"),
                .linear_gap_s = vee_host->rows_int(r, 0, "linear_gap_s"),
                .like_days = vee_host->rows_int(r, 0, "like_days"),
                .like_lookback_days = vee_host->rows_int(r, 0, "like_lookback_days"),
        };
}

static enum hr_status begin(struct hr_call *call, struct hr_job *job, struct work *w)
{
        json_t *params = json_loads(vee_host->job_params(job), 0, NULL),
               *state = json_loads(vee_host->job_state(job), 0, NULL);
        const char *serial = json_string_value(json_object_get(params, "meter")), *run = w->run;
        struct hr_rows *rows;
        enum hr_status s;

        w->call = call;
        snprintf(w->run, sizeof(w->run), "%lld", (long long)member(params, "run"));
        snprintf(w->serial, sizeof(w->serial), "%s", serial ? serial : "");
        w->after = member(state, "after");
        w->meters = member(state, "meters");
        w->estimated = member(state, "estimated");
        w->findings = member(state, "findings");
        json_decref(params);
        json_decref(state);
        s = vee_host->query(call, sql_run_load, 1, &run, &rows);
        if (s != HR_OK || vee_host->rows_count(rows) == 0)
                return s != HR_OK ? s : HR_FATAL;
        read_rules(w, rows);
        w->from = vee_host->rows_int(rows, 0, "from_utc");
        w->to = vee_host->rows_int(rows, 0, "to_utc");
        w->total = *w->serial ? 1 : vee_host->rows_int(rows, 0, "total");
        snprintf(w->branch, sizeof(w->branch), "%s", vee_host->rows_text(rows, 0, "branch_id"));
        return tz_load(&w->tz, vee_host->rows_text(rows, 0, "tz")) < 0 ? HR_FATAL : HR_OK;
}

static enum hr_status batch(struct work *w, bool *ret_more)
{
        const char *params[] = { w->branch, vee_host->format(w->call, "%lld", (long long)w->from),
                                 vee_host->format(w->call, "%lld", (long long)w->to),
                                 vee_host->format(w->call, "%lld", (long long)w->after),
                                 *w->serial ? w->serial : NULL };
        struct hr_rows *rows;
        enum hr_status s = vee_host->query(w->call, sql_run_meters, 5, params, &rows);
        size_t n;

        if (s != HR_OK)
                return s;
        n = vee_host->rows_count(rows);
        *ret_more = n == 40;
        for (size_t i = 0; i < n && s == HR_OK; i++) {
                int64_t id = vee_host->rows_int(rows, i, "meter_id");

                /* A full page may cut a meter's stretches: its last meter is for the next page. */
                if (*ret_more && id == vee_host->rows_int(rows, n - 1, "meter_id") &&
                    id != vee_host->rows_int(rows, 0, "meter_id"))
                        break;
                w->meters += id != w->after;
                w->after = id;
                s = validate(w, rows, i);
        }
        return s;
}

enum hr_status vee_job_run(struct hr_call *call, struct hr_job *job)
{
        struct work w = { 0 };
        bool more = true;
        enum hr_status s = begin(call, job, &w);

        while (s == HR_OK && more) {
                s = batch(&w, &more);
                if (s == HR_OK && more)
                        s = vee_host->job_commit(
                                call, job,
                                vee_host->format(
                                        call,
                                        "{\"after\":%lld,\"meters\":%lld,\"estimated\":%lld,"
                                        "\"findings\":%lld}",
                                        (long long)w.after, (long long)w.meters,
                                        (long long)w.estimated, (long long)w.findings),
                                w.meters, w.total);
        }
        if (s == HR_OK) {
                const char *params[] = { w.run, vee_host->format(call, "%lld", (long long)w.meters),
                                         vee_host->format(call, "%lld", (long long)w.estimated),
                                         vee_host->format(call, "%lld", (long long)w.findings) };

                s = vee_host->query(call, sql_run_done, 4, params, NULL);
        }
        tz_free(w.tz);
        return s;
}
