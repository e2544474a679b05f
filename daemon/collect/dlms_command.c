/* Carries out commands inside a visit: each step of a command is one request. */

#include "dlms_visit_internal.h"

static struct command *now_of(const struct dlms_visit *d)
{
        return d->command < d->v.request.n_commands ? d->v.request.commands[d->command] : NULL;
}

struct command *dlms_visit_key_command(const struct dlms_visit *d)
{
        for (uint8_t i = 0; i < d->v.request.n_commands; i++)
                if (command_type(d->v.request.commands[i]) == COMMAND_KEYS)
                        return d->v.request.commands[i];
        return NULL;
}

static void tell(struct dlms_visit *d, struct command *c)
{
        if (command_milestone(c) && d->v.request.milestone)
                d->v.request.milestone(d->v.arg, c);
}

static void on_wait_over(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;
        struct command *c = now_of(d);

        if (!c || d->pump.closing)
                return;
        command_waited(c);
        dlms_visit_advance(d);
        pump_kick(&d->pump);
}

static void request(struct dlms_visit *d, const struct command_step *s)
{
        int64_t now = dlms_visit_now_ms(d);
        int r = s->op == COMMAND_GET ? dlms_client_get(&d->client, &s->attr, NULL, now)
                : s->op == COMMAND_SET
                        ? dlms_client_set(&d->client, &s->attr, s->data, s->n, now)
                        : dlms_client_action(&d->client, &s->attr, s->data, s->n, now);

        if (r)
                dlms_visit_client_error(d, r);
}

bool dlms_visit_want_command(struct dlms_visit *d, bool late)
{
        struct command_step s;

        for (struct command *c; (c = now_of(d)); d->command++) {
                if (command_is_late(c) != late) {
                        if (!late)
                                return false; /* they stand in order, late ones behind */
                        continue;
                }
                command_next(c, dlms_visit_now_s(d), &s);
                tell(d, c);
                if (s.op == COMMAND_END)
                        continue;
                if (s.op == COMMAND_WAIT)
                        visit_wait(&d->v, s.wait_ms, on_wait_over);
                else if (s.op == COMMAND_REKEY)
                        dlms_visit_rekey(d);
                else
                        request(d, &s);
                return true;
        }
        return false;
}

void dlms_visit_on_command(struct dlms_visit *d, const struct dlms_event *ev)
{
        struct command *c = now_of(d);

        if (c)
                command_result(c, dlms_visit_now_s(d), ev->result, ev->data, ev->len);
        dlms_visit_advance(d);
}

void dlms_visit_cut_commands(struct dlms_visit *d, const char *why)
{
        for (uint8_t i = 0; i < d->v.request.n_commands; i++)
                command_cut(d->v.request.commands[i], why);
}
