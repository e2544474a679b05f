/* Bills as binary COPY streams into the session's staging tables, and from there into the tables
 * that last: three statements for thousands of bills. */

#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

enum { BILL_COLUMNS = 18, DETERMINANT_COLUMNS = 8, LINE_COLUMNS = 14 };

static const char header[19] = "PGCOPY\n\377\r\n"; /* no flags, no extension */

static void begin(struct buf *b)
{
        buf_reset(b);
        buf_put(b, header, sizeof header);
}

void stage_begin(struct stage *s)
{
        begin(&s->bills);
        begin(&s->determinants);
        begin(&s->lines);
        s->n = 0;
}

void stage_deinit(struct stage *s)
{
        buf_deinit(&s->bills);
        buf_deinit(&s->determinants);
        buf_deinit(&s->lines);
}

/* ---- fields ---- */

static void put_i64(struct buf *b, int64_t v)
{
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)v);
}

static void put_i32(struct buf *b, int64_t v)
{
        buf_put_be32(b, 4);
        buf_put_be32(b, (uint32_t)v);
}

static void put_i16(struct buf *b, int v)
{
        buf_put_be32(b, 2);
        buf_put_be16(b, (uint16_t)v);
}

static void put_bytes(struct buf *b, const void *p, size_t n)
{
        buf_put_be32(b, (uint32_t)n);
        buf_put(b, p, n);
}

static void put_text(struct buf *b, const char *s)
{
        put_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

static void put_null(struct buf *b)
{
        buf_put_be32(b, UINT32_MAX);
}

static void put_id(struct buf *b, int64_t id)
{
        if (id)
                put_i64(b, id);
        else
                put_null(b);
}

static void put_decimal(struct buf *b, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        put_text(b, text);
}

/* A field whose length is known when it has been written. */
static size_t field_begin(struct buf *b)
{
        buf_put_be32(b, 0);
        return b->len;
}

static void field_end(struct buf *b, size_t start)
{
        uint32_t n = (uint32_t)(b->len - start);

        if (b->failed || start < 4)
                return;
        for (int i = 0; i < 4; i++)
                b->p[start - 4 + (size_t)i] = (uint8_t)(n >> (24 - 8 * i));
}

/* ---- rows ---- */

static void put_bill(struct buf *o, const struct load *l, const struct load_contract *c,
                     int64_t bill_id, const struct bill *b)
{
        size_t field;

        buf_put_be16(o, BILL_COLUMNS);
        put_i64(o, bill_id);
        put_i64(o, c->contract_id);
        put_i64(o, c->account_id);
        put_i64(o, c->service_point_id);
        put_i32(o, c->in.from_day);
        put_i32(o, c->in.to_day);
        put_text(o, b->held ? "held" : "draft");
        put_text(o, l->currency);
        put_i64(o, b->total);
        put_i64(o, b->tax);
        put_decimal(o, b->quantity);
        put_text(o, b->unit);
        field = field_begin(o);
        save_exceptions(o, b);
        field_end(o, field);
        field = field_begin(o);
        save_inputs(o, l, &c->in);
        field_end(o, field);
        field = field_begin(o);
        save_carry(o, b->carry, b->n_carry);
        field_end(o, field);
        put_decimal(o, b->peak_kw);
        put_id(o, c->previous_bill);
        put_id(o, c->rebill_of);
}

static void put_determinant(struct buf *o, const struct bill_input *in, int64_t bill_id,
                            const struct bill_determinant *d)
{
        size_t field;

        buf_put_be16(o, DETERMINANT_COLUMNS);
        put_i64(o, bill_id);
        put_text(o, d->name);
        put_text(o, d->unit);
        put_decimal(o, d->quantity);
        put_text(o, bill_quality_name(d->quality));
        put_bytes(o, d->readings, sizeof d->readings);
        field = field_begin(o);
        save_sources(o, in, d->name);
        field_end(o, field);
        field = field_begin(o);
        save_daily(o, in, d);
        field_end(o, field);
}

static void put_line(struct buf *o, int64_t bill_id, int line_no, const struct bill_line *l)
{
        buf_put_be16(o, LINE_COLUMNS);
        put_i64(o, bill_id);
        put_i16(o, line_no);
        put_i16(o, l->part_no);
        put_text(o, l->code);
        put_text(o, l->component);
        put_text(o, bill_kind_name(l->kind));
        put_text(o, l->text);
        put_text(o, l->quantity);
        put_text(o, l->unit);
        put_text(o, l->price);
        put_text(o, l->exact);
        put_i64(o, l->amount);
        put_text(o, l->trace);
        put_bytes(o, l->hash, sizeof l->hash);
}

void stage_put(struct stage *s, const struct load *l, const struct load_contract *c,
               int64_t bill_id, const struct bill *b)
{
        put_bill(&s->bills, l, c, bill_id, b);
        for (size_t i = 0; i < b->n_determinants; i++)
                put_determinant(&s->determinants, &c->in, bill_id, &b->determinants[i]);
        for (size_t i = 0; i < b->n_lines; i++)
                put_line(&s->lines, bill_id, (int)i + 1, &b->lines[i]);
        s->n++;
}

/* ---- into the database ---- */

static enum hr_status send(struct hr_call *call, const char *sql, struct buf *b)
{
        buf_put_be16(b, UINT16_MAX);
        return b->failed ? HR_RETRY : billrun_host->copy_in(call, sql, b->p, b->len);
}

enum hr_status stage_save(struct stage *s, struct hr_call *call, const char *run,
                          int64_t *ret_skipped)
{
        struct hr_rows *rows;
        enum hr_status st;

        if (s->n == 0)
                return HR_OK;
        st = billrun_host->query(call, sql_stage_open, 0, NULL, NULL);
        if (st == HR_OK)
                st = send(call, sql_stage_bills, &s->bills);
        if (st == HR_OK)
                st = send(call, sql_stage_determinants, &s->determinants);
        if (st == HR_OK)
                st = send(call, sql_stage_lines, &s->lines);
        if (st == HR_OK)
                st = billrun_host->query(call, sql_stage_save, 1, &run, &rows);
        if (st == HR_OK)
                *ret_skipped += billrun_host->rows_int(rows, 0, "skipped");
        return st;
}
