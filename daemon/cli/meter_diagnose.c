/* headrace diagnose: step by step, up to the first thing that keeps a meter from being read. */
#include "meter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "civil.h"
#include "meter_fault.h"
#include "meter_names.h"
#include "meter_tool.h"

static const char diagnose_usage[] =
        "usage: headrace diagnose URL [OPTION...]\n"
        "\n"
        "Checks, one after the other: the way to the meter, the optical sign-on or HDLC address,\n"
        "the public client, the association with its keys, the clock, the invocation counter and\n"
        "the load profile. Says in words what was found and what to do next.\n"
        "  --profile OBIS   which profile to look at (1.0.99.1.0.255)\n";

enum { CLOCK_LIMIT_S = 60, RECENT_S = 86400 };

struct diagnosis {
        struct meter_tool t;
        json_t *steps;
        int exit;
};

enum outcome { FINE, ATTENTION, BROKEN, SKIPPED };

/* One line of the verdict. @advice NULL = nothing to do. */
static void step(struct diagnosis *d, const char *name, enum outcome outcome, const char *advice,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

static void step(struct diagnosis *d, const char *name, enum outcome outcome, const char *advice,
                 const char *format, ...)
{
        static const char *const words[] = { "ok", "look", "FAILED", "-" };
        struct buf b = BUF_INIT;
        va_list ap;

        va_start(ap, format);
        buf_vprintf(&b, format, ap);
        va_end(ap);
        json_array_append_new(d->steps, json_pack("{s:s, s:s, s:s, s:s}", "step", name, "result",
                                                  words[outcome], "found", buf_cstr(&b), "next",
                                                  advice ? advice : ""));
        buf_deinit(&b);
        if (outcome == ATTENTION && d->exit == METER_OK)
                d->exit = METER_ATTENTION;
}

static void broken(struct diagnosis *d, const char *name, const struct meter_fault *f)
{
        step(d, name, BROKEN, f->advice, "%s", f->what);
        d->exit = f->exit;
}

/* ---- the way to the meter ---- */

static bool has_link_step(const struct meter_options *o)
{
        return o->framing == DLMS_FRAMING_HDLC;
}

static void way_steps(struct diagnosis *d, const struct meter_session *s)
{
        const struct meter_options *o = &d->t.o;
        const struct dlms_client *c = meter_session_client(s);

        step(d, "connection", FINE, NULL, "%s stands after %" PRId64 " ms", o->route.url,
             meter_session_connect_ms(s));
        if (o->route.optical)
                step(d, "optical sign-on", FINE, NULL, "the meter says \"%s\"",
                     meter_session_identification(s));
        if (has_link_step(o))
                step(d, "HDLC link", FINE, NULL,
                     "address %u/%u answers; frames of %u bytes to it and %u from it, window %u",
                     o->server_sap, o->physical, c->channel.params.info_tx,
                     c->channel.params.info_rx, c->channel.params.window_rx);
}

/* What stood before the fault, then the fault. False: no use to go on. */
static bool way_broken(struct diagnosis *d, const struct meter_fault *f)
{
        const struct meter_options *o = &d->t.o;

        if (f->stage > METER_STAGE_CONNECT)
                step(d, "connection", FINE, NULL, "%s stands", o->route.url);
        if (o->route.optical && f->stage > METER_STAGE_SIGN_ON)
                step(d, "optical sign-on", FINE, NULL, "the meter answers");
        if (has_link_step(o) && f->stage > METER_STAGE_LINK)
                step(d, "HDLC link", FINE, NULL, "address %u/%u answers", o->server_sap,
                     o->physical);
        if (f->stage < METER_STAGE_ASSOCIATE) {
                static const char *const names[] = { "name", "connection", "optical sign-on",
                                                     "HDLC link" };

                broken(d, names[f->stage], f);
                return false;
        }
        return true;
}

static void public_identity(struct diagnosis *d, struct meter_session *s)
{
        const struct dlms_attr name = { 1, OBIS(0, 0, 42, 0, 0, 255), 2 };
        struct buf value = BUF_INIT, text = BUF_INIT;
        struct meter_fault fault;
        uint8_t result;

        if (meter_session_get(s, &name, NULL, &value, &result, &fault)) {
                step(d, "public client", ATTENTION, fault.advice, "associates, then: %s",
                     fault.what);
        } else if (result) {
                step(d, "public client", FINE, NULL,
                     "associates (client 16); the meter's name is refused: %s",
                     dlms_access_text(result));
        } else {
                meter_value_text(&text, value.p, value.len, NULL);
                step(d, "public client", FINE, NULL, "associates (client 16); the meter is %s",
                     buf_cstr(&text));
        }
        buf_deinit(&value);
        buf_deinit(&text);
}

/* The counter the meter shows its public client: *@ret UINT64_MAX = none. */
static void public_counter(struct diagnosis *d, struct meter_session *s, uint64_t *ret)
{
        const struct dlms_attr counter = { 1, d->t.o.counter, 2 };
        struct buf value = BUF_INIT;
        struct meter_fault fault;
        struct axdr_reader r;
        struct axdr_value v;
        uint8_t result;
        int64_t i;

        *ret = UINT64_MAX;
        if (meter_session_get(s, &counter, NULL, &value, &result, &fault) == 0 && result == 0) {
                axdr_reader_init(&r, value.p, value.len);
                if (axdr_next(&r, &v) && axdr_is_integer(&v, &i) && i >= 0)
                        *ret = (uint64_t)i;
        }
        buf_deinit(&value);
}

/* ---- inside the association ---- */

static void check_clock(struct diagnosis *d, struct meter_session *s)
{
        struct meter_fault fault;
        char text[CIVIL_RFC3339_SIZE];
        int64_t utc, off, limit = d->t.o.model ? d->t.o.model->clock_limit_s : CLOCK_LIMIT_S;
        uint8_t refused;
        int offset_min, e;

        e = meter_tool_clock(s, &d->t.o.clock, &utc, &offset_min, &refused, &fault);
        if (e == METER_FAILED && fault.what[0] == 0) {
                step(d, "clock", ATTENTION, refused ? NULL : "set the clock",
                     refused ? "cannot be read: %s" : "is not set%s",
                     refused ? dlms_access_text(refused) : "");
                return;
        }
        if (e) {
                broken(d, "clock", &fault);
                return;
        }
        off = utc - (int64_t)time(NULL);
        civil_format(utc, offset_min, text);
        if (off > limit || off < -limit)
                step(d, "clock", ATTENTION,
                     "check this computer's clock, then set the meter's (headrace meter clock with "
                     "a daemon)",
                     "shows %s: %" PRId64 " s %s", text, off < 0 ? -off : off,
                     off < 0 ? "slow" : "fast");
        else
                step(d, "clock", FINE, NULL, "shows %s: %+" PRId64 " s", text, off);
}

static void check_counter(struct diagnosis *d, struct meter_session *s, uint64_t seen)
{
        uint64_t ours = dlms_client_ic(meter_session_client(s));

        if (!meter_options_ciphered(&d->t.o))
                return;
        if (seen == UINT64_MAX)
                step(d, "counter", FINE, NULL,
                     "ours, %" PRIu64 ", is accepted; the meter does not show its own to the "
                     "public client",
                     ours);
        else if (ours < seen)
                step(d, "counter", ATTENTION,
                     "the meter keeps one counter for several clients: read with one tool at a "
                     "time",
                     "ours, %" PRIu64 ", is accepted though the meter showed %" PRIu64, ours, seen);
        else
                step(d, "counter", FINE, NULL,
                     "ours, %" PRIu64 ", is ahead of the meter's %" PRIu64, ours, seen);
}

static void judge_profile(struct diagnosis *d, const char *obis, json_t *profile, int64_t now)
{
        json_t *rows = json_object_get(profile, "rows");
        json_int_t period = json_integer_value(json_object_get(profile, "period_s"));
        size_t n = json_array_size(rows);
        const char *last =
                json_string_value(json_object_get(json_array_get(rows, n ? n - 1 : 0), "time"));
        int64_t at = 0;
        bool has_last = last && civil_parse(last, &at, NULL) == 0;

        if (n == 0)
                step(d, "load profile", ATTENTION,
                     "does it capture at all? Look at its capture period and the meter's clock",
                     "%s holds no row of the last day", obis);
        else if (has_last && period > 0 && at < now - 2 * period)
                step(d, "load profile", ATTENTION,
                     "the meter stopped to capture, or its clock was set back",
                     "%s: %zu rows of the last day, the newest at %s", obis, n, last);
        else if (period > 0 && (json_int_t)n * period < RECENT_S - 2 * period)
                step(d, "load profile", ATTENTION, "was the meter without power?",
                     "%s: %zu of %lld rows of the last day", obis, n,
                     (long long)(RECENT_S / period));
        else
                step(d, "load profile", FINE, NULL,
                     "%s: %zu rows of the last day, the newest at %s", obis, n,
                     last ? last : "an unknown time");
}

static void check_profile(struct diagnosis *d, struct meter_session *s)
{
        const struct obis *o = d->t.o.model && d->t.o.model->profile.present && !d->t.o.has_profile
                                       ? &d->t.o.model->profile.obis
                                       : &d->t.o.profile;
        struct meter_fault fault;
        char obis[OBIS_TEXT_SIZE];
        int64_t now = (int64_t)time(NULL);
        json_t *profile;
        uint8_t refused;

        obis_format(o, obis);
        if (meter_tool_profile(&d->t, s, o, now - RECENT_S, now, &profile, &refused, &fault))
                broken(d, "load profile", &fault);
        else if (!profile)
                step(d, "load profile", ATTENTION,
                     "name another one with --profile; `headrace scan` lists what there is",
                     "%s: %s", obis, dlms_access_text(refused));
        else
                judge_profile(d, obis, profile, now);
        json_decref(profile);
}

static void inside(struct diagnosis *d, struct meter_session *s, uint64_t seen)
{
        const struct dlms_client *c = meter_session_client(s);
        const struct meter_options *o = &d->t.o;

        step(d, "association", FINE, NULL,
             "client %u at server %u, %s, %s; %" PRId64 " ms; APDUs up to %u bytes", o->client_sap,
             o->server_sap, meter_auth_text(o->auth), meter_policy_text(o->policy),
             meter_session_associate_ms(s), c->peer_pdu);
        if (meter_options_ciphered(o))
                step(d, "keys", FINE, NULL, "both keys fit: the meter proved that it knows them");
        check_counter(d, s, seen);
        check_clock(d, s);
        if (d->exit == METER_OK || d->exit == METER_ATTENTION)
                check_profile(d, s);
}

/* Whether the options ask for more than the public client does. */
static bool wants_more(const struct meter_options *o)
{
        return o->client_sap != 16 || o->auth != DLMS_AUTH_NONE || o->policy != DLMS_POLICY_NONE;
}

static void diagnose(struct diagnosis *d)
{
        struct meter_session *s;
        struct meter_fault fault;
        uint64_t seen = UINT64_MAX;
        bool shown = false;

        meter_tool_progress(&d->t, "connecting ...");
        if (meter_session_open(&s, &d->t.o, true, &d->t.watch, &fault) == 0) {
                way_steps(d, s);
                shown = true;
                public_identity(d, s);
                public_counter(d, s, &seen);
                if (!wants_more(&d->t.o))
                        inside(d, s, seen);
                meter_session_close(s);
                if (!wants_more(&d->t.o))
                        return;
        } else if (!way_broken(d, &fault)) {
                return;
        } else if (!wants_more(&d->t.o)) {
                broken(d, "association", &fault);
                return;
        } else {
                shown = true;
                step(d, "public client", SKIPPED, NULL, "does not associate: %s", fault.what);
        }
        meter_tool_progress(&d->t, "associating as client %u ...", d->t.o.client_sap);
        if (meter_session_open_counted(&s, &d->t.o, &d->t.watch, &fault)) {
                if (!shown)
                        way_broken(d, &fault);
                broken(d, "association", &fault);
                return;
        }
        inside(d, s, seen);
        meter_session_close(s);
}

int meter_diagnose_run(const struct cli_options *cli, int argc, char **argv)
{
        struct diagnosis d = { 0 };
        json_t *reply;
        int r = meter_tool_open(&d.t, cli, METER_WANTS_URL, diagnose_usage, false, argc, argv);

        if (r)
                return r < 0 ? METER_OK : r;
        d.steps = json_array();
        reply = json_pack("{s:s, s:o}", "meter", d.t.o.route.url, "steps", d.steps);
        diagnose(&d);
        meter_tool_progress(&d.t, NULL);
        json_object_set_new(reply, "readable",
                            json_boolean(d.exit == METER_OK || d.exit == METER_ATTENTION));
        show_reply(cli, reply, "steps:step,result,found,next");
        if (!cli->json)
                printf("\n%s\n", d.exit == METER_OK ? "The meter can be read."
                                 : d.exit == METER_ATTENTION
                                         ? "The meter can be read, but look at the above."
                                         : "The meter cannot be read.");
        json_decref(reply);
        return meter_tool_close(&d.t, d.exit);
}
