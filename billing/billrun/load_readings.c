/* Segments and the readings in them: packed ones as scan.c fetched them, and where those are not
 * all there is, what the store merges. */

#include <errno.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"
#include "civil.h"

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
                        load_put_item(&p->arrays[0], g->meter_id);
                        load_put_item(&p->arrays[1], kind == SPAN_REGISTERS ? g->reg : g->channel);
                        load_put_item(&p->arrays[2], g->from);
                        /* The register's reading at the end counts. */
                        load_put_item(&p->arrays[3], g->to + (kind == SPAN_REGISTERS));
                }
        }
        for (size_t i = 0; i < 4; i++)
                p->params[i] = load_array_text(&p->arrays[i]);
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
        c->listed[k].intervals = load_keep(l, rows, row, "data");
        return c->listed[k].intervals != NULL;
}

static bool take_registers(struct load *l, struct load_contract *c, size_t k,
                           const struct hr_rows *rows, size_t row)
{
        c->listed[k].registers = load_keep(l, rows, row, "data");
        return c->listed[k].registers != NULL;
}

static bool take_blocked(struct load *l, struct load_contract *c, size_t k,
                         const struct hr_rows *rows, size_t row)
{
        (void)k;
        if (!c->in.blocked)
                c->in.blocked = load_keep(l, rows, row, "text");
        return c->in.blocked != NULL;
}

static enum hr_status list_spans(struct load *l, enum span_kind kind, const char *sql,
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

enum hr_status load_readings(struct load *l, bool validated)
{
        enum hr_status s = scan_readings(l);

        if (s == HR_OK) {
                want_listed(l);
                s = list_spans(l, SPAN_INTERVALS, sql_batch_readings, take_intervals);
        }
        if (s == HR_OK)
                s = list_spans(l, SPAN_REGISTERS, sql_batch_readings, take_registers);
        if (s == HR_OK && validated)
                s = list_spans(l, SPAN_ALL, sql_batch_blocked, take_blocked);
        for (size_t i = 0; i < l->n && s == HR_OK && !l->packed; i++)
                s = load_expand(l, &l->contracts[i], &l->arena);
        return s;
}
