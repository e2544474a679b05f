/* The readings of many contracts' meters out of the store: blocks, register days and what is not
 * sealed yet, each by one COPY. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"
#include "civil.h"

enum { DAY_S = 86400, MAX_DAYS = 1300 };

struct scan {
        struct readings *readings; /* borrowed */
        enum readings_kind kind;
        int rc;
};

static int by_number(const void *a, const void *b)
{
        int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

        return x < y ? -1 : x > y;
}

/* The meters of all segments, each once, ascending; in @numbers as int32_t. */
static size_t meters_of(const struct load *l, struct buf *numbers, int64_t *from, int64_t *to)
{
        int32_t *m;
        size_t n, kept = 0;

        for (size_t i = 0; i < l->n; i++) {
                for (size_t k = 0; k < l->contracts[i].in.n_segments; k++) {
                        const struct bill_segment *s = &l->contracts[i].segments[k];

                        buf_put(numbers, &s->meter_id, sizeof s->meter_id);
                        *from = s->from < *from ? s->from : *from;
                        *to = s->to > *to ? s->to : *to;
                }
        }
        n = numbers->len / sizeof *m;
        if (numbers->failed || n == 0)
                return 0;
        m = (int32_t *)(void *)numbers->p;
        qsort(m, n, sizeof *m, by_number);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || m[i] != m[kept - 1])
                        m[kept++] = m[i];
        return kept;
}

static bool take_piece(void *arg, const void *data, size_t n)
{
        struct scan *s = arg;

        s->rc = readings_take(s->readings, s->kind, data, n);
        return s->rc == 0;
}

static enum hr_status scan_kind(struct load *l, enum readings_kind kind, const char *sql)
{
        struct scan scan = { &l->readings, kind, 0 };
        enum hr_status s = billrun_host->copy_out(l->call, sql, take_piece, &scan);

        if (s != HR_OK || scan.rc == 0)
                return s;
        if (scan.rc == -ENOMEM)
                return HR_RETRY;
        billrun_host->log(l->call, HR_ERROR, "readings came in a form that is not understood");
        return HR_FATAL;
}

static enum hr_status set_bounds(struct load *l, const int32_t *m, size_t n, int64_t from,
                                 int64_t to)
{
        struct buf meters = BUF_INIT, days = BUF_INIT;
        int64_t first = from / DAY_S, last = to / DAY_S;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                buf_printf(&meters, "%s%d", i ? "," : "{", m[i]);
        buf_put_str(&meters, "}");
        for (int64_t day = first; day <= last && day < first + MAX_DAYS; day++) {
                int year, month, d;

                civil_from_day(day, &year, &month, &d);
                buf_printf(&days, "%s%04d-%02d-%02d", day > first ? "," : "{", year, month, d);
        }
        buf_put_str(&days, "}");
        const char *params[] = { buf_cstr(&meters), buf_cstr(&days),
                                 billrun_host->format(l->call, "%d", m[0]),
                                 billrun_host->format(l->call, "%d", m[n - 1]) };

        s = meters.failed || days.failed
                    ? HR_RETRY
                    : billrun_host->query(l->call, sql_scan_bounds, 4, params, NULL);
        buf_deinit(&meters);
        buf_deinit(&days);
        return s;
}

/* Whether every reading is an interval value in a block: then nobody needs the register days. */
static bool blocks_suffice(const struct load *l)
{
        for (size_t i = 0; i < l->n; i++)
                for (size_t k = 0; k < l->contracts[i].in.n_segments; k++)
                        if (!usage_in_blocks(&l->readings, &l->contracts[i].segments[k]))
                                return false;
        return true;
}

static enum hr_status scan_meters(struct load *l, const int32_t *m, size_t n, int64_t from,
                                  int64_t to)
{
        /* Where at least a quarter of the numbers in between is wanted, a stretch of each day is
         * read as it lies; otherwise meter by meter. */
        bool close = (int64_t)m[n - 1] - m[0] < 4 * (int64_t)n;
        enum hr_status s = set_bounds(l, m, n, from, to);

        if (s == HR_OK && readings_begin(&l->readings, m, n, from, to) < 0)
                s = HR_RETRY;
        if (s == HR_OK)
                s = scan_kind(l, READINGS_MESSAGES,
                              close ? sql_scan_unsealed : sql_scan_unsealed_listed);
        if (s == HR_OK)
                s = scan_kind(l, READINGS_BLOCKS, close ? sql_scan_blocks : sql_scan_blocks_listed);
        if (s == HR_OK && !blocks_suffice(l))
                s = scan_kind(l, READINGS_REGISTERS,
                              close ? sql_scan_registers : sql_scan_registers_listed);
        return s;
}

enum hr_status scan_readings(struct load *l)
{
        struct buf numbers = BUF_INIT;
        int64_t from = INT64_MAX, to = INT64_MIN;
        size_t n = meters_of(l, &numbers, &from, &to);
        enum hr_status s = HR_OK;

        if (numbers.failed)
                s = HR_RETRY;
        else if (n > 0)
                s = scan_meters(l, (const int32_t *)(const void *)numbers.p, n, from, to);
        buf_deinit(&numbers);
        return s;
}
