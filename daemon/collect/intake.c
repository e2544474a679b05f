/* One way in for every pushed message: known and understood -> readings, else raw to quarantine. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collect_internal.h"

struct intake_pending {
        struct collect *collect;
        enum source_kind source;
        enum intake_outcome outcome;
        struct normalise_counts counts;
        intake_done *done;
        void *arg;
};

int64_t collect_now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_ingested(void *arg, int status)
{
        struct intake_pending *p = arg;
        struct collect *c = p->collect;
        struct source_stats *s = &c->sources[p->source];

        if (status < 0) {
                s->not_stored++;
        } else if (p->outcome == INTAKE_QUARANTINED) {
                s->quarantined++;
        } else {
                s->stored++;
                s->counts.values += p->counts.values;
        }
        p->done(p->arg, status < 0 ? INTAKE_BUSY : p->outcome, status,
                status < 0 ? strerror(-status) : NULL);
        free(p);
        c->in_ingest--;
        if (c->closing)
                collect_part_closed(c);
}

static void submit(struct collect *c, const struct ingest_msg *msg, struct intake_pending *p)
{
        int r;

        c->in_ingest++;
        if (c->closing)
                c->open_parts++;
        r = ingest_submit(c->ingest, msg, on_ingested, p);
        if (r == 0)
                return;
        c->sources[p->source].busy++;
        p->done(p->arg, INTAKE_BUSY, r, strerror(-r));
        free(p);
        c->in_ingest--;
        if (c->closing)
                collect_part_closed(c);
}

static void quarantine(struct collect *c, const struct intake_message *m,
                       enum normalise_refusal why, const char *detail, struct intake_pending *p)
{
        char reason[256], identity[256];
        struct ingest_msg msg = { .kind = INGEST_UNKNOWN,
                                  .source = SOURCE_PUSH,
                                  .received_us = collect_now_us(),
                                  .payload = m->raw,
                                  .len = m->len,
                                  .identity = identity,
                                  .reason = reason,
                                  .detail = m->detail };
        static const char *const names[] = { "dlms", "modbus", "mqtt", "coap", "manual" };

        snprintf(identity, sizeof identity, "%s", m->identity);
        if (detail && *detail)
                snprintf(reason, sizeof reason, "%s: %.200s", normalise_refusal_text(why), detail);
        else
                snprintf(reason, sizeof reason, "%s", normalise_refusal_text(why));
        msg.protocol = names[m->protocol];
        p->outcome = INTAKE_QUARANTINED;
        submit(c, &msg, p);
}

static void refuse(struct intake_pending *p, const char *why)
{
        p->done(p->arg, INTAKE_REFUSED, 0, why);
        free(p);
}

static void take(struct collect *c, const struct intake_message *m,
                 const struct registry_meter *meter, struct intake_pending *p)
{
        const struct meter_model *model;
        struct source_stats *s = &c->sources[m->source];
        struct buf payload = BUF_INIT;
        const char *model_why = NULL;
        char why[200] = "";
        enum normalise_refusal r;

        model = fleet_model(c->fleet, meter, &model_why);
        if (!model) {
                snprintf(why, sizeof why, "model %s: %.150s", meter->model, model_why);
                r = NORMALISE_UNKNOWN_LAYOUT;
        } else {
                r = normalise_message(meter, model, m->raw, m->len, collect_now_us() / 1000000,
                                      &payload, &p->counts, why, sizeof why);
        }
        for (size_t i = 0; i < NORMALISE_N_REFUSALS; i++)
                s->counts.refused[i] += p->counts.refused[i];
        if (r == NORMALISE_NONE) {
                p->outcome = INTAKE_STORED;
                submit(c,
                       &(struct ingest_msg){ .meter_id = meter->meter_id,
                                             .kind = INGEST_READINGS,
                                             .source = SOURCE_PUSH,
                                             .received_us = collect_now_us(),
                                             .payload = payload.p,
                                             .len = payload.len },
                       p);
        } else if (m->refuse_malformed && r == NORMALISE_MALFORMED) {
                refuse(p, why);
        } else {
                quarantine(c, m, r, why, p);
        }
        buf_deinit(&payload);
}

void intake(struct collect *c, const struct intake_message *m, intake_done *done, void *arg)
{
        struct source_stats *s = &c->sources[m->source];
        struct intake_pending *p = calloc(1, sizeof *p);
        const struct registry_meter *meter;

        s->messages++;
        if (!p) {
                done(arg, INTAKE_BUSY, -ENOMEM, "out of memory");
                return;
        }
        *p = (struct intake_pending){ .collect = c, .source = m->source, .done = done, .arg = arg };
        if (!m->len || m->len > INGEST_MAX_PAYLOAD) {
                s->counts.refused[m->len ? NORMALISE_TOO_LARGE : NORMALISE_MALFORMED]++;
                refuse(p, m->len ? normalise_refusal_text(NORMALISE_TOO_LARGE)
                                 : "the message is empty");
                return;
        }
        meter = c->fleet->snapshot
                        ? registry_by_identity(c->fleet->snapshot, m->protocol, m->identity)
                        : NULL;
        if (meter) {
                take(c, m, meter, p);
                return;
        }
        s->counts.refused[NORMALISE_UNKNOWN_METER]++;
        quarantine(c, m, NORMALISE_UNKNOWN_METER, NULL, p);
}
