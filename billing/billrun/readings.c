#include "readings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

static const uint8_t copy_signature[11] = "PGCOPY\n\377\r\n";

enum { COLUMNS = 3 };

void readings_init(struct readings *r)
{
        memset(r, 0, sizeof *r);
}

void readings_deinit(struct readings *r)
{
        free(r->meters);
        buf_deinit(&r->rows);
        buf_deinit(&r->data);
        memset(r, 0, sizeof *r);
}

int readings_begin(struct readings *r, const int32_t *meters, size_t n, int64_t from, int64_t to)
{
        struct readings_meter *list = calloc(n + 1, sizeof *list);

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                list[i] = (struct readings_meter){
                        .meter_id = meters[i],
                        .first = { READINGS_NONE, READINGS_NONE },
                        .last = { READINGS_NONE, READINGS_NONE },
                };
        free(r->meters);
        r->meters = list;
        r->n_meters = n;
        r->cursor = 0;
        r->from = from;
        r->to = to;
        buf_reset(&r->rows);
        buf_reset(&r->data);
        return 0;
}

const struct readings_meter *readings_find(const struct readings *r, int32_t meter_id)
{
        size_t lo = 0, hi = r->n_meters;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (r->meters[mid].meter_id < meter_id)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo < r->n_meters && r->meters[lo].meter_id == meter_id ? &r->meters[lo] : NULL;
}

/* Rows come by meter, day after day: the next one is nearly always where the last one was, or one
 * further. */
static struct readings_meter *meter_of(struct readings *r, int32_t meter_id)
{
        const struct readings_meter *m;

        for (size_t i = r->cursor; i < r->n_meters && i < r->cursor + 4; i++) {
                if (r->meters[i].meter_id != meter_id)
                        continue;
                r->cursor = i;
                return &r->meters[i];
        }
        m = readings_find(r, meter_id);
        if (!m)
                return NULL;
        r->cursor = (size_t)(m - r->meters);
        return &r->meters[r->cursor];
}

/* Days of a meter usually arrive in order; one that does not is put where it belongs. */
static void chain(struct readings *r, struct readings_meter *m, enum readings_kind kind, uint32_t i)
{
        struct readings_row *rows = (struct readings_row *)(void *)r->rows.p;
        uint32_t *link = &m->first[kind];

        if (m->last[kind] != READINGS_NONE && rows[m->last[kind]].day <= rows[i].day)
                link = &rows[m->last[kind]].next;
        while (*link != READINGS_NONE && rows[*link].day <= rows[i].day)
                link = &rows[*link].next;
        rows[i].next = *link;
        *link = i;
        if (rows[i].next == READINGS_NONE)
                m->last[kind] = i;
}

static int keep(struct readings *r, struct readings_meter *m, enum readings_kind kind, int32_t day,
                const uint8_t *p, uint32_t len)
{
        struct readings_row row = { READINGS_NONE, day, len, r->data.len };
        size_t i = r->rows.len / sizeof row;

        buf_put(&r->data, p, len);
        buf_put(&r->rows, &row, sizeof row);
        if (r->data.failed || r->rows.failed || i >= READINGS_NONE)
                return -ENOMEM;
        chain(r, m, kind, (uint32_t)i);
        return 0;
}

/* Whether a received message says something about the span. Damage counts: the store's own
 * functions will say what is wrong. */
static bool message_concerns(const struct readings *r, const uint8_t *p, size_t n)
{
        struct rd rd = rd_of(p, n);
        struct message_section s;
        int more;

        while ((more = message_next(&rd, &s)) > 0) {
                int64_t last = s.at;

                if (s.type == MESSAGE_EVENT)
                        continue;
                if (s.type == MESSAGE_INTERVALS && s.n > 0)
                        last += (int64_t)(s.n - 1) * s.period_s;
                if (s.at <= r->to && last >= r->from)
                        return true;
        }
        return more < 0;
}

static int take_row(struct readings *r, enum readings_kind kind, struct rd *rd)
{
        struct readings_meter *m;
        int32_t meter_id, day;
        const uint8_t *p;
        uint32_t len;

        if (rd_be32(rd) != 4)
                return -EBADMSG;
        meter_id = (int32_t)rd_be32(rd);
        if (rd_be32(rd) != 4)
                return -EBADMSG;
        day = (int32_t)rd_be32(rd);
        len = rd_be32(rd);
        p = rd_take(rd, len);
        if (!p || rd->failed)
                return -EBADMSG;
        m = meter_of(r, meter_id);
        if (!m)
                return 0;
        if (kind != READINGS_MESSAGES)
                return keep(r, m, kind, day, p, len);
        m->unsealed = m->unsealed || message_concerns(r, p, len);
        return 0;
}

int readings_take(struct readings *r, enum readings_kind kind, const void *piece, size_t n)
{
        struct rd rd = rd_of(piece, n);

        /* The first piece begins with the header: signature, flags, length of an extension. */
        if (n >= sizeof copy_signature &&
            memcmp(piece, copy_signature, sizeof copy_signature) == 0) {
                rd_skip(&rd, sizeof copy_signature + 4);
                rd_skip(&rd, rd_be32(&rd));
        }
        while (rd.n > 0 && !rd.failed) {
                uint16_t columns = rd_be16(&rd);
                int rc;

                if (columns == UINT16_MAX) /* the trailer */
                        break;
                rc = columns == COLUMNS ? take_row(r, kind, &rd) : -EBADMSG;
                if (rc != 0)
                        return rc;
        }
        return rd.failed ? -EBADMSG : 0;
}
