/* From tables to struct bill_input: for a range of a run's contracts, or for one bill as it was
 * frozen. Every query answers for all contracts at once. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"
#include "civil.h"

struct tariff_entry {
        struct tariff_entry *next;
        char code[64];
        int version;
        char hash[160];               /* hex; longer where the document is not the recorded one */
        struct rating_tariff *tariff; /* NULL when it could not be loaded */
        struct rating_error err;
};

void tariffs_deinit(struct tariffs *t)
{
        while (t->first) {
                struct tariff_entry *e = t->first;

                t->first = e->next;
                if (e->tariff)
                        rating_tariff_free(e->tariff);
                free(e);
        }
}

static enum hr_status tariff_get(struct load *l, const char *code, int version,
                                 struct tariff_entry **ret)
{
        const char *params[] = { code, billrun_host->format(l->call, "%d", version) };
        struct tariff_entry *e;
        struct hr_rows *rows;
        enum hr_status s;
        const char *text;

        for (e = l->tariffs->first; e; e = e->next) {
                if (e->version == version && strcmp(e->code, code) == 0) {
                        *ret = e;
                        return HR_OK;
                }
        }
        s = billrun_host->query(l->call, sql_tariff_document, 2, params, &rows);
        if (s != HR_OK)
                return s;
        e = calloc(1, sizeof *e);
        if (!e)
                return HR_RETRY;
        snprintf(e->code, sizeof e->code, "%s", code);
        e->version = version;
        if (billrun_host->rows_count(rows) == 0) {
                snprintf(e->err.text, sizeof e->err.text, "there is no such version");
        } else {
                snprintf(e->hash, sizeof e->hash, "%s", billrun_host->rows_text(rows, 0, "hash"));
                text = billrun_host->rows_text(rows, 0, "document_text");
                if (rating_tariff_load(&e->tariff, text, strlen(text), &e->err) != 0)
                        e->tariff = NULL;
        }
        e->next = l->tariffs->first;
        l->tariffs->first = e;
        *ret = e;
        return HR_OK;
}

void load_init(struct load *l, struct hr_call *call, struct tariffs *tariffs)
{
        const char *complete = billrun_host->config(call, "complete_permille");
        const char *high = billrun_host->config(call, "high_percent");
        const char *estimated = billrun_host->config(call, "estimated_percent");

        memset(l, 0, sizeof *l);
        l->call = call;
        l->tariffs = tariffs;
        arena_init(&l->arena, 0);
        readings_init(&l->readings);
        usage_init(&l->usage);
        l->limits.complete_permille = complete ? atoi(complete) : 1000;
        l->limits.high_percent = high ? atoi(high) : 300;
        l->limits.estimated_percent = estimated ? atoi(estimated) : 50;
}

void load_deinit(struct load *l)
{
        bill_maps_deinit(&l->maps);
        readings_deinit(&l->readings);
        usage_deinit(&l->usage);
        tz_free(l->tz);
        arena_deinit(&l->arena);
}

static const char *keep(struct load *l, const struct hr_rows *rows, size_t row, const char *column)
{
        return arena_str(&l->arena, billrun_host->rows_text(rows, row, column));
}

static int64_t integer(const struct hr_rows *rows, size_t row, const char *column)
{
        return billrun_host->rows_null(rows, row, column)
                       ? 0
                       : billrun_host->rows_int(rows, row, column);
}

static struct decimal number(const struct hr_rows *rows, size_t row, const char *column)
{
        struct decimal d = DECIMAL_ZERO;

        if (decimal_parse(billrun_host->rows_text(rows, row, column), &d) != 0)
                return DECIMAL_ZERO;
        return d;
}

/* ---- contracts ---- */

static enum hr_status load_branch(struct load *l, const char *sql, const char *id)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, 1, &id, &rows);

        if (s != HR_OK || billrun_host->rows_count(rows) == 0)
                return s;
        l->branch_id = billrun_host->rows_int(rows, 0, "branch_id");
        l->branch = keep(l, rows, 0, "branch");
        l->currency = keep(l, rows, 0, "currency");
        l->tz_name = keep(l, rows, 0, "tz");
        l->minor_digits = (int)billrun_host->rows_int(rows, 0, "minor_digits");
        if (tz_load(&l->tz, l->tz_name) != 0) {
                billrun_host->log(l->call, HR_ERROR, "branch %s: time zone %s cannot be loaded",
                                  l->branch, l->tz_name);
                return HR_FATAL;
        }
        return HR_OK;
}

static void fill_contract(struct load *l, const struct hr_rows *rows, size_t i,
                          struct load_contract *c)
{
        c->contract_id = billrun_host->rows_int(rows, i, "contract_id");
        c->account_id = billrun_host->rows_int(rows, i, "account_id");
        c->service_point_id = billrun_host->rows_int(rows, i, "service_point_id");
        c->previous_bill = integer(rows, i, "previous_bill");
        c->rebill_of = integer(rows, i, "rebill_of");
        c->billed = billrun_host->rows_text(rows, i, "billed")[0] == 't';
        c->number = keep(l, rows, i, "number");
        c->tariff = keep(l, rows, i, "tariff");
        c->class_name = keep(l, rows, i, "class");
        c->in = (struct bill_input){
                .from_day = billrun_host->rows_int(rows, i, "from_day"),
                .to_day = billrun_host->rows_int(rows, i, "to_day"),
                .full_days = (int)billrun_host->rows_int(rows, i, "full_days"),
                .months = (int)integer(rows, i, "months"),
                .households = (int)integer(rows, i, "households"),
                .contract_kw = number(rows, i, "contract_kw"),
                .previous_daily = number(rows, i, "previous_daily"),
                .main_code = keep(l, rows, i, "main_code"),
                .tz = l->tz,
                .minor_digits = l->minor_digits,
                .limits = l->limits,
                .maps = &l->maps,
        };
}

static enum hr_status load_contracts(struct load *l, const char *sql, size_t n,
                                     const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, n, params, &rows);

        if (s != HR_OK)
                return s;
        l->n = billrun_host->rows_count(rows);
        l->contracts = arena_alloc(&l->arena, (l->n + 1) * sizeof *l->contracts);
        if (!l->contracts)
                return HR_RETRY;
        for (size_t i = 0; i < l->n; i++)
                fill_contract(l, rows, i, &l->contracts[i]);
        return HR_OK;
}

/* Rows and contracts are both in contract order: walks them together. */
static struct load_contract *owner(struct load *l, const struct hr_rows *rows, size_t row,
                                   size_t *at)
{
        int64_t id = billrun_host->rows_int(rows, row, "contract_id");

        while (*at < l->n && l->contracts[*at].contract_id < id)
                ++*at;
        return *at < l->n && l->contracts[*at].contract_id == id ? &l->contracts[*at] : NULL;
}

/* ---- parts, quantities, balances ---- */

static enum hr_status load_parts(struct load *l, const char *sql, size_t n,
                                 const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, n, params, &rows);
        struct bill_part *parts;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        parts = arena_alloc(&l->arena, (count + 1) * sizeof *parts);
        if (!parts)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);
                struct tariff_entry *e;

                parts[i].from_day = billrun_host->rows_int(rows, i, "from_day");
                parts[i].to_day = billrun_host->rows_int(rows, i, "to_day");
                parts[i].code = keep(l, rows, i, "code");
                parts[i].version = (int)billrun_host->rows_int(rows, i, "version");
                parts[i].hash = keep(l, rows, i, "hash");
                s = tariff_get(l, parts[i].code, parts[i].version, &e);
                if (s != HR_OK)
                        return s;
                parts[i].tariff = e->tariff;
                parts[i].current_hash = e->hash;
                parts[i].error = e->tariff ? NULL : e->err.text;
                if (!c)
                        continue;
                if (!c->parts)
                        c->parts = &parts[i];
                c->in.parts = c->parts;
                c->in.n_parts++;
        }
        return HR_OK;
}

static enum hr_status load_given(struct load *l, const char *sql, const char *param)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, 1, &param, &rows);
        struct rating_quantity *given;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        given = arena_alloc(&l->arena, (count + 1) * sizeof *given);
        if (!given)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);

                given[i] = (struct rating_quantity){ keep(l, rows, i, "name"), "",
                                                     number(rows, i, "value") };
                if (!c)
                        continue;
                if (c->in.n_given++ == 0)
                        c->in.given = &given[i];
        }
        return HR_OK;
}

static enum hr_status load_peaks(struct load *l, const char *sql, const char *param)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, 1, &param, &rows);
        struct rating_peak *peaks;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        peaks = arena_alloc(&l->arena, (count + 1) * sizeof *peaks);
        if (!peaks)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);

                peaks[i] = (struct rating_peak){ (int)billrun_host->rows_int(rows, i, "year"),
                                                 (int)billrun_host->rows_int(rows, i, "month"),
                                                 number(rows, i, "value") };
                if (!c)
                        continue;
                if (c->in.n_peaks++ == 0)
                        c->in.peaks = &peaks[i];
        }
        return HR_OK;
}

static enum hr_status load_indices(struct load *l, const char *sql, size_t n,
                                   const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, n, params, &rows);
        struct rating_index *indices;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        indices = arena_alloc(&l->arena, (count + 1) * sizeof *indices);
        if (!indices)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);

                indices[i] =
                        (struct rating_index){ keep(l, rows, i, "name"), number(rows, i, "value"),
                                               keep(l, rows, i, "source"),
                                               billrun_host->rows_int(rows, i, "day") };
                if (!c)
                        continue;
                if (c->in.n_indices++ == 0)
                        c->in.indices = &indices[i];
        }
        return HR_OK;
}

static enum hr_status load_carry(struct load *l, const char *sql, const char *param)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, 1, &param, &rows);
        struct rating_carry *carry;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        carry = arena_alloc(&l->arena, (count + 1) * sizeof *carry);
        if (!carry)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);

                carry[i] =
                        (struct rating_carry){ keep(l, rows, i, "name"), number(rows, i, "value") };
                if (!c)
                        continue;
                if (c->in.n_carry++ == 0)
                        c->in.carry = &carry[i];
        }
        return HR_OK;
}

/* ---- readings ---- */

static enum hr_status load_segments(struct load *l, const char *sql, size_t n,
                                    const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(l->call, sql, n, params, &rows);
        struct load_listed *listed;
        struct bill_segment *segments;
        size_t at = 0, count;

        if (s != HR_OK)
                return s;
        count = billrun_host->rows_count(rows);
        segments = arena_alloc(&l->arena, (count + 1) * sizeof *segments);
        listed = arena_alloc(&l->arena, (count + 1) * sizeof *listed);
        if (!segments || !listed)
                return HR_RETRY;
        for (size_t i = 0; i < count; i++) {
                struct load_contract *c = owner(l, rows, i, &at);

                segments[i] = (struct bill_segment){
                        .installation_id = billrun_host->rows_int(rows, i, "installation_id"),
                        .meter_id = (int32_t)billrun_host->rows_int(rows, i, "meter_id"),
                        .serial = keep(l, rows, i, "serial"),
                        .channel = (int16_t)billrun_host->rows_int(rows, i, "channel"),
                        .code = keep(l, rows, i, "code"),
                        .unit = keep(l, rows, i, "unit"),
                        .scaler = (int8_t)billrun_host->rows_int(rows, i, "scaler"),
                        .reg = (int16_t)billrun_host->rows_int(rows, i, "register"),
                        .digits = (int8_t)billrun_host->rows_int(rows, i, "digits"),
                        .from = billrun_host->rows_int(rows, i, "from_s"),
                        .to = billrun_host->rows_int(rows, i, "to_s"),
                        .multiplier = number(rows, i, "multiplier"),
                };
                if (!c)
                        continue;
                if (!c->segments) {
                        c->segments = &segments[i];
                        c->listed = &listed[i];
                }
                c->in.segments = c->segments;
                c->in.n_segments++;
        }
        return HR_OK;
}

static void put_item(struct buf *b, int64_t v)
{
        buf_printf(b, "%s%lld", b->len ? "," : "{", (long long)v);
}

static const char *array_text(struct buf *b)
{
        buf_put_str(b, b->len ? "}" : "{}");
        return buf_cstr(b);
}

enum span_kind { SPAN_ALL, SPAN_INTERVALS, SPAN_REGISTERS };

/* Meter, channel, from, to of segments, in order: what the queries below walk over. SPAN_ALL: of
 * all segments; else of those whose readings the store is to merge. */
struct spans {
        enum span_kind kind;
        struct buf arrays[4];
        const char *params[4];
        bool any;
};

static bool in_spans(enum span_kind kind, const struct load_contract *c, size_t k)
{
        return kind == SPAN_ALL ||
               (c->listed[k].wanted && (kind == SPAN_INTERVALS || c->segments[k].reg));
}

static void spans_init(struct spans *p, const struct load *l, enum span_kind kind)
{
        memset(p, 0, sizeof *p);
        p->kind = kind;
        for (size_t i = 0; i < l->n; i++) {
                for (size_t k = 0; k < l->contracts[i].in.n_segments; k++) {
                        const struct bill_segment *g = &l->contracts[i].segments[k];

                        if (!in_spans(kind, &l->contracts[i], k))
                                continue;
                        p->any = true;
                        put_item(&p->arrays[0], g->meter_id);
                        put_item(&p->arrays[1], kind == SPAN_REGISTERS ? g->reg : g->channel);
                        put_item(&p->arrays[2], g->from);
                        /* The register's reading at the end counts. */
                        put_item(&p->arrays[3], g->to + (kind == SPAN_REGISTERS));
                }
        }
        for (size_t i = 0; i < 4; i++)
                p->params[i] = array_text(&p->arrays[i]);
}

static void spans_deinit(struct spans *p)
{
        for (size_t i = 0; i < 4; i++)
                buf_deinit(&p->arrays[i]);
}

/* Calls @each for every segment that has a row in the result of @sql. */
static enum hr_status query_spans(struct load *l, const struct spans *p, const char *sql,
                                  bool (*each)(struct load *l, struct load_contract *c, size_t k,
                                               const struct hr_rows *rows, size_t row))
{
        struct hr_rows *rows;
        enum hr_status s;
        size_t row = 0, ord = 0, n;

        if (!p->any)
                return HR_OK;
        s = billrun_host->query(l->call, sql, 4, p->params, &rows);
        if (s != HR_OK)
                return s;
        n = billrun_host->rows_count(rows);
        for (size_t i = 0; i < l->n; i++) {
                struct load_contract *c = &l->contracts[i];

                for (size_t k = 0; k < c->in.n_segments && row < n; k++) {
                        if (!in_spans(p->kind, c, k))
                                continue;
                        ord++;
                        if (billrun_host->rows_int(rows, row, "ord") != (int64_t)ord)
                                continue;
                        if (!each(l, c, k, rows, row))
                                return HR_RETRY;
                        row++;
                }
        }
        return HR_OK;
}

static bool take_intervals(struct load *l, struct load_contract *c, size_t k,
                           const struct hr_rows *rows, size_t row)
{
        c->listed[k].intervals = keep(l, rows, row, "data");
        return c->listed[k].intervals != NULL;
}

static bool take_registers(struct load *l, struct load_contract *c, size_t k,
                           const struct hr_rows *rows, size_t row)
{
        c->listed[k].registers = keep(l, rows, row, "data");
        return c->listed[k].registers != NULL;
}

static bool take_blocked(struct load *l, struct load_contract *c, size_t k,
                         const struct hr_rows *rows, size_t row)
{
        (void)k;
        if (!c->in.blocked)
                c->in.blocked = keep(l, rows, row, "text");
        return c->in.blocked != NULL;
}

static enum hr_status load_listed(struct load *l, enum span_kind kind, const char *sql,
                                  bool (*each)(struct load *l, struct load_contract *c, size_t k,
                                               const struct hr_rows *rows, size_t row))
{
        struct spans p;
        enum hr_status s;

        spans_init(&p, l, kind);
        s = query_spans(l, &p, sql, each);
        spans_deinit(&p);
        return s;
}

/* Segments whose readings are not all in blocks, and those of which no block knows anything: the
 * store merges what there is. */
static void want_listed(struct load *l)
{
        for (size_t i = 0; i < l->n; i++) {
                struct load_contract *c = &l->contracts[i];

                for (size_t k = 0; k < c->in.n_segments; k++) {
                        const struct readings_meter *m =
                                readings_find(&l->readings, c->segments[k].meter_id);

                        c->listed[k].wanted =
                                (m && m->unsealed) || !usage_present(&l->readings, &c->segments[k]);
                }
        }
}

static enum hr_status damaged(struct load *l, struct load_contract *c, const struct bill_segment *s,
                              struct arena *arena)
{
        int y, m, d;

        civil_from_day(l->usage.damaged_day, &y, &m, &d);
        c->in.damaged = arena_printf(arena,
                                     "Meter %s: the stored readings of %04d-%02d-%02d are damaged; "
                                     "restore them, then run again",
                                     s->serial, y, m, d);
        return c->in.damaged ? HR_OK : HR_RETRY;
}

enum hr_status load_expand(struct load *l, struct load_contract *c, struct arena *arena)
{
        for (size_t k = 0; k < c->in.n_segments; k++) {
                struct bill_segment *s = &c->segments[k];
                enum hr_status status;
                int rc = c->listed[k].wanted ? usage_listed(&l->usage, s, c->listed[k].intervals,
                                                            c->listed[k].registers)
                                             : usage_packed(&l->usage, &l->readings, s);

                status = rc < 0 ? HR_RETRY : HR_OK;
                if (rc == -EBADMSG)
                        status = damaged(l, c, s, arena);
                if (status == HR_OK && usage_give(&l->usage, arena, s) < 0)
                        status = HR_RETRY;
                if (status != HR_OK)
                        return status;
        }
        return HR_OK;
}

static enum hr_status load_usage(struct load *l, bool validated)
{
        enum hr_status s = scan_readings(l);

        if (s == HR_OK) {
                want_listed(l);
                s = load_listed(l, SPAN_INTERVALS, sql_batch_readings, take_intervals);
        }
        if (s == HR_OK)
                s = load_listed(l, SPAN_REGISTERS, sql_batch_readings, take_registers);
        if (s == HR_OK && validated)
                s = load_listed(l, SPAN_ALL, sql_batch_blocked, take_blocked);
        for (size_t i = 0; i < l->n && s == HR_OK && !l->packed; i++)
                s = load_expand(l, &l->contracts[i], &l->arena);
        return s;
}

/* ---- a range of a run ---- */

/* Contracts and the channels their tariffs ask for, in pairs; "energy.import:peak" asks for
 * "energy.import". Names that are no channel fall out in the query. */
static void put_wants(const struct load_contract *c, struct buf a[static 4])
{
        for (size_t p = 0; p < c->in.n_parts; p++) {
                const char *name;

                for (size_t i = 0;
                     c->parts[p].tariff && (name = rating_tariff_quantity(c->parts[p].tariff, i));
                     i++) {
                        int n = (int)strcspn(name, ":");

                        put_item(&a[0], c->contract_id);
                        buf_printf(&a[1], "%s\"%.*s\"", a[1].len ? "," : "{", n, name);
                        put_item(&a[2], c->in.from_day);
                        put_item(&a[3], c->in.to_day);
                }
        }
}

static enum hr_status load_wanted(struct load *l)
{
        struct buf a[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
        const char *params[5];
        enum hr_status s;

        for (size_t i = 0; i < l->n; i++)
                if (!l->contracts[i].billed)
                        put_wants(&l->contracts[i], a);
        for (size_t i = 0; i < 4; i++)
                params[i] = array_text(&a[i]);
        params[4] = l->tz_name;
        s = load_segments(l, sql_batch_segments, 5, params);
        for (size_t i = 0; i < 4; i++)
                buf_deinit(&a[i]);
        return s == HR_OK ? load_usage(l, true) : s;
}

static enum hr_status load_details(struct load *l)
{
        struct buf ids = BUF_INIT, from = BUF_INIT, to = BUF_INIT, previous = BUF_INIT;
        enum hr_status s;

        for (size_t i = 0; i < l->n; i++) {
                const struct load_contract *c = &l->contracts[i];

                if (c->billed)
                        continue;
                put_item(&ids, c->contract_id);
                put_item(&from, c->in.from_day);
                put_item(&to, c->in.to_day);
                if (c->previous_bill)
                        put_item(&previous, c->previous_bill);
        }
        const char *params[] = { array_text(&ids), array_text(&from), array_text(&to) };

        s = load_parts(l, sql_batch_parts, 3, params);
        if (s == HR_OK)
                s = load_indices(l, sql_batch_indices, 3, params);
        if (s == HR_OK)
                s = load_given(l, sql_batch_given, params[0]);
        if (s == HR_OK)
                s = load_peaks(l, sql_batch_peaks, params[0]);
        if (s == HR_OK)
                s = load_carry(l, sql_batch_carry, array_text(&previous));
        buf_deinit(&ids);
        buf_deinit(&from);
        buf_deinit(&to);
        buf_deinit(&previous);
        return s == HR_OK ? load_wanted(l) : s;
}

enum hr_status load_spans(struct load *l, const char *branch_sql, const char *branch,
                          const char *sql, size_t n, const char *const params[])
{
        enum hr_status s = load_branch(l, branch_sql, branch);

        if (s == HR_OK)
                s = load_contracts(l, sql, n, params);
        return s == HR_OK && l->n > 0 ? load_details(l) : s;
}

enum hr_status load_run_range(struct load *l, const char *run, const char *contracts)
{
        const char *params[] = { run, contracts };

        l->packed = true;
        return load_spans(l, sql_run_branch, run, sql_range_contracts, 2, params);
}

/* ---- a bill as it was frozen ---- */

enum hr_status load_frozen(struct load *l, const char *bill)
{
        enum hr_status s = load_branch(l, sql_frozen_branch, bill);

        if (s == HR_OK && l->tz)
                s = load_contracts(l, sql_frozen_contracts, 1, &bill);
        if (s != HR_OK || l->n == 0)
                return s;
        s = load_parts(l, sql_frozen_parts, 1, &bill);
        if (s == HR_OK)
                s = load_indices(l, sql_frozen_indices, 1, &bill);
        if (s == HR_OK)
                s = load_given(l, sql_frozen_given, bill);
        if (s == HR_OK)
                s = load_peaks(l, sql_frozen_peaks, bill);
        if (s == HR_OK)
                s = load_carry(l, sql_frozen_carry, bill);
        if (s == HR_OK)
                s = load_segments(l, sql_frozen_segments, 1, &bill);
        return s == HR_OK ? load_usage(l, false) : s;
}
