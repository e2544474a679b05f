/* Commands played against a meter made of tables: every answer cut, refused or lying. */
#include "hr_test.h"

#include "command.h"
#include "dlms/datetime.h"
#include "dlms/security.h"

#define NOW 1790812800

enum { SENT_MAX = 64 };

/* A meter that moves, or does not. */
struct meter {
        uint8_t state, mode;
        bool output, stuck;
        uint32_t threshold;
        int64_t clock_offset;
        const char *version;
        uint8_t image_status;
        uint32_t blocks, lost_block; /* lost_block: forgotten once; 0 = none */
        bool key_taken, refuse_key;
        unsigned sent; /* SET and ACTION requests it was given */
        int8_t sent_ids[SENT_MAX];
        unsigned refuse; /* result of every SET and ACTION; 0 = takes them */
        uint8_t value[64];
        size_t n;
};

static struct meter_model *model;

static void put(struct meter *m, const struct axdr_writer *w)
{
        CU_ASSERT_FALSE(w->failed);
        m->n = w->len;
}

static void get(struct meter *m, const struct command_step *s)
{
        struct axdr_writer w = axdr_writer_of(m->value, sizeof m->value);
        struct dlms_datetime t;
        uint8_t bytes[DATETIME_SIZE];

        if (s->attr.class_id == 70 && s->attr.id == 2)
                axdr_put_bool(&w, m->output);
        else if (s->attr.class_id == 70)
                axdr_put_enum(&w, s->attr.id == 3 ? m->state : m->mode);
        else if (s->attr.class_id == 71)
                axdr_put_uint32(&w, m->threshold);
        else if (s->attr.class_id == 8) {
                dlms_datetime_from_utc(NOW + m->clock_offset, 420, false, &t);
                dlms_datetime_write(&t, bytes);
                axdr_put_octets(&w, bytes, sizeof bytes);
        } else if (s->attr.class_id == 1)
                axdr_put_octets(&w, m->version, strlen(m->version));
        else if (s->attr.id == 2)
                axdr_put_uint32(&w, 100);
        else if (s->attr.id == 4)
                axdr_put_uint32(&w, m->lost_block ? m->lost_block : m->blocks);
        else if (s->attr.id == 5)
                axdr_put_bool(&w, true);
        else if (s->attr.id == 6)
                axdr_put_enum(&w, m->image_status);
        else {
                axdr_put_array(&w, 1);
                axdr_put_structure(&w, 3);
                axdr_put_uint32(&w, 450);
                axdr_put_octets(&w, "img", 3);
                axdr_put_octets(&w, "", 0);
        }
        put(m, &w);
}

static void move(struct meter *m, int8_t method)
{
        bool connects = m->mode == 2 || m->mode == 4;

        if (m->stuck)
                return;
        m->state = method == 1 ? 0 : connects ? 1 : 2;
        m->output = m->state == 1;
}

static void take_block(struct meter *m, const struct command_step *s)
{
        struct axdr_reader r;
        struct axdr_value v, nr;

        axdr_reader_init(&r, s->data, s->n);
        CU_ASSERT_TRUE(axdr_expect(&r, AXDR_STRUCTURE, &v) && axdr_expect(&r, AXDR_UINT32, &nr));
        if (m->lost_block && nr.i == m->lost_block)
                m->lost_block = 0;
        else
                m->blocks = (uint32_t)nr.i + 1;
}

static unsigned change(struct meter *m, const struct command_step *s)
{
        struct axdr_reader r;
        struct axdr_value v;

        m->sent_ids[m->sent++ % SENT_MAX] = s->attr.id;
        CU_ASSERT_EQUAL(axdr_check(s->data, s->n), 0);
        if (m->refuse)
                return m->refuse;
        axdr_reader_init(&r, s->data, s->n);
        if (s->attr.class_id == 70) {
                move(m, s->attr.id);
        } else if (s->attr.class_id == 71) {
                axdr_next(&r, &v);
                m->threshold = m->stuck ? m->threshold : (uint32_t)v.i;
        } else if (s->attr.class_id == 8) {
                m->clock_offset = m->stuck ? m->clock_offset : 0;
        } else if (s->attr.class_id == 64) {
                m->key_taken = true;
        } else if (s->attr.class_id == 18 && s->attr.id == 1) {
                m->image_status = 1;
                m->blocks = 0;
        } else if (s->attr.class_id == 18 && s->attr.id == 2) {
                take_block(m, s);
        } else if (s->attr.class_id == 18 && s->attr.id == 3) {
                m->image_status = 3;
                return DLMS_ACCESS_TEMPORARY_FAILURE;
        } else if (s->attr.class_id == 18 && s->attr.id == 4) {
                m->version = "FW2";
        }
        return 0;
}

/* Plays @c until its end or until @steps requests were made; returns how many were. */
static unsigned play(struct command *c, struct meter *m, unsigned steps)
{
        struct command_step s;
        unsigned n = 0;

        for (unsigned guard = 0; guard < 2000; guard++) {
                unsigned result = 0;

                command_next(c, NOW, &s);
                if (s.op == COMMAND_END)
                        return n;
                if (s.op == COMMAND_WAIT) {
                        CU_ASSERT_TRUE(s.wait_ms > 0);
                        command_waited(c);
                        continue;
                }
                if (s.op == COMMAND_REKEY) {
                        command_rekeyed(c, m->key_taken && !m->refuse_key);
                        continue;
                }
                if (n++ == steps)
                        return n - 1;
                m->n = 0;
                if (s.op == COMMAND_GET)
                        get(m, &s);
                else
                        result = change(m, &s);
                /* Exact-size copy, so that sanitizers see a step beyond it. */
                uint8_t *copy = malloc(m->n ? m->n : 1);

                memcpy(copy, m->value, m->n);
                command_result(c, NOW, result, copy, m->n);
                free(copy);
        }
        CU_FAIL("a command without end");
        return n;
}

static struct command *make(enum command_type type, const char *params, struct command_order *o)
{
        struct command *c = NULL;
        char why[200] = "";

        o->type = type;
        o->command_id = 1;
        o->params = params;
        if (command_new(&c, o, model, why, sizeof why) < 0)
                printf("[%s]", why);
        return c;
}

static enum command_outcome run(enum command_type type, const char *params, struct meter *m)
{
        struct command_order o = { 0 };
        struct command *c = make(type, params, &o);
        enum command_outcome r;

        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        play(c, m, UINT32_MAX);
        r = command_outcome(c);
        command_free(c);
        return r;
}

static void begin(void)
{
        char why[200];
        const struct model_file *f = model_builtin();

        while (strcmp(f->name, "HR-DLMS-W") != 0)
                f++;
        CU_ASSERT_EQUAL_FATAL(model_parse(&model, f->json, why, sizeof why), 0);
}

static void switching(void)
{
        struct meter m = { .state = 1, .output = true, .mode = 4 };

        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 1);
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 1); /* it was so already */
        CU_ASSERT_EQUAL(run(COMMAND_ARM, "{}", &m), COMMAND_FAILED); /* would connect */
        CU_ASSERT_EQUAL(m.sent, 1);
        CU_ASSERT_EQUAL(run(COMMAND_RECONNECT, "{}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_TRUE(m.output);
        m = (struct meter){ .state = 0, .mode = 3 };
        CU_ASSERT_EQUAL(run(COMMAND_RECONNECT, "{}", &m), COMMAND_FAILED); /* can only be armed */
        CU_ASSERT_EQUAL(m.sent, 0);
        CU_ASSERT_EQUAL(run(COMMAND_ARM, "{}", &m), COMMAND_CONFIRMED);
        m = (struct meter){ .state = 1, .output = true, .mode = 0 };
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_FAILED);
        CU_ASSERT_EQUAL(m.sent, 0);
        m = (struct meter){ .state = 1, .output = true, .mode = 4, .stuck = true };
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_FAILED);
        CU_ASSERT_EQUAL(m.sent, 1);
        /* The output is what counts: a relay that says disconnected and still feeds is no proof. */
        m = (struct meter){ .state = 0, .output = true, .mode = 4, .stuck = true };
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_FAILED);
        m = (struct meter){ .state = 1, .output = true, .mode = 4,
                            .refuse = DLMS_ACCESS_TEMPORARY_FAILURE };
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_AGAIN);
        m.refuse = DLMS_ACCESS_READ_WRITE_DENIED;
        CU_ASSERT_EQUAL(run(COMMAND_DISCONNECT, "{}", &m), COMMAND_FAILED);
}

/* Cut after every single request, then tried again as the database would: the effect comes once. */
static void cut_everywhere(void)
{
        for (unsigned at = 0; at < 6; at++) {
                struct meter m = { .state = 1, .output = true, .mode = 4 };
                struct command_order o = { 0 };
                struct command *c = make(COMMAND_DISCONNECT, "{}", &o);
                enum command_outcome first;

                play(c, &m, at);
                command_cut(c, "the connection was lost");
                first = command_outcome(c);
                /* From the moment the request is made nobody knows. */
                CU_ASSERT_EQUAL(first, at < 3 ? COMMAND_UNREACHED : COMMAND_AGAIN);
                command_free(c);
                o.sent_before = first == COMMAND_AGAIN;
                c = make(COMMAND_DISCONNECT, "{}", &o);
                play(c, &m, UINT32_MAX);
                CU_ASSERT_EQUAL(command_outcome(c), COMMAND_CONFIRMED);
                CU_ASSERT_EQUAL(m.sent, 1);
                command_free(c);
        }
}

static void verify_only(void)
{
        struct meter m = { .state = 1, .output = true, .mode = 4 };
        struct command_order o = { .sent_before = true, .verify_only = true };
        struct command *c = make(COMMAND_DISCONNECT, "{}", &o);

        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_FAILED);
        CU_ASSERT_EQUAL(m.sent, 0);
        command_free(c);
        m.state = 0;
        m.output = false;
        c = make(COMMAND_DISCONNECT, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 0);
        command_free(c);
}

static void clocks(void)
{
        struct meter m = { .clock_offset = 3 };

        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"tolerance_s\":5}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 0);
        m.clock_offset = 40;
        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"policy\":\"record\"}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 0);
        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"policy\":\"shift\"}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent_ids[0], 6);
        m = (struct meter){ .clock_offset = -4000 };
        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"policy\":\"shift\"}", &m), COMMAND_FAILED);
        CU_ASSERT_EQUAL(m.sent, 0);
        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"policy\":\"set\"}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent_ids[0], 2);
        m = (struct meter){ .clock_offset = 4000, .stuck = true };
        CU_ASSERT_EQUAL(run(COMMAND_CLOCK, "{\"policy\":\"set\"}", &m), COMMAND_FAILED);
}

static void limits(void)
{
        struct meter m = { .threshold = 10000 };

        CU_ASSERT_EQUAL(run(COMMAND_LIMITER, "{\"threshold\":4600}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.threshold, 4600);
        CU_ASSERT_EQUAL(run(COMMAND_LIMITER, "{\"threshold\":4600}", &m), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 1);
        m.stuck = true;
        CU_ASSERT_EQUAL(run(COMMAND_LIMITER, "{\"threshold\":1}", &m), COMMAND_FAILED);
}

static void keys(void)
{
        struct command_order o = { 0 };
        struct command *c;
        struct meter m = { 0 };
        char why[200];

        CU_ASSERT_EQUAL(command_new(&c, &(struct command_order){ .type = COMMAND_KEYS }, model, why,
                                    sizeof why),
                        -22);
        CU_ASSERT_TRUE(secret_set(&o.guek_next, "0123456789ABCDEF", 16));
        CU_ASSERT_TRUE(secret_set(&o.gak_next, "FEDCBA9876543210", 16));
        CU_ASSERT_TRUE(secret_set(&o.kek, "KKKKKKKKKKKKKKKK", 16));
        c = make(COMMAND_KEYS, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 1);
        command_free(c);
        /* Taken, and no answer under the new ones: not decided, both pairs stay. */
        m = (struct meter){ .refuse_key = true };
        c = make(COMMAND_KEYS, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_AGAIN);
        command_free(c);
        /* The next attempt finds that the meter uses them: nothing is sent. */
        o.sent_before = true;
        m = (struct meter){ .key_taken = true };
        c = make(COMMAND_KEYS, "{}", &o);
        command_rekeyed(c, true);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_CONFIRMED);
        CU_ASSERT_EQUAL(m.sent, 0);
        command_free(c);
}

static void firmware(void)
{
        uint8_t image[450] = { 1 };
        struct command_order o = { .image = image, .image_len = sizeof image, .identifier = "img",
                                   .version = "FW2" };
        struct meter m = { .version = "FW1" };
        struct command *c = make(COMMAND_FIRMWARE, "{}", &o);
        char *progress;

        /* Cut in the third block. */
        play(c, &m, 7);
        CU_ASSERT_EQUAL(m.blocks, 2);
        command_cut(c, "cut");
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_AGAIN);
        progress = command_progress(c);
        command_free(c);
        /* Goes on where the meter says; one block gets lost on the way; waits for its window. */
        o.progress = progress;
        o.sent_before = true;
        o.window_wait_s = 3600;
        m.lost_block = 0;
        m.sent = 0;
        c = make(COMMAND_FIRMWARE, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_AGAIN);
        CU_ASSERT_EQUAL(command_again_s(c), 3600);
        CU_ASSERT_EQUAL(m.sent, 3 + 1); /* blocks 2, 3, 4 and verify */
        CU_ASSERT_STRING_EQUAL(m.version, "FW1");
        command_free(c);
        o.window_wait_s = 0;
        c = make(COMMAND_FIRMWARE, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_AGAIN); /* activated: to be read back later */
        command_free(c);
        c = make(COMMAND_FIRMWARE, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_CONFIRMED);
        command_free(c);
        /* Another image stands verified in the meter: never activated as ours. */
        m = (struct meter){ .version = "FW1", .image_status = 3 };
        o.identifier = "other";
        c = make(COMMAND_FIRMWARE, "{}", &o);
        play(c, &m, UINT32_MAX);
        CU_ASSERT_EQUAL(command_outcome(c), COMMAND_FAILED);
        CU_ASSERT_STRING_EQUAL(m.version, "FW1");
        command_free(c);
        free(progress);
}

/* Whatever a meter answers ends the command, and never in a confirmation it does not show. */
static void nonsense(void)
{
        static const char *const params[COMMAND_N_TYPES] = {
                [COMMAND_CLOCK] = "{}", [COMMAND_LIMITER] = "{\"threshold\":1}"
        };

        for (enum command_type t = 0; t <= COMMAND_LIMITER; t++)
                for (unsigned first = 0; first < 256; first++)
                        for (size_t n = 0; n < 14; n += 3) {
                                struct command_order o = { 0 };
                                struct command *c = make(t, params[t] ? params[t] : "{}", &o);
                                struct command_step s = { .op = COMMAND_GET };
                                uint8_t *bytes = malloc(n ? n : 1);

                                memset(bytes, 0x0C, n);
                                if (n)
                                        bytes[0] = (uint8_t)first;
                                for (int i = 0; i < 60 && s.op != COMMAND_END; i++) {
                                        command_next(c, NOW, &s);
                                        if (s.op == COMMAND_WAIT)
                                                command_waited(c);
                                        else if (s.op != COMMAND_END)
                                                command_result(c, NOW, 0, bytes, n);
                                }
                                CU_ASSERT_NOT_EQUAL(command_outcome(c), COMMAND_UNDECIDED);
                                CU_ASSERT_TRUE(command_outcome(c) != COMMAND_CONFIRMED ||
                                               t == COMMAND_LIMITER);
                                free(bytes);
                                command_free(c);
                        }
}

static void wrong_parameters(void)
{
        static const struct {
                enum command_type type;
                const char *params, *says;
        } cases[] = {
                { COMMAND_CLOCK, "{\"policy\":\"x\"}", "record, shift, set" },
                { COMMAND_CLOCK, "{\"tolerance_s\":0}", "tolerance_s" },
                { COMMAND_CLOCK, "[]", "JSON object" },
                { COMMAND_LIMITER, "{}", "threshold" },
                { COMMAND_LIMITER, "{\"threshold\":-1}", "threshold" },
                { COMMAND_CALENDAR, "{}", "name" },
                { COMMAND_CALENDAR, "{\"name\":\"toolongname\"}", "1 to 8" },
                { COMMAND_CALENDAR, "{\"name\":\"a\",\"seasons\":[]}", "seasons" },
                { COMMAND_FIRMWARE, "{}", "image" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct command_order o = { .type = cases[i].type, .params = cases[i].params };
                struct command *c = NULL;
                char why[200] = "";

                CU_ASSERT_EQUAL(command_new(&c, &o, model, why, sizeof why), -22);
                CU_ASSERT_PTR_NOT_NULL(strstr(why, cases[i].says));
        }
}

static void end(void)
{
        free(model);
}

HR_TESTS("commands", { "a model", begin }, { "switching, with proof", switching },
         { "cut everywhere, effect once", cut_everywhere },
         { "asked only, when it may not be sent again", verify_only }, { "clock", clocks },
         { "limiter", limits }, { "keys", keys }, { "firmware", firmware },
         { "nonsense from the meter", nonsense }, { "wrong parameters", wrong_parameters },
         { "end", end })
