#include "profile.h"

#include <endian.h>
#include <string.h>

static const struct obis clock_obis = { { 0, 0, 1, 0, 0, 255 } };

static bool is_clock(const struct dlms_attr *a)
{
        return a->class_id == 8 && (a->id == 2 || a->id == 0);
}

static int decode_column(struct axdr_reader *r, struct profile_column *ret)
{
        struct axdr_value v;
        int64_t i;

        if (!axdr_expect(r, AXDR_STRUCTURE, &v))
                return r->error;
        if (v.n < 4)
                return DLMS_E_TYPE;
        if (!axdr_next(r, &v) || !axdr_is_integer(&v, &i))
                return r->error ? r->error : DLMS_E_TYPE;
        ret->attr.class_id = (uint16_t)i;
        if (!axdr_expect(r, AXDR_OCTET_STRING, &v))
                return r->error;
        if (v.n != 6)
                return DLMS_E_TYPE;
        memcpy(ret->attr.obis.v, v.p, 6);
        if (!axdr_next(r, &v) || !axdr_is_integer(&v, &i))
                return r->error ? r->error : DLMS_E_TYPE;
        ret->attr.id = (int8_t)i;
        if (!axdr_next(r, &v) || !axdr_is_integer(&v, &i))
                return r->error ? r->error : DLMS_E_TYPE;
        ret->data_index = (uint16_t)i;
        return 0;
}

int profile_columns_decode(const uint8_t *data, size_t n, struct profile_columns *ret)
{
        struct profile_columns columns = { 0 };
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, data, n);
        if (!axdr_expect(&r, AXDR_ARRAY, &v))
                return r.error;
        if (v.n > PROFILE_COLUMNS_MAX)
                return DLMS_E_TOO_LONG;
        columns.n = (uint8_t)v.n;
        columns.clock = columns.n;
        for (uint8_t i = 0; i < columns.n; i++) {
                const uint8_t *start = r.p;
                struct axdr_reader element;
                int e;

                /* Later companions append restriction and columns: step over what is unknown. */
                if (!axdr_skip(&r))
                        return r.error;
                axdr_reader_init(&element, start, (size_t)(r.p - start));
                e = decode_column(&element, &columns.column[i]);
                if (e)
                        return e;
                if (columns.clock == columns.n && is_clock(&columns.column[i].attr))
                        columns.clock = i;
        }
        if (axdr_left(&r) > 0)
                return DLMS_E_TRAILING;
        *ret = columns;
        return 0;
}

int profile_reader_init(struct profile_reader *r, const struct profile_columns *columns,
                        uint32_t period_s, const uint8_t *data, size_t n)
{
        struct axdr_value v;

        *r = (struct profile_reader){ .columns = columns, .period_s = period_s };
        axdr_reader_init(&r->in, data, n);
        if (!axdr_next(&r->in, &v))
                return r->in.error;
        if (v.tag == AXDR_NULL)
                return 0;
        if (v.tag != AXDR_ARRAY)
                return DLMS_E_TYPE;
        r->rows_left = v.n;
        return 0;
}

/* Places in a date-time. */
enum { HOUR = 5, MINUTE = 6, SECOND = 7, REST = 8, STATUS = 11 };

static bool has_time_of_day(const uint8_t *p)
{
        return p[HOUR] < 24 && p[MINUTE] < 60 && p[SECOND] < 60;
}

static int64_t seconds(const uint8_t *p)
{
        return 3600 * p[HOUR] + 60 * p[MINUTE] + p[SECOND];
}

/* Rows of one day differ in the time of day only: the calendar is reckoned once a day. */
static bool same_day(const struct profile_reader *r, const uint8_t *p)
{
        return r->has_day && memcmp(p, r->day, HOUR) == 0 &&
               memcmp(p + REST, r->day + REST, DATETIME_SIZE - REST) == 0 && has_time_of_day(p);
}

static void remember_day(struct profile_reader *r, const uint8_t *p, int64_t utc)
{
        r->has_day = has_time_of_day(p);
        memcpy(r->day, p, DATETIME_SIZE);
        r->midnight = utc - seconds(p);
}

/* The row's own time, or the one above + period when the clock says null. */
static void take_clock(struct profile_reader *r, const struct axdr_value *v,
                       struct profile_row *row)
{
        struct dlms_datetime t;
        bool given =
                (v->tag == AXDR_OCTET_STRING || v->tag == AXDR_DATE_TIME) && v->n == DATETIME_SIZE;

        if (given && same_day(r, v->p)) {
                row->has_time = true;
                row->time = r->midnight + seconds(v->p);
                row->status = v->p[STATUS];
        } else if (given && dlms_datetime_read(v->p, v->n, &t) &&
                   dlms_datetime_utc(&t, r->sign, r->default_offset_min, &row->time) == 0) {
                row->has_time = true;
                row->status = t.status;
                remember_day(r, v->p, row->time);
        } else if (v->tag == AXDR_NULL && r->has_time && r->period_s > 0) {
                row->has_time = true;
                row->time = r->time + r->period_s;
        }
}

/* axdr_next(), without a call for what nearly all cells are. */
static inline bool next_value(struct axdr_reader *r, struct axdr_value *v)
{
        enum { LONGEST = 1 + 8 };
        const uint8_t *p = r->p;
        size_t left = (size_t)(r->end - p);
        uint32_t b4;

        if (left < LONGEST || r->error)
                return axdr_next(r, v);
        switch (p[0]) {
        case AXDR_UINT32:
        case AXDR_INT32:
                memcpy(&b4, p + 1, 4);
                b4 = be32toh(b4);
                v->i = p[0] == AXDR_INT32 ? (int32_t)b4 : (int64_t)b4;
                r->p += 5;
                break;
        case AXDR_UINT16:
                v->u = (uint64_t)p[1] << 8 | p[2];
                r->p += 3;
                break;
        case AXDR_UINT8:
        case AXDR_ENUM:
                v->u = p[1];
                r->p += 2;
                break;
        case AXDR_OCTET_STRING:
                if (p[1] > 0x7F || p[1] > left - 2)
                        return axdr_next(r, v);
                v->n = p[1];
                v->p = p + 2;
                r->p += 2u + p[1];
                break;
        default:
                return axdr_next(r, v);
        }
        v->tag = p[0];
        return true;
}

static int next_cell(struct profile_reader *r, uint8_t column, struct profile_row *row)
{
        const uint8_t *start = r->in.p;
        bool clock = r->columns && column == r->columns->clock;
        struct axdr_value *v = &row->value[column];

        if (!next_value(&r->in, v))
                return r->in.error;
        if (v->tag == AXDR_ARRAY || v->tag == AXDR_STRUCTURE) {
                /* A captured structure: kept whole, as its encoding. */
                r->in.p = start;
                if (!axdr_skip(&r->in))
                        return r->in.error;
                v->p = start;
        }
        if (clock)
                take_clock(r, v, row);
        else if (v->tag == AXDR_NULL && r->row > 0)
                *v = r->above[column];
        else
                r->above[column] = *v;
        return 0;
}

int profile_next(struct profile_reader *r, struct profile_row *ret)
{
        struct axdr_value v;

        if (r->rows_left == 0)
                return r->in.error ? -r->in.error : axdr_left(&r->in) > 0 ? -DLMS_E_TRAILING : 0;
        ret->has_time = false;
        ret->status = 0;
        ret->time = 0;
        if (!axdr_expect(&r->in, AXDR_STRUCTURE, &v))
                return -r->in.error;
        if (v.n > PROFILE_COLUMNS_MAX)
                return -DLMS_E_TOO_LONG;
        if (r->columns && v.n != r->columns->n)
                return -DLMS_E_TYPE;
        ret->n = (uint8_t)v.n;
        for (uint8_t i = 0; i < ret->n; i++) {
                int e = next_cell(r, i, ret);

                if (e)
                        return -e;
        }
        if (ret->has_time) {
                r->time = ret->time;
                r->has_time = true;
        }
        r->rows_left--;
        r->row++;
        return 1;
}

struct dlms_selection profile_select_range(int64_t from_utc, int64_t to_utc, int offset_min,
                                           uint8_t out[static PROFILE_SELECTION_MAX])
{
        struct axdr_writer w = axdr_writer_of(out, PROFILE_SELECTION_MAX);
        const int64_t at[2] = { from_utc, to_utc };
        uint8_t raw[DATETIME_SIZE];
        struct dlms_datetime t;

        axdr_put_structure(&w, 4);
        axdr_put_structure(&w, 4);
        axdr_put_uint16(&w, 8);
        axdr_put_obis(&w, &clock_obis);
        axdr_put_int8(&w, 2);
        axdr_put_uint16(&w, 0);
        for (int i = 0; i < 2; i++) {
                dlms_datetime_from_utc(at[i], offset_min, false, &t);
                dlms_datetime_write(&t, raw);
                axdr_put_octets(&w, raw, sizeof raw);
        }
        axdr_put_array(&w, 0);
        return (struct dlms_selection){ .selector = 1, .params = out, .n = w.len };
}

struct dlms_selection profile_select_entries(uint32_t from, uint32_t to,
                                             uint8_t out[static PROFILE_SELECTION_MAX])
{
        struct axdr_writer w = axdr_writer_of(out, PROFILE_SELECTION_MAX);

        axdr_put_structure(&w, 4);
        axdr_put_uint32(&w, from);
        axdr_put_uint32(&w, to);
        axdr_put_uint16(&w, 1);
        axdr_put_uint16(&w, 0);
        return (struct dlms_selection){ .selector = 2, .params = out, .n = w.len };
}

static int decode_range(struct axdr_reader *r, int default_offset_min, struct profile_range *ret)
{
        int64_t *bound[2] = { &ret->from, &ret->to };
        struct dlms_datetime t;
        struct axdr_value v;

        if (!axdr_skip(r)) /* restricting object: only the clock makes sense */
                return r->error;
        for (int i = 0; i < 2; i++) {
                if (!axdr_next(r, &v))
                        return r->error;
                if ((v.tag != AXDR_OCTET_STRING && v.tag != AXDR_DATE_TIME) ||
                    !dlms_datetime_read(v.p, v.n, &t) ||
                    dlms_datetime_utc(&t, DATETIME_STANDARD, default_offset_min, bound[i]))
                        return DLMS_E_TYPE;
        }
        return 0;
}

static int decode_entries(struct axdr_reader *r, struct profile_range *ret)
{
        int64_t v[4];
        struct axdr_value value;

        for (int i = 0; i < 4; i++)
                if (!axdr_next(r, &value) || !axdr_is_integer(&value, &v[i]) || v[i] < 0 ||
                    v[i] > UINT32_MAX)
                        return r->error ? r->error : DLMS_E_TYPE;
        ret->by_entry = true;
        ret->from = v[0];
        ret->to = v[1];
        ret->from_column = (uint16_t)v[2];
        ret->to_column = (uint16_t)v[3];
        return 0;
}

int profile_selection_decode(const struct dlms_selection *s, int default_offset_min,
                             struct profile_range *ret)
{
        struct profile_range range = { 0 };
        struct axdr_reader r;
        struct axdr_value v;
        int e;

        if (s->selector != 1 && s->selector != 2)
                return DLMS_E_ARGUMENT;
        axdr_reader_init(&r, s->params, s->n);
        if (!axdr_expect(&r, AXDR_STRUCTURE, &v))
                return r.error;
        if (v.n != 4)
                return DLMS_E_TYPE;
        e = s->selector == 1 ? decode_range(&r, default_offset_min, &range)
                             : decode_entries(&r, &range);
        if (!e)
                *ret = range;
        return e;
}
