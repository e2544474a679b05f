#include "command_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"

static const char *const names[] = {
#define XX(name, word) #word,
        COMMAND_KIND_MAP(XX)
#undef XX
};

static const struct command_ops *const ops[COMMAND_N_TYPES] = {
        [COMMAND_CLOCK] = &command_clock_ops,       [COMMAND_DISCONNECT] = &command_switch_ops,
        [COMMAND_RECONNECT] = &command_switch_ops,  [COMMAND_ARM] = &command_switch_ops,
        [COMMAND_LIMITER] = &command_limiter_ops,   [COMMAND_CALENDAR] = &command_calendar_ops,
        [COMMAND_KEYS] = &command_keys_ops,         [COMMAND_FIRMWARE] = &command_firmware_ops,
};

int command_type_of(const char *name)
{
        for (int i = 0; i < COMMAND_N_TYPES; i++)
                if (strcmp(name, names[i]) == 0)
                        return i;
        return -1;
}

const char *command_type_name(enum command_type type)
{
        return names[type];
}

/* ---- ends ---- */

__attribute__((format(printf, 3, 0))) static void
end(struct command *c, enum command_outcome outcome, const char *fmt, va_list ap)
{
        if (c->outcome != COMMAND_UNDECIDED)
                return;
        c->outcome = outcome;
        vsnprintf(c->error, sizeof c->error, fmt, ap);
}

void command_fail(struct command *c, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        end(c, COMMAND_FAILED, fmt, ap);
        va_end(ap);
}

void command_again(struct command *c, int32_t after_s, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        if (c->outcome == COMMAND_UNDECIDED)
                c->again_s = after_s;
        end(c, COMMAND_AGAIN, fmt, ap);
        va_end(ap);
}

void command_confirm(struct command *c)
{
        if (c->outcome != COMMAND_UNDECIDED)
                return;
        c->outcome = COMMAND_CONFIRMED;
        command_prove_time(c, "proven_at", c->now_s);
        if (!c->sent)
                command_prove(c, "found_so", json_true()); /* nothing had to be sent */
}

void command_refused(struct command *c, const char *what, unsigned result)
{
        if (result == DLMS_ACCESS_TEMPORARY_FAILURE)
                command_again(c, 60, "%s: %s", what, dlms_access_text(result));
        else
                command_fail(c, "%s: %s", what, dlms_access_text(result));
}

bool command_may_not_send(struct command *c, const char *state)
{
        if (!c->verify_only)
                return false;
        command_fail(c, "not in effect (%s), and it may not be sent again", state);
        return true;
}

/* ---- steps ---- */

void command_get(struct command_step *ret, struct model_place place, int8_t attribute)
{
        *ret = (struct command_step){ .op = COMMAND_GET,
                                      .attr = { place.class_id, place.obis, attribute } };
}

static void with_data(struct command *c, struct command_step *ret, enum command_op op,
                      struct model_place place, int8_t id)
{
        if (c->w.failed) {
                command_fail(c, "the values are too long for one request");
                ret->op = COMMAND_END;
                return;
        }
        *ret = (struct command_step){ .op = op,
                                      .attr = { place.class_id, place.obis, id },
                                      .data = c->w.p,
                                      .n = c->w.len };
        c->sent = true;
}

void command_set(struct command *c, struct command_step *ret, struct model_place place,
                 int8_t attribute)
{
        with_data(c, ret, COMMAND_SET, place, attribute);
}

void command_act(struct command *c, struct command_step *ret, struct model_place place,
                 int8_t method)
{
        with_data(c, ret, COMMAND_ACTION, place, method);
}

void command_wait(struct command *c, struct command_step *ret, uint32_t ms, unsigned then)
{
        c->after_wait = then;
        *ret = (struct command_step){ .op = COMMAND_WAIT, .wait_ms = ms };
}

struct axdr_writer *command_write(struct command *c)
{
        c->w = axdr_writer_of(c->data, sizeof c->data);
        return &c->w;
}

void command_prove(struct command *c, const char *name, json_t *value)
{
        json_object_set_new(c->proof, name, value);
}

void command_prove_time(struct command *c, const char *name, int64_t utc)
{
        char t[CIVIL_RFC3339_SIZE];

        civil_format(utc, 0, t);
        command_prove(c, name, json_string(t));
}

bool command_number(const uint8_t *data, size_t n, int64_t *ret)
{
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, data, n);
        return axdr_next(&r, &v) && axdr_is_integer(&v, ret);
}

bool command_boolean(const uint8_t *data, size_t n, bool *ret)
{
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, data, n);
        if (!axdr_expect(&r, AXDR_BOOLEAN, &v))
                return false;
        *ret = v.i != 0;
        return true;
}

/* ---- life ---- */

static bool take_order(struct command *c, const struct command_order *o)
{
        c->ops = ops[o->type];
        c->type = o->type;
        c->command_id = o->command_id;
        c->attempt = o->attempt;
        c->sent_before = o->sent_before;
        c->verify_only = o->verify_only;
        c->rekeyed = o->rekeyed;
        c->window_wait_s = o->window_wait_s;
        c->guek_next = o->guek_next;
        c->gak_next = o->gak_next;
        c->kek = o->kek;
        c->params = json_loads(o->params && *o->params ? o->params : "{}", 0, NULL);
        c->progress = json_loads(o->progress && *o->progress ? o->progress : "{}", 0, NULL);
        c->proof = json_object();
        snprintf(c->identifier, sizeof c->identifier, "%s", o->identifier ? o->identifier : "");
        snprintf(c->version, sizeof c->version, "%s", o->version ? o->version : "");
        if (o->image_len && o->image_len <= COMMAND_IMAGE_MAX) {
                c->image = malloc(o->image_len);
                if (!c->image)
                        return false;
                memcpy(c->image, o->image, o->image_len);
                c->image_len = o->image_len;
        }
        return c->proof != NULL;
}

int command_new(struct command **ret, const struct command_order *order,
                const struct meter_model *model, char *why, size_t why_size)
{
        struct command *c = calloc(1, sizeof *c);
        int r = 0;

        if (!c)
                return -ENOMEM;
        c->places = model->places;
        if (!take_order(c, order)) {
                r = -ENOMEM;
        } else if (!json_is_object(c->params) || !json_is_object(c->progress)) {
                snprintf(why, why_size, "its parameters are no JSON object");
                r = -EINVAL;
        } else if (c->ops->begin && !c->ops->begin(c)) {
                snprintf(why, why_size, "%s", c->error);
                r = -EINVAL;
        }
        if (r) {
                command_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void command_free(struct command *c)
{
        if (!c)
                return;
        secret_wipe(&c->guek_next);
        secret_wipe(&c->gak_next);
        secret_wipe(&c->kek);
        json_decref(c->params);
        json_decref(c->progress);
        json_decref(c->proof);
        free(c->image);
        free(c);
}

int64_t command_id(const struct command *c)
{
        return c->command_id;
}

uint32_t command_attempt(const struct command *c)
{
        return c->attempt;
}

enum command_type command_type(const struct command *c)
{
        return c->type;
}

bool command_is_late(const struct command *c)
{
        return c->ops->late;
}

const struct secret *command_new_guek(const struct command *c)
{
        return c->type == COMMAND_KEYS ? &c->guek_next : NULL;
}

const struct secret *command_new_gak(const struct command *c)
{
        return c->type == COMMAND_KEYS ? &c->gak_next : NULL;
}

void command_next(struct command *c, int64_t now_s, struct command_step *ret)
{
        c->now_s = now_s;
        *ret = (struct command_step){ .op = COMMAND_END };
        if (c->outcome == COMMAND_UNDECIDED)
                c->ops->next(c, ret);
        if (c->outcome != COMMAND_UNDECIDED)
                ret->op = COMMAND_END;
}

void command_result(struct command *c, int64_t now_s, unsigned result, const uint8_t *data,
                    size_t n)
{
        c->now_s = now_s;
        if (c->outcome == COMMAND_UNDECIDED)
                c->ops->result(c, result, data, n);
}

void command_waited(struct command *c)
{
        c->tries++;
        c->step = c->after_wait;
}

void command_rekeyed(struct command *c, bool works)
{
        c->rekeyed = works;
        if (works)
                c->step += c->sent; /* else: an earlier attempt had changed them */
        else
                command_again(c, 300, "the meter took the new keys but does not answer under them");
}

void command_cut(struct command *c, const char *why)
{
        if (c->outcome != COMMAND_UNDECIDED)
                return;
        if (c->sent || c->sent_before) {
                command_again(c, 60, "%s", why);
                return;
        }
        c->outcome = COMMAND_UNREACHED;
        c->again_s = 60;
        snprintf(c->error, sizeof c->error, "%s", why);
}

enum command_outcome command_outcome(const struct command *c)
{
        return c->outcome;
}

const char *command_error(const struct command *c)
{
        return c->error;
}

int32_t command_again_s(const struct command *c)
{
        return c->again_s;
}

char *command_proof(const struct command *c)
{
        return json_dumps(c->proof, JSON_COMPACT | JSON_SORT_KEYS);
}

char *command_progress(const struct command *c)
{
        return json_dumps(c->progress, JSON_COMPACT | JSON_SORT_KEYS);
}

bool command_milestone(struct command *c)
{
        bool m = c->milestone;

        c->milestone = false;
        return m;
}
