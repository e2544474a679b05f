/* bill.replay: computes a bill again from what it froze and compares every byte with what is
 * stored. Each difference is named: a reading, a tariff version, a member of a line, a total. */

#include <stdio.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

struct replay {
        struct hr_call *call;
        const char *bill;
        struct buf out;
        size_t differences;
        size_t compared;
};

static void differ(struct replay *r, const char *what, const char *stored, const char *computed)
{
        buf_put_str(&r->out, r->differences++ ? ",{\"what\":" : "{\"what\":");
        buf_put_json_str(&r->out, what, strlen(what));
        buf_put_str(&r->out, ",\"stored\":");
        buf_put_json_str(&r->out, stored, strlen(stored));
        buf_put_str(&r->out, ",\"computed\":");
        buf_put_json_str(&r->out, computed, strlen(computed));
        buf_put_str(&r->out, "}");
}

static void compare(struct replay *r, const char *what, const char *stored, const char *computed)
{
        r->compared++;
        if (strcmp(stored, computed) != 0)
                differ(r, what, stored, computed);
}

static const char *hex(struct replay *r, const uint8_t *p, size_t n)
{
        char *text = billrun_host->alloc(r->call, 2 * n + 1);

        for (size_t i = 0; text && i < n; i++)
                snprintf(text + 2 * i, 3, "%02x", p[i]);
        return text ? text : "";
}

static const char *named(struct replay *r, const char *row, size_t no, const char *member)
{
        return billrun_host->format(r->call, "%s %zu %s", row, no, member);
}

static void compare_line(struct replay *r, const struct hr_rows *rows, size_t i,
                         const struct bill_line *l)
{
        const struct {
                const char *column, *computed;
        } members[] = {
                { "code", l->code },
                { "component", l->component },
                { "kind", bill_kind_name(l->kind) },
                { "label", l->text },
                { "quantity", l->quantity },
                { "unit", l->unit },
                { "price", l->price },
                { "exact", l->exact },
                { "trace", l->trace },
                { "part_no", billrun_host->format(r->call, "%d", l->part_no) },
                { "amount", billrun_host->format(r->call, "%lld", (long long)l->amount) },
                { "hash", hex(r, l->hash, sizeof l->hash) },
        };

        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
                compare(r, named(r, "line", i + 1, members[k].column),
                        billrun_host->rows_text(rows, i, members[k].column), members[k].computed);
}

static enum hr_status compare_lines(struct replay *r, const struct bill *b)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(r->call, sql_stored_lines, 1, &r->bill, &rows);
        size_t n;

        if (s != HR_OK)
                return s;
        n = billrun_host->rows_count(rows);
        compare(r, "number of lines", billrun_host->format(r->call, "%zu", n),
                billrun_host->format(r->call, "%zu", b->n_lines));
        for (size_t i = 0; i < n && i < b->n_lines; i++)
                compare_line(r, rows, i, &b->lines[i]);
        return HR_OK;
}

static enum hr_status compare_determinants(struct replay *r, const struct bill *b)
{
        struct hr_rows *rows;
        enum hr_status s =
                billrun_host->query(r->call, sql_stored_determinants, 1, &r->bill, &rows);

        if (s != HR_OK)
                return s;
        for (size_t i = 0; i < billrun_host->rows_count(rows); i++) {
                const char *name = billrun_host->rows_text(rows, i, "name");
                const char *meters = billrun_host->rows_text(rows, i, "meters");
                const struct bill_determinant *d = NULL;
                struct decimal stored = DECIMAL_ZERO;
                char text[DECIMAL_TEXT_SIZE];

                for (size_t k = 0; k < b->n_determinants; k++)
                        if (strcmp(b->determinants[k].name, name) == 0)
                                d = &b->determinants[k];
                if (!d) {
                        differ(r, billrun_host->format(r->call, "readings of %s", name), meters,
                               "none");
                        continue;
                }
                compare(r, billrun_host->format(r->call, "readings of %s, meter %s", name, meters),
                        billrun_host->rows_text(rows, i, "readings"),
                        hex(r, d->readings, sizeof d->readings));
                r->compared++;
                decimal_format(d->quantity, 0, text);
                if (decimal_parse(billrun_host->rows_text(rows, i, "quantity"), &stored) != 0 ||
                    decimal_cmp(stored, d->quantity) != 0)
                        differ(r, billrun_host->format(r->call, "quantity of %s", name),
                               billrun_host->rows_text(rows, i, "quantity"), text);
        }
        return HR_OK;
}

static enum hr_status compare_all(struct replay *r, const struct load_contract *c,
                                  const struct bill *b)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(r->call, sql_stored_bill, 1, &r->bill, &rows);

        if (s != HR_OK)
                return s;
        for (size_t i = 0; i < c->in.n_parts; i++)
                compare(r,
                        billrun_host->format(r->call, "tariff %s version %d", c->parts[i].code,
                                             c->parts[i].version),
                        c->parts[i].hash, c->parts[i].current_hash);
        if (c->in.damaged)
                differ(r, "stored readings", "", c->in.damaged);
        s = compare_determinants(r, b);
        if (s == HR_OK)
                s = compare_lines(r, b);
        compare(r, "total", billrun_host->rows_text(rows, 0, "total"),
                billrun_host->format(r->call, "%lld", (long long)b->total));
        compare(r, "tax", billrun_host->rows_text(rows, 0, "tax"),
                billrun_host->format(r->call, "%lld", (long long)b->tax));
        return s;
}

static enum hr_status reply(struct replay *r)
{
        struct buf doc = BUF_INIT;

        if (r->out.failed)
                return HR_RETRY;
        buf_printf(&doc, "{\"bill\":%s,\"same\":%s,\"compared\":%zu,\"differences\":[%s]}", r->bill,
                   r->differences ? "false" : "true", r->compared, buf_cstr(&r->out));
        billrun_host->reply_json(r->call, buf_cstr(&doc), doc.len);
        buf_deinit(&doc);
        return HR_OK;
}

enum hr_status billrun_op_replay(struct hr_call *call)
{
        struct replay r = { .call = call, .bill = billrun_host->param(call, "bill") };
        struct tariffs tariffs = { 0 };
        struct load l;
        struct bill b;
        enum hr_status s;

        load_init(&l, call, &tariffs);
        s = load_frozen(&l, r.bill);
        if (s == HR_OK && l.n == 0)
                s = billrun_host->reject(call, 404, "unknown_bill", "bill", "There is no bill %s",
                                         r.bill);
        if (s == HR_OK && bill_compute(&l.contracts[0].in, &b) != 0)
                s = HR_RETRY;
        else if (s == HR_OK) {
                s = compare_all(&r, &l.contracts[0], &b);
                bill_deinit(&b);
        }
        if (s == HR_OK)
                s = reply(&r);
        buf_deinit(&r.out);
        load_deinit(&l);
        tariffs_deinit(&tariffs);
        return s;
}
