/* From tables to struct bill_input: for a range of a run's contracts, or for one bill as it was
 * frozen. Every query answers for all contracts at once. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

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

const char *load_keep(struct load *l, const struct hr_rows *rows, size_t row, const char *column)
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
        l->branch = load_keep(l, rows, 0, "branch");
        l->currency = load_keep(l, rows, 0, "currency");
        l->tz_name = load_keep(l, rows, 0, "tz");
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
        c->number = load_keep(l, rows, i, "number");
        c->tariff = load_keep(l, rows, i, "tariff");
        c->class_name = load_keep(l, rows, i, "class");
        c->in = (struct bill_input){
                .from_day = billrun_host->rows_int(rows, i, "from_day"),
                .to_day = billrun_host->rows_int(rows, i, "to_day"),
                .full_days = (int)billrun_host->rows_int(rows, i, "full_days"),
                .months = (int)integer(rows, i, "months"),
                .households = (int)integer(rows, i, "households"),
                .contract_kw = number(rows, i, "contract_kw"),
                .previous_daily = number(rows, i, "previous_daily"),
                .main_code = load_keep(l, rows, i, "main_code"),
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
                parts[i].code = load_keep(l, rows, i, "code");
                parts[i].version = (int)billrun_host->rows_int(rows, i, "version");
                parts[i].hash = load_keep(l, rows, i, "hash");
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

                given[i] = (struct rating_quantity){ load_keep(l, rows, i, "name"), "",
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

                indices[i] = (struct rating_index){ load_keep(l, rows, i, "name"),
                                                    number(rows, i, "value"),
                                                    load_keep(l, rows, i, "source"),
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

                carry[i] = (struct rating_carry){ load_keep(l, rows, i, "name"),
                                                  number(rows, i, "value") };
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
                        .serial = load_keep(l, rows, i, "serial"),
                        .channel = (int16_t)billrun_host->rows_int(rows, i, "channel"),
                        .code = load_keep(l, rows, i, "code"),
                        .unit = load_keep(l, rows, i, "unit"),
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

void load_put_item(struct buf *b, int64_t v)
{
        buf_printf(b, "%s%lld", b->len ? "," : "{", (long long)v);
}

const char *load_array_text(struct buf *b)
{
        buf_put_str(b, b->len ? "}" : "{}");
        return buf_cstr(b);
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

                        load_put_item(&a[0], c->contract_id);
                        buf_printf(&a[1], "%s\"%.*s\"", a[1].len ? "," : "{", n, name);
                        load_put_item(&a[2], c->in.from_day);
                        load_put_item(&a[3], c->in.to_day);
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
                params[i] = load_array_text(&a[i]);
        params[4] = l->tz_name;
        s = load_segments(l, sql_batch_segments, 5, params);
        for (size_t i = 0; i < 4; i++)
                buf_deinit(&a[i]);
        return s == HR_OK ? load_readings(l, true) : s;
}

static enum hr_status load_details(struct load *l)
{
        struct buf ids = BUF_INIT, from = BUF_INIT, to = BUF_INIT, previous = BUF_INIT;
        enum hr_status s;

        for (size_t i = 0; i < l->n; i++) {
                const struct load_contract *c = &l->contracts[i];

                if (c->billed)
                        continue;
                load_put_item(&ids, c->contract_id);
                load_put_item(&from, c->in.from_day);
                load_put_item(&to, c->in.to_day);
                if (c->previous_bill)
                        load_put_item(&previous, c->previous_bill);
        }
        const char *params[] = { load_array_text(&ids), load_array_text(&from),
                                 load_array_text(&to) };

        s = load_parts(l, sql_batch_parts, 3, params);
        if (s == HR_OK)
                s = load_indices(l, sql_batch_indices, 3, params);
        if (s == HR_OK)
                s = load_given(l, sql_batch_given, params[0]);
        if (s == HR_OK)
                s = load_peaks(l, sql_batch_peaks, params[0]);
        if (s == HR_OK)
                s = load_carry(l, sql_batch_carry, load_array_text(&previous));
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
        return s == HR_OK ? load_readings(l, false) : s;
}
