/*
 * The shared records of services, links and pushes: everything decodes, and encoded again from what
 * was decoded gives the same bytes. The few records that are not canonical are named with the
 * reason.
 */
#include "hr_test.h"

#include <jansson.h>

#include "dlms/acse.h"
#include "dlms/apdu.h"
#include "dlms/axdr.h"
#include "dlms/channel.h"
#include "dlms/hdlc.h"
#include "dlms/push.h"
#include "dlms/unpack.h"
#include "hex.h"

enum { CAP = 1 << 16, OBJECTS = 256 };

enum flaw {
        NO_FLAW,
        TAGGED_TIME, /* the notification's date-time has a tag before it, against the standard */
        NO_AXDR,     /* attribute descriptors without tags in the body: no A-XDR data */
        CHANGED,     /* published with digits changed: the first frame's FCS does not match */
        ADDRESS,     /* broken on purpose: an address of three bytes, HCS wrong */
};

/* The records that cannot be encoded the same, by name. */
static const struct {
        const char *name;
        enum flaw flaw;
} flawed[] = {
        { "hdlc_kaifa_ma304h3e", TAGGED_TIME },
        { "ams_kaifa-tn-3p_1", TAGGED_TIME },
        { "ams_kaifa-tn-3p_2", TAGGED_TIME },
        { "amshan_kaifa_no_list_1", TAGGED_TIME },
        { "amshan_kaifa_no_list_2", TAGGED_TIME },
        { "amshan_kaifa_no_list_3", TAGGED_TIME },
        { "raw_sagecom_xt211", NO_AXDR },
        { "raw_egd_example", NO_AXDR },
        { "iskra_am550_issue", CHANGED },
        { "epri_HDLC-Packet_6", ADDRESS },
};

static json_t *load(const char *file)
{
        json_t *all = json_array(), *line;
        FILE *f = fopen(hr_shared(file), "rb");

        CU_ASSERT_FATAL(f != NULL);
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)))
                json_array_append_new(all, line);
        fclose(f);
        CU_ASSERT_FATAL(json_array_size(all) > 0);
        return all;
}

static const char *name_of(const json_t *line)
{
        return json_string_value(json_object_get(line, "name"));
}

static enum flaw flaw_of(const json_t *line)
{
        for (size_t i = 0; i < sizeof flawed / sizeof *flawed; i++)
                if (strcmp(flawed[i].name, name_of(line)) == 0)
                        return flawed[i].flaw;
        return NO_FLAW;
}

/* An exact-size heap copy, to be freed. */
static uint8_t *bytes_of(const json_t *line, size_t *ret_n)
{
        static uint8_t all[CAP];
        const char *hex = json_string_value(json_object_get(line, "hex"));
        ssize_t n = hex_decode(hex, strlen(hex), all, sizeof all);
        uint8_t *copy;

        CU_ASSERT_FATAL(n > 0);
        copy = malloc((size_t)n);
        memcpy(copy, all, (size_t)n);
        *ret_n = (size_t)n;
        return copy;
}

static void complain(const json_t *line, const char *what, bool good)
{
        if (!good)
                printf("%s: %s; ", name_of(line), what);
        CU_ASSERT(good);
}

/* ---- A-XDR: every value read and written again ---- */

static bool copy_values(struct axdr_reader *r, struct axdr_writer *w)
{
        struct axdr_value v;

        while (r->p < r->end) {
                if (!axdr_next(r, &v))
                        return false;
                axdr_put_value(w, &v);
        }
        return !w->failed;
}

static bool values_same(const uint8_t *p, size_t n)
{
        static uint8_t out[CAP];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        return copy_values(&r, &w) && w.len == n && (n == 0 || memcmp(out, p, n) == 0);
}

/* ---- APDUs ---- */

/* What @p decodes to, encoded again; false when nothing decodes it. */
static bool encode_again(const uint8_t *p, size_t n, struct axdr_writer *w)
{
        struct apdu_notification note;
        struct acse_initiate initiate;
        struct apdu_response a;
        struct apdu_request q;

        if (apdu_request_decode(p, n, &q) == 0)
                apdu_put_request(w, &q);
        else if (apdu_response_decode(p, n, &a) == 0)
                apdu_put_response(w, &a);
        else if (acse_initiate_decode(p, n, &initiate) == 0)
                acse_put_initiate(w, &initiate);
        else if (apdu_notification_decode(p, n, &note) == 0)
                apdu_put_notification(w, &note);
        else
                return false;
        return true;
}

static bool same_again(const uint8_t *p, size_t n)
{
        static uint8_t out[CAP];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);

        return encode_again(p, n, &w) && !w.failed && w.len == n && memcmp(out, p, n) == 0;
}

static void services(void)
{
        json_t *all = load("vectors/xdlms.jsonl"), *line;
        size_t i;

        json_array_foreach(all, i, line)
        {
                size_t n;
                uint8_t *p = bytes_of(line, &n);
                struct apdu_response a;
                struct apdu_request q;

                complain(line, "not encoded the same", same_again(p, n));
                if (apdu_request_decode(p, n, &q) == 0) {
                        complain(line, "selection", values_same(q.selection.params, q.selection.n));
                        if (q.tag != APDU_GET_REQUEST && q.kind == APDU_NORMAL && q.data)
                                complain(line, "data", values_same(q.data, q.n));
                }
                if (apdu_response_decode(p, n, &a) == 0 && a.kind == APDU_NORMAL && a.data)
                        complain(line, "data", values_same(a.data, a.n));
                /* Cut anywhere: refused. */
                for (size_t cut = 0; cut < n; cut++) {
                        uint8_t *part = malloc(cut ? cut : 1);
                        uint8_t out[2048];
                        struct axdr_writer w = axdr_writer_of(out, sizeof out);

                        memcpy(part, p, cut);
                        complain(line, "decodes though cut", !encode_again(part, cut, &w));
                        free(part);
                }
                free(p);
        }
        CU_ASSERT_EQUAL(json_array_size(all), 26);
        json_decref(all);
}

/* ---- frames ---- */

/* Every frame in @p, which may share flags and have fill between them, written again. */
static unsigned frames_same(const json_t *line, const uint8_t *p, size_t n)
{
        const json_t *opinion = json_object_get(line, "decoded");
        const json_t *decoded = json_object_get(
                opinion, json_object_get(opinion, "frames") ? "frames" : "hdlc");
        unsigned count = 0, bad = 0;
        size_t at = 0;

        while (at + 2 < n) {
                uint8_t out[HDLC_FRAME_MAX];
                struct hdlc_frame f;
                int size = hdlc_frame_size(p + at, n - at), e;
                const json_t *o;
                bool good;

                if (size <= 0) {
                        at++;
                        continue;
                }
                CU_ASSERT_FATAL((size_t)size <= n - at);
                e = hdlc_frame_parse(p + at, (size_t)size, &f);
                o = json_array_get(decoded, count++);
                good = !o || (json_is_true(json_object_get(o, "fcs_ok")) &&
                              !json_is_false(json_object_get(o, "hcs_ok")));
                complain(line, "check sequences judged differently", (e == 0) == good);
                bad += e != 0;
                if (o && (e == 0 || e == DLMS_E_HDLC_FCS)) {
                        complain(line, "control", json_integer_value(json_object_get(
                                                          o, "control")) == f.control);
                        complain(line, "segmented",
                                 json_is_true(json_object_get(o, "segmented")) == f.segmented);
                }
                if (!e)
                        complain(line, "frame not written the same",
                                 hdlc_frame_write(&f, out, sizeof out) == (size_t)size &&
                                         memcmp(out, p + at, (size_t)size) == 0);
                at += (size_t)size - 1; /* the closing flag may open the next */
        }
        complain(line, "flaw", bad == (flaw_of(line) == CHANGED || flaw_of(line) == ADDRESS));
        return count;
}

static void frames(void)
{
        json_t *all = load("vectors/hdlc_frames.jsonl"), *line;
        size_t i;

        json_array_foreach(all, i, line)
        {
                size_t n;
                uint8_t *p = bytes_of(line, &n);

                CU_ASSERT(frames_same(line, p, n) > 0);
                free(p);
        }
        json_decref(all);
}

/* ---- pushes ---- */

static void check_push(const json_t *line, const uint8_t *apdu, size_t n)
{
        static struct dlms_object objects[OBJECTS];
        struct dlms_notification decoded;
        struct apdu_notification note;
        struct apdu_response a;

        complain(line, "objects", dlms_push_decode(apdu, n, &decoded, objects, OBJECTS) == 0);
        complain(line, "no objects", decoded.n_objects > 0);
        complain(line, "not encoded the same", same_again(apdu, n) != (flaw_of(line) == TAGGED_TIME));
        if (apdu_response_decode(apdu, n, &a) == 0)
                return; /* a GET response taken for a push */
        CU_ASSERT_EQUAL_FATAL(apdu_notification_decode(apdu, n, &note), 0);
        complain(line, "body", values_same(note.body, note.n) != (flaw_of(line) == NO_AXDR));
}

static void pushes(void)
{
        static const char *const files[] = { "vectors/push_hdlc.jsonl", "vectors/push_apdu.jsonl" };
        static uint8_t buf[CAP];
        unsigned total = 0;

        for (int k = 0; k < 2; k++) {
                json_t *all = load(files[k]), *line;
                size_t i;

                json_array_foreach(all, i, line)
                {
                        size_t n, at = 0;
                        uint8_t *p = bytes_of(line, &n);

                        if (k == 0)
                                frames_same(line, p, n);
                        while (at < n) {
                                struct dlms_unpacked u;
                                int e = dlms_unpack_first(p + at, n - at, true, NULL, NULL, NULL,
                                                          buf, sizeof buf, &u);

                                complain(line, dlms_error_text((unsigned)e), e == 0);
                                if (e)
                                        break;
                                check_push(line, u.apdu, u.apdu_len);
                                total++;
                                at += u.used;
                        }
                        free(p);
                }
                json_decref(all);
        }
        CU_ASSERT_EQUAL(total, 26);
}

HR_TESTS("dlms vectors of services", { "services encode to the same bytes", services },
         { "HDLC frames encode to the same bytes", frames },
         { "pushes encode to the same bytes", pushes })
