/* A load profile as a table. */
#include "meter_tool.h"

#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "dlms/profile.h"
#include "dlms/push.h"
#include "meter.h"
#include "meter_names.h"

struct reading {
        struct meter_tool *t;
        struct meter_session *s;
        struct meter_fault *fault;
        struct obis obis;
        struct profile_columns columns;
        struct meter_unit units[PROFILE_COLUMNS_MAX];
        uint32_t period_s;
        int offset_min;
        uint8_t refused;
        struct buf value;
};

static int get(struct reading *g, int8_t id, const struct dlms_selection *selection)
{
        const struct dlms_attr attr = { 7, g->obis, id };
        uint8_t result;
        int e = meter_session_get(g->s, &attr, selection, &g->value, &result, g->fault);

        if (e == 0)
                g->refused = result;
        return e;
}

static int damaged(struct reading *g, const char *what, unsigned error)
{
        *g->fault = (struct meter_fault){ .stage = METER_STAGE_REQUEST,
                                          .exit = METER_BAD_ANSWER,
                                          .error = error };
        snprintf(g->fault->what, sizeof g->fault->what, "%s: %s", what, dlms_error_text(error));
        return METER_BAD_ANSWER;
}

static int read_layout(struct reading *g)
{
        struct axdr_reader r;
        struct axdr_value v;
        int64_t period;
        int e = get(g, 3, NULL);

        if (e || g->refused)
                return e;
        e = profile_columns_decode(g->value.p, g->value.len, &g->columns);
        if (e)
                return damaged(g, "the profile's capture objects", (unsigned)e);
        e = get(g, 4, NULL);
        if (e)
                return e;
        axdr_reader_init(&r, g->value.p, g->value.len);
        if (!g->refused && axdr_next(&r, &v) && axdr_is_integer(&v, &period) && period > 0 &&
            period <= 86400 * 31)
                g->period_s = (uint32_t)period;
        for (unsigned i = 0; i < g->columns.n && !e; i++)
                e = meter_tool_unit(g->s, &g->columns.column[i].attr, &g->units[i], g->fault);
        return e;
}

static json_t *columns_json(const struct reading *g)
{
        json_t *list = json_array();

        for (unsigned i = 0; i < g->columns.n; i++) {
                const struct dlms_attr *a = &g->columns.column[i].attr;
                char obis[OBIS_TEXT_SIZE], key[8];
                struct buf name = BUF_INIT;

                obis_format(&a->obis, obis);
                meter_name_obis(&name, &a->obis);
                snprintf(key, sizeof key, "c%u", i + 1);
                json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:s, s:s}", "key", key,
                                                      "obis", obis, "class", a->class_id,
                                                      "attribute", a->id, "name", buf_cstr(&name),
                                                      "unit", dlms_unit_text(g->units[i].unit)));
                buf_deinit(&name);
        }
        return list;
}

static json_t *row_json(const struct reading *g, const struct profile_row *row)
{
        json_t *o = json_object();
        char time[CIVIL_RFC3339_SIZE], key[8];
        struct buf b = BUF_INIT;

        if (row->has_time) {
                civil_format(row->time, g->offset_min, time);
                json_object_set_new(o, "time", json_string(time));
        }
        for (unsigned i = 0; i < row->n; i++) {
                const struct axdr_value *v = &row->value[i];
                int64_t n;

                if (i == g->columns.clock)
                        continue;
                buf_reset(&b);
                if (axdr_is_integer(v, &n))
                        meter_say_scaled(&b, n, g->units[i].known ? g->units[i].scaler : 0, 0);
                else if (v->p && v->tag != AXDR_BIT_STRING)
                        buf_put_hex(&b, v->p, v->n);
                snprintf(key, sizeof key, "c%u", i + 1);
                json_object_set_new(o, key, json_stringn(buf_cstr(&b), b.len));
        }
        buf_deinit(&b);
        return o;
}

static int walk(struct reading *g, const uint8_t *p, size_t n, json_t *rows)
{
        struct profile_reader r;
        struct profile_row row;
        int e = profile_reader_init(&r, &g->columns, g->period_s, p, n);

        if (e)
                return e;
        r.default_offset_min = g->offset_min;
        while ((e = profile_next(&r, &row)) > 0) {
                json_array_append_new(rows, row_json(g, &row));
                if (json_array_size(rows) % 100 == 0)
                        meter_tool_progress(g->t, "%zu rows", json_array_size(rows));
        }
        return -e;
}

static int read_rows(struct reading *g, int64_t from, int64_t to, json_t *rows)
{
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_selection range = profile_select_range(from, to, g->offset_min, params);
        bool ranged = g->columns.clock < g->columns.n;
        struct axdr_reader r;
        struct axdr_value v;
        int e = get(g, 2, ranged ? &range : NULL);

        if (e || g->refused)
                return e;
        axdr_reader_init(&r, g->value.p, g->value.len);
        if (g->value.len && g->value.p[0] == AXDR_COMPACT_ARRAY && axdr_next(&r, &v)) {
                size_t cap = 8 * g->value.len + 65536;
                uint8_t *wide = malloc(cap);
                struct axdr_writer w = axdr_writer_of(wide, wide ? cap : 0);

                e = axdr_expand_compact(&v, &w);
                if (!e)
                        e = walk(g, wide, w.len, rows);
                free(wide);
        } else {
                e = walk(g, g->value.p, g->value.len, rows);
        }
        return e ? damaged(g, "the profile's rows", (unsigned)e) : 0;
}

int meter_tool_profile(struct meter_tool *t, struct meter_session *s, const struct obis *profile,
                       int64_t from, int64_t to, json_t **ret, uint8_t *ret_refused,
                       struct meter_fault *fault)
{
        struct reading g = { .t = t, .s = s, .fault = fault, .obis = *profile };
        json_t *rows = json_array();
        char name[OBIS_TEXT_SIZE];
        uint8_t unused;
        int64_t now;
        int e;

        *ret = NULL;
        *ret_refused = 0;
        e = meter_tool_clock(s, &t->o.clock, &now, &g.offset_min, &unused, fault);
        /* A clock that cannot be read leaves the offset unknown: UTC then. */
        if (e == METER_FAILED)
                e = 0;
        if (!e)
                e = read_layout(&g);
        if (!e && !g.refused)
                e = read_rows(&g, from, to, rows);
        buf_deinit(&g.value);
        meter_tool_progress(t, NULL);
        if (e || g.refused) {
                json_decref(rows);
                *ret_refused = g.refused;
                return e;
        }
        obis_format(profile, name);
        *ret = json_pack("{s:s, s:I, s:o, s:o}", "obis", name, "period_s", (json_int_t)g.period_s,
                         "columns", columns_json(&g), "rows", rows);
        return 0;
}
