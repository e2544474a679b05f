/* headrace scan: which addresses of a meter answer, and which objects it has. */
#include "meter.h"

#include <string.h>

#include "meter_fault.h"
#include "meter_names.h"
#include "meter_tool.h"

static const char scan_usage[] =
        "usage: headrace scan URL [OPTION...]\n"
        "\n"
        "Tries client and server SAPs (and HDLC addresses) for those that answer, then associates\n"
        "as the options say, else as the public client, and lists the meter's objects with what "
        "may\n"
        "be read (r) and written (w).\n"
        "  --clients LIST    client SAPs to try (1,2,3,16,32,48,64)\n"
        "  --servers LIST    server SAPs (1,16,17)\n"
        "  --physicals LIST  HDLC lower addresses (0,1,16,17; on a multi-drop line: the last four\n"
        "                    digits of the serial number + 1000)\n"
        "  --no-objects      addresses only\n"
        "  --timeout S       for each try (2)\n";

enum { TRY_TIMEOUT_MS = 2000, OBJECTS_CHUNK = 50 };

struct scan {
        struct meter_tool t;
        json_t *addresses;         /* borrowed from the reply */
        struct meter_options best; /* that associated */
        bool has_best;
        struct meter_fault fault;
        unsigned tried, total;
};

static void set_list(struct meter_numbers *n, const uint16_t *values, size_t count)
{
        if (n->n)
                return;
        memcpy(n->value, values, count * sizeof *values);
        n->n = count;
}

static void defaults(struct meter_options *o)
{
        static const uint16_t clients[] = { 16, 1, 2, 3, 32, 48, 64 };
        static const uint16_t servers[] = { 1, 16, 17 };
        static const uint16_t physicals[] = { 0, 1, 16, 17 };

        set_list(&o->clients, clients, 7);
        set_list(&o->servers, servers, 3);
        set_list(&o->physicals, physicals, o->framing == DLMS_FRAMING_HDLC ? 4 : 1);
}

/* What a try without credentials tells. NULL: nobody is there. */
static const char *verdict(const struct meter_fault *f)
{
        switch (f->error) {
        case DLMS_E_OK:
                return NULL;
        case DLMS_E_ASSOCIATION_REQUIRED:
        case DLMS_E_ASSOCIATION_AUTHENTICATION:
        case DLMS_E_ASSOCIATION_MECHANISM:
                return "answers, wants authentication";
        case DLMS_E_ASSOCIATION_CONTEXT:
                return "answers, wants a ciphered association";
        case DLMS_E_ASSOCIATION_REJECTED:
        case DLMS_E_ASSOCIATION_INITIATE:
        case DLMS_E_ASSOCIATION_TITLE:
        case DLMS_E_ASSOCIATION_CALLING:
        case DLMS_E_ASSOCIATION_CALLED:
        case DLMS_E_ASSOCIATION_VERSION:
        case DLMS_E_EXCEPTION_NOT_ALLOWED:
        case DLMS_E_EXCEPTION:
        case DLMS_E_SERVICE_ERROR:
                return "answers, refuses this client";
        case DLMS_E_HDLC_REFUSED:
                return "refuses the HDLC link";
        case DLMS_E_TIMEOUT_CONNECT:
        case DLMS_E_TIMEOUT_ASSOCIATE:
        case DLMS_E_TRANSPORT_CLOSED:
        case DLMS_E_ASSOCIATION_CLOSED:
                return NULL;
        default:
                return "answers, but not as DLMS should";
        }
}

static void note(struct scan *s, const struct meter_options *o, const char *found)
{
        json_array_append_new(s->addresses,
                              json_pack("{s:i, s:i, s:i, s:s}", "client", o->client_sap, "server",
                                        o->server_sap, "physical", o->physical, "found", found));
}

/* One try. 0 = go on; the exit code when there is no way to the meter at all. @ret_link: the HDLC
 * address answers. */
static int try_one(struct scan *s, uint16_t client, uint16_t server, uint16_t physical,
                   bool *ret_link)
{
        struct meter_options o = s->t.o;
        struct meter_session *m;
        const char *found;
        int r;

        o.client_sap = client;
        o.server_sap = server;
        o.physical = physical;
        o.auth = DLMS_AUTH_NONE;
        o.policy = DLMS_POLICY_NONE;
        o.retries = 0;
        meter_tool_progress(&s->t, "address %u of %u: client %u, server %u/%u", ++s->tried,
                            s->total, client, server, physical);
        r = meter_session_open(&m, &o, false, &s->t.watch, &s->fault);
        *ret_link = true;
        if (r == 0) {
                meter_session_close(m);
                note(s, &o, "associates without password");
                if (!s->has_best) {
                        s->best = o;
                        s->has_best = true;
                }
                return 0;
        }
        if (s->fault.stage == METER_STAGE_NAME || s->fault.stage == METER_STAGE_SIGN_ON ||
            (s->fault.stage == METER_STAGE_CONNECT && json_array_size(s->addresses) == 0))
                return r;
        *ret_link = s->fault.error != DLMS_E_TIMEOUT_CONNECT;
        found = verdict(&s->fault);
        if (found)
                note(s, &o, found);
        return 0;
}

static int try_addresses(struct scan *s)
{
        const struct meter_options *o = &s->t.o;
        bool link = true;
        int r = 0;

        s->total = (unsigned)(o->clients.n * o->servers.n * o->physicals.n);
        for (size_t p = 0; p < o->physicals.n; p++)
                for (size_t v = 0; v < o->servers.n; v++) {
                        link = true;
                        for (size_t c = 0; c < o->clients.n && link && r == 0; c++) {
                                r = try_one(s, o->clients.value[c], o->servers.value[v],
                                            o->physicals.value[p], &link);
                                /* Nobody at this HDLC address: no client will find one. */
                                if (!link)
                                        s->tried += (unsigned)(o->clients.n - c - 1);
                        }
                        if (r)
                                return r;
                }
        return 0;
}

/* ---- the object list ---- */

static const char *mode_text(int64_t mode)
{
        /* Suite 1 and 2 of the standard add bits for authentication and ciphering to read (1) and
         * write (2); the older modes 4 to 6 mean the same, authenticated. */
        switch (mode < 4 ? mode : mode < 7 ? mode - 3 : mode & 3) {
        case 1:
                return "r";
        case 2:
                return "w";
        case 3:
                return "rw";
        default:
                return NULL;
        }
}

/* "3r" or "1-3r"; nothing when there is no such run. */
static void put_run(struct buf *b, int64_t first, int64_t last, const char *rights)
{
        if (!rights)
                return;
        buf_printf(b, "%s%d", b->len ? " " : "", (int)first);
        if (last > first)
                buf_printf(b, "-%d", (int)last);
        buf_put_str(b, rights);
}

/* Attributes in a row with equal rights: "1-3r 4rw". Steps over a whole access_rights. */
static void access_words(struct axdr_reader *r, struct buf *b)
{
        struct axdr_value v, id, mode;
        const char *run = NULL;
        int64_t first = 0, last = 0;
        size_t attributes;

        if (!axdr_expect(r, AXDR_STRUCTURE, &v) || v.n != 2 || !axdr_expect(r, AXDR_ARRAY, &v))
                return;
        attributes = v.n;
        for (size_t i = 0; i < attributes; i++) {
                const char *rights;
                int64_t n, m;

                if (!axdr_expect(r, AXDR_STRUCTURE, &v) || !axdr_next(r, &id) ||
                    !axdr_next(r, &mode))
                        return;
                for (size_t k = 2; k < v.n; k++)
                        axdr_skip(r);
                if (!axdr_is_integer(&id, &n) || !axdr_is_integer(&mode, &m))
                        continue;
                rights = mode_text(m);
                if (rights != run || n != last + 1) {
                        put_run(b, first, last, run);
                        first = n;
                }
                run = rights;
                last = n;
        }
        put_run(b, first, last, run);
        axdr_skip(r); /* methods */
}

static int64_t number_of(struct axdr_reader *r)
{
        struct axdr_value v;
        int64_t i = 0;

        if (axdr_next(r, &v))
                axdr_is_integer(&v, &i);
        return i;
}

static json_t *object_json(struct axdr_reader *r)
{
        struct axdr_value v;
        struct buf access = BUF_INIT, name = BUF_INIT;
        char text[OBIS_TEXT_SIZE];
        struct obis obis;
        int64_t class_id, version;
        const char *class_name;
        json_t *o = NULL;

        if (!axdr_expect(r, AXDR_STRUCTURE, &v) || v.n != 4)
                return NULL;
        class_id = number_of(r);
        version = number_of(r);
        if (axdr_expect(r, AXDR_OCTET_STRING, &v) && v.n == sizeof obis.v) {
                memcpy(obis.v, v.p, sizeof obis.v);
                access_words(r, &access);
                obis_format(&obis, text);
                meter_name_obis(&name, &obis);
                class_name = meter_name_class((unsigned)class_id);
                if (name.len == 0 && class_name)
                        buf_put_str(&name, class_name);
                o = json_pack("{s:s, s:I, s:s, s:I, s:s, s:s}", "obis", text, "class",
                              (json_int_t)class_id, "kind", class_name ? class_name : "", "version",
                              (json_int_t)version, "access", buf_cstr(&access), "name",
                              buf_cstr(&name));
        }
        buf_deinit(&access);
        buf_deinit(&name);
        return r->error ? (json_decref(o), NULL) : o;
}

static int read_objects(struct scan *s, struct meter_session *m, json_t *objects)
{
        static const struct dlms_attr list = { 15, { { 0, 0, 40, 0, 0, 255 } }, 2 };
        struct buf value = BUF_INIT;
        struct axdr_reader r;
        struct axdr_value v;
        uint8_t result;
        int e;

        meter_tool_progress(&s->t, "reading the object list ...");
        e = meter_session_get(m, &list, NULL, &value, &result, &s->fault);
        if (e == 0 && result) {
                fprintf(stderr, "headrace: the object list is refused: %s\n",
                        dlms_access_text(result));
                e = METER_FAILED;
        } else if (e == 0) {
                axdr_reader_init(&r, value.p, value.len);
                if (!axdr_expect(&r, AXDR_ARRAY, &v))
                        v.n = 0;
                for (size_t i = 0; i < v.n && !r.error; i++) {
                        json_t *o = object_json(&r);

                        if (o)
                                json_array_append_new(objects, o);
                        else
                                r.error = r.error ? r.error : DLMS_E_TYPE;
                }
                if (r.error) {
                        fprintf(stderr, "headrace: the object list is damaged: %s\n",
                                dlms_error_text((unsigned)r.error));
                        e = METER_BAD_ANSWER;
                }
        } else {
                meter_fault_print(&s->fault);
        }
        buf_deinit(&value);
        return e;
}

/* As the options say, when they say more than "public"; else as what was found. */
static int list_objects(struct scan *s, json_t *reply)
{
        bool own = s->t.o.auth != DLMS_AUTH_NONE || s->t.o.policy != DLMS_POLICY_NONE;
        json_t *objects = json_array();
        struct meter_session *m;
        int r;

        json_object_set_new(reply, "objects", objects);
        if (!own && !s->has_best) {
                fprintf(stderr, "headrace: no client without a password was found: give --client, "
                                "--auth and --key-file to list objects\n");
                return METER_REFUSED;
        }
        r = meter_session_open_counted(&m, own ? &s->t.o : &s->best, &s->t.watch, &s->fault);
        if (r) {
                meter_fault_print(&s->fault);
                return r;
        }
        r = read_objects(s, m, objects);
        meter_session_close(m);
        return r;
}

static int found_nothing(struct scan *s)
{
        meter_tool_progress(&s->t, NULL);
        fprintf(stderr,
                "headrace: the connection stands, but none of the %u addresses tried answers\n"
                "  is it a DLMS meter? tcp:// and hdlc:// are different; --clients, --servers and "
                "--physicals say what else to try\n",
                s->total);
        return METER_SILENT;
}

int meter_scan_run(const struct cli_options *cli, int argc, char **argv)
{
        struct scan s = { 0 };
        json_t *reply;
        bool timeout = false;
        int r = meter_tool_open(&s.t, cli, METER_WANTS_URL, scan_usage, false, argc, argv);

        if (r)
                return r < 0 ? METER_OK : r;
        for (int i = 1; i < argc; i++)
                timeout |= strcmp(argv[i], "--timeout") == 0;
        if (!timeout)
                s.t.o.timeout_ms = TRY_TIMEOUT_MS;
        defaults(&s.t.o);
        s.addresses = json_array();
        reply = json_pack("{s:s, s:o}", "meter", s.t.o.route.url, "addresses", s.addresses);
        r = try_addresses(&s);
        meter_tool_progress(&s.t, NULL);
        if (r)
                meter_fault_print(&s.fault);
        else if (json_array_size(s.addresses) == 0)
                r = found_nothing(&s);
        else if (!s.t.o.no_objects)
                r = list_objects(&s, reply);
        meter_tool_progress(&s.t, NULL);
        if (cli->json) {
                show_reply(cli, reply, NULL);
        } else if (json_array_size(s.addresses)) {
                show_reply(cli, reply, "addresses:client,server,physical,found");
                if (json_array_size(json_object_get(reply, "objects"))) {
                        printf("\n");
                        show_reply(cli, reply, "objects:obis,class,kind,version,access,name");
                }
        }
        json_decref(reply);
        return meter_tool_close(&s.t, r);
}
