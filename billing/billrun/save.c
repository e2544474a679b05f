/* A computed bill as JSON, whole for billing.save_bills() or column by column: everything a replay
 * begins from goes with it. */

#include <string.h>

#include "billrun.h"

static void put_decimal(struct buf *out, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        buf_put_u8(out, '"');
        buf_put_str(out, text);
        buf_put_u8(out, '"');
}

static void put_text(struct buf *out, const char *name, const char *value)
{
        buf_printf(out, "\"%s\":", name);
        buf_put_json_str(out, value ? value : "", value ? strlen(value) : 0);
}

static void put_contract(struct buf *out, const struct bill_input *in)
{
        buf_printf(out,
                   "\"contract\":{\"from_day\":%lld,\"to_day\":%lld,\"full_days\":%d,\"months\":%d,"
                   "\"households\":%d,\"contract_kw\":",
                   (long long)in->from_day, (long long)in->to_day, in->full_days, in->months,
                   in->households);
        put_decimal(out, in->contract_kw);
        buf_put_str(out, ",\"previous_daily\":");
        put_decimal(out, in->previous_daily);
        buf_put_str(out, ",");
        put_text(out, "main_code", in->main_code);
        buf_put_str(out, "}");
}

static void put_parts(struct buf *out, const struct bill_input *in)
{
        buf_put_str(out, ",\"parts\":[");
        for (size_t i = 0; i < in->n_parts; i++) {
                const struct bill_part *p = &in->parts[i];

                buf_printf(out, "%s{", i ? "," : "");
                put_text(out, "code", p->code);
                buf_printf(out, ",\"version\":%d,\"from_day\":%lld,\"to_day\":%lld,", p->version,
                           (long long)p->from_day, (long long)p->to_day);
                put_text(out, "hash", p->hash);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "]");
}

void save_sources(struct buf *out, const struct bill_input *in, const char *only)
{
        bool comma = false;

        buf_put_str(out, "[");
        for (size_t i = 0; i < in->n_segments; i++) {
                const struct bill_segment *s = &in->segments[i];

                if (only && strcmp(only, s->code) != 0)
                        continue;
                buf_printf(out, "%s{\"installation_id\":%lld,\"meter_id\":%d,", comma ? "," : "",
                           (long long)s->installation_id, s->meter_id);
                put_text(out, "serial", s->serial);
                buf_printf(out, ",\"channel\":%d,", s->channel);
                put_text(out, "code", s->code);
                buf_put_str(out, ",");
                put_text(out, "unit", s->unit);
                buf_printf(out,
                           ",\"scaler\":%d,\"from_s\":%lld,\"to_s\":%lld,\"values\":%zu,"
                           "\"multiplier\":",
                           s->scaler, (long long)s->from, (long long)s->to, s->n);
                put_decimal(out, s->multiplier);
                buf_put_str(out, "}");
                comma = true;
        }
        buf_put_str(out, "]");
}

void save_carry(struct buf *out, const struct rating_carry *carry, size_t n)
{
        buf_put_str(out, "[");
        for (size_t i = 0; i < n; i++) {
                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "name", carry[i].name);
                buf_put_str(out, ",\"value\":");
                put_decimal(out, carry[i].value);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "]");
}

void save_inputs(struct buf *out, const struct load *l, const struct bill_input *in)
{
        buf_put_str(out, "{");
        put_contract(out, in);
        buf_put_str(out, ",");
        put_text(out, "tz", l->tz_name);
        put_parts(out, in);
        buf_put_str(out, ",\"segments\":");
        save_sources(out, in, NULL);
        buf_put_str(out, ",\"given\":[");
        for (size_t i = 0; i < in->n_given; i++) {
                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "name", in->given[i].name);
                buf_put_str(out, ",\"value\":");
                put_decimal(out, in->given[i].value);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "],\"peaks\":[");
        for (size_t i = 0; i < in->n_peaks; i++) {
                buf_printf(out, "%s{\"year\":%d,\"month\":%d,\"value\":", i ? "," : "",
                           in->peaks[i].year, in->peaks[i].month);
                put_decimal(out, in->peaks[i].kw);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "],\"indices\":[");
        for (size_t i = 0; i < in->n_indices; i++) {
                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "name", in->indices[i].name);
                buf_put_str(out, ",");
                put_text(out, "source", in->indices[i].source);
                buf_printf(out, ",\"day\":%lld,\"value\":", (long long)in->indices[i].day);
                put_decimal(out, in->indices[i].value);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "],\"carry\":");
        save_carry(out, in->carry, in->n_carry);
        buf_put_str(out, "}");
}

void save_daily(struct buf *out, const struct bill_input *in, const struct bill_determinant *d)
{
        buf_put_str(out, "[");
        for (int64_t day = 0; day < in->to_day - in->from_day; day++) {
                buf_put_str(out, day ? "," : "");
                put_decimal(out, d->daily[day]);
        }
        buf_put_str(out, "]");
}

static void put_determinants(struct buf *out, const struct bill_input *in, const struct bill *b)
{
        buf_put_str(out, ",\"determinants\":[");
        for (size_t i = 0; i < b->n_determinants; i++) {
                const struct bill_determinant *d = &b->determinants[i];

                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "name", d->name);
                buf_put_str(out, ",");
                put_text(out, "unit", d->unit);
                buf_put_str(out, ",\"quantity\":");
                put_decimal(out, d->quantity);
                buf_printf(out, ",\"status\":\"%s\",\"readings\":\"",
                           bill_quality_name(d->quality));
                buf_put_hex(out, d->readings, sizeof d->readings);
                buf_put_str(out, "\",\"sources\":");
                save_sources(out, in, d->name);
                buf_put_str(out, ",\"daily\":");
                save_daily(out, in, d);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "]");
}

static void put_lines(struct buf *out, const struct bill *b)
{
        buf_put_str(out, ",\"lines\":[");
        for (size_t i = 0; i < b->n_lines; i++) {
                const struct bill_line *l = &b->lines[i];

                buf_printf(out,
                           "%s{\"line_no\":%zu,\"part_no\":%d,\"kind\":\"%s\",\"amount\":%lld,"
                           "\"hash\":\"",
                           i ? "," : "", i + 1, l->part_no, bill_kind_name(l->kind),
                           (long long)l->amount);
                buf_put_hex(out, l->hash, sizeof l->hash);
                buf_put_str(out, "\",");
                put_text(out, "code", l->code);
                buf_put_str(out, ",");
                put_text(out, "component", l->component);
                buf_put_str(out, ",");
                put_text(out, "label", l->text);
                buf_put_str(out, ",");
                put_text(out, "quantity", l->quantity);
                buf_put_str(out, ",");
                put_text(out, "unit", l->unit);
                buf_put_str(out, ",");
                put_text(out, "price", l->price);
                buf_put_str(out, ",");
                put_text(out, "exact", l->exact);
                buf_put_str(out, ",");
                put_text(out, "trace", l->trace);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "]");
}

void save_exceptions(struct buf *out, const struct bill *b)
{
        buf_put_str(out, "[");
        for (size_t i = 0; i < b->n_exceptions; i++) {
                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "code", b->exceptions[i].code);
                buf_put_str(out, ",");
                put_text(out, "text", b->exceptions[i].text);
                buf_printf(out, ",\"hard\":%s}", b->exceptions[i].hard ? "true" : "false");
        }
        buf_put_str(out, "]");
}

void save_bill_json(struct buf *out, const struct load *l, const struct load_contract *c,
                    const struct bill *b)
{
        buf_printf(out,
                   "{\"contract_id\":%lld,\"account_id\":%lld,\"service_point_id\":%lld,\"from_"
                   "day\":%lld,"
                   "\"to_day\":%lld,\"state\":\"%s\",\"total\":%lld,\"tax\":%lld,\"quantity\":",
                   (long long)c->contract_id, (long long)c->account_id,
                   (long long)c->service_point_id, (long long)c->in.from_day,
                   (long long)c->in.to_day, b->held ? "held" : "draft", (long long)b->total,
                   (long long)b->tax);
        put_decimal(out, b->quantity);
        buf_put_str(out, ",");
        put_text(out, "unit", b->unit);
        buf_put_str(out, ",");
        put_text(out, "currency", l->currency);
        buf_put_str(out, ",\"peak_kw\":");
        put_decimal(out, b->peak_kw);
        if (c->previous_bill)
                buf_printf(out, ",\"previous_bill_id\":%lld", (long long)c->previous_bill);
        if (c->rebill_of)
                buf_printf(out, ",\"rebill_of\":%lld", (long long)c->rebill_of);
        buf_put_str(out, ",\"carry\":");
        save_carry(out, b->carry, b->n_carry);
        buf_put_str(out, ",\"exceptions\":");
        save_exceptions(out, b);
        buf_put_str(out, ",\"inputs\":");
        save_inputs(out, l, &c->in);
        put_determinants(out, &c->in, b);
        put_lines(out, b);
        buf_put_str(out, "}");
}
