#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "civil.h"
#include "hex.h"
#include "host.h"
#include "key.h"
#include "meter_ops.h"
#include "meter_sql.h"
#include "seal.h"

#define HOST host_table

enum { PAGE_DEFAULT = 100, CURVE_DAYS_MAX = 400 };

static const char *text_or(struct hr_call *c, const char *name, const char *otherwise)
{
        const char *s = HOST->param(c, name);

        return s ? s : otherwise;
}

static const char *number(struct hr_call *c, int64_t v)
{
        return HOST->format(c, "%" PRId64, v);
}

static enum hr_status reply(struct hr_call *c, const char *json)
{
        if (!json)
                return HR_RETRY;
        HOST->reply_json(c, json, strlen(json));
        return HR_OK;
}

/* {"items": ..., "next": N}: next is there when the page is full. */
static enum hr_status reply_page(struct hr_call *c, const struct hr_rows *rows, const char *limit)
{
        const char *items = HOST->rows_text(rows, 0, "items");

        if (HOST->rows_int(rows, 0, "n") < atoll(limit))
                return reply(c, HOST->format(c, "{\"items\":%s}", items));
        return reply(c, HOST->format(c, "{\"items\":%s,\"next\":%" PRId64 "}", items,
                                     HOST->rows_int(rows, 0, "last")));
}

/* ---- registry ---- */

static enum hr_status meter_list(struct hr_call *c)
{
        const char *limit = number(c, HOST->param_int(c, "limit", PAGE_DEFAULT));
        const char *params[] = { text_or(c, "q", ""), text_or(c, "branch", ""),
                                 text_or(c, "state", ""), number(c, HOST->param_int(c, "after", 0)),
                                 limit };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_meter_list, 5, params, &rows);

        return st == HR_OK ? reply_page(c, rows, limit) : st;
}

/* The meter of the path: its number and serial, borrowed. */
static enum hr_status find_meter(struct hr_call *c, const char **ret_id, const char **ret_serial)
{
        const char *name = HOST->param(c, "meter");
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_meter_find, 1, &name, &rows);

        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(c, 404, "meter_unknown", "meter",
                                    "There is no meter %s; search with meter list", name);
        if (HOST->rows_count(rows) > 1 && !strcmp(HOST->rows_text(rows, 1, "serial"), name))
                return HOST->reject(c, 409, "meter_ambiguous", "meter",
                                    "Several makers have a meter %s; give its number", name);
        *ret_id = HOST->rows_text(rows, 0, "meter_id");
        *ret_serial = HOST->rows_text(rows, 0, "serial");
        return HR_OK;
}

static enum hr_status meter_show(struct hr_call *c)
{
        const char *id, *serial;
        struct hr_rows *rows;
        enum hr_status st = find_meter(c, &id, &serial);

        if (st == HR_OK)
                st = HOST->query(c, sql_meter_show, 1, &id, &rows);
        return st == HR_OK ? reply(c, HOST->rows_text(rows, 0, "item")) : st;
}

/* ---- readings ---- */

static enum hr_status curve_times(struct hr_call *c, const char **ret_from, const char **ret_to)
{
        const char *from = HOST->param(c, "from"), *to = HOST->param(c, "to");
        int64_t a, b = time(NULL);
        char text[CIVIL_RFC3339_SIZE];

        if (to && civil_parse(to, &b, NULL))
                return HOST->reject(c, 422, "time_wrong", "to", "\"to\" is no RFC 3339 time: %s",
                                    to);
        a = b - 86400;
        if (from && civil_parse(from, &a, NULL))
                return HOST->reject(c, 422, "time_wrong", "from",
                                    "\"from\" is no RFC 3339 time: %s", from);
        if (a >= b || b - a > (int64_t)CURVE_DAYS_MAX * 86400)
                return HOST->reject(c, 422, "range_wrong", "to",
                                    "\"to\" comes after \"from\", at most %d days", CURVE_DAYS_MAX);
        civil_format(a, 0, text);
        *ret_from = HOST->format(c, "%s", text);
        civil_format(b, 0, text);
        *ret_to = HOST->format(c, "%s", text);
        return HR_OK;
}

static enum hr_status meter_curve(struct hr_call *c)
{
        const char *channel = text_or(c, "channel", "energy.import"), *params[4], *serial;
        struct hr_rows *ch, *rows;
        enum hr_status st = find_meter(c, &params[0], &serial);
        struct buf name = BUF_INIT;
        bool use;

        if (st == HR_OK)
                st = curve_times(c, &params[2], &params[3]);
        if (st == HR_OK)
                st = HOST->query(c, sql_channel_find, 1, &channel, &ch);
        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(ch))
                return HOST->reject(
                        c, 422, "channel_unknown", "channel",
                        "There is no channel %s; examples: energy.import, energy.import.total",
                        channel);
        params[1] = HOST->rows_text(ch, 0, "channel");
        use = !strcmp(HOST->rows_text(ch, 0, "kind"), "interval");
        st = HOST->query(c, use ? sql_curve_usage : sql_curve_readings, 4, params, &rows);
        if (st != HR_OK)
                return st;
        buf_put_json_str(&name, serial, strlen(serial));
        st = reply(c,
                   HOST->format(c,
                                "{\"meter_id\":%s,\"serial\":%s,\"channel\":\"%s\",\"unit\":\"%s\","
                                "\"scaler\":%s,\"from\":\"%s\",\"to\":\"%s\",\"items\":%s}",
                                params[0], buf_cstr(&name), HOST->rows_text(ch, 0, "code"),
                                HOST->rows_text(ch, 0, "unit"), HOST->rows_text(ch, 0, "scaler"),
                                params[2], params[3], HOST->rows_text(rows, 0, "items")));
        buf_deinit(&name);
        return st;
}

static enum hr_status meter_completeness(struct hr_call *c)
{
        int y, m, d;
        const char *params[2];
        struct hr_rows *rows;
        enum hr_status st;

        civil_from_day(time(NULL) / 86400 - 1, &y, &m, &d);
        params[0] = HOST->param(c, "day");
        if (!params[0])
                params[0] = HOST->format(c, "%04d-%02d-%02d", y, m, d);
        params[1] = text_or(c, "branch", "");
        st = HOST->query(c, sql_completeness, 2, params, &rows);
        if (st != HR_OK)
                return st;
        return reply(c, HOST->format(c, "{\"day\":\"%s\",\"items\":%s}", params[0],
                                     HOST->rows_text(rows, 0, "items")));
}

/* ---- quarantine ---- */

static enum hr_status quarantine_list(struct hr_call *c)
{
        const char *limit = number(c, HOST->param_int(c, "limit", PAGE_DEFAULT));
        const char *params[] = { text_or(c, "state", ""), text_or(c, "identity", ""),
                                 number(c, HOST->param_int(c, "before", 0)), limit };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_quarantine_list, 4, params, &rows);

        return st == HR_OK ? reply_page(c, rows, limit) : st;
}

static enum hr_status quarantine_replay_op(struct hr_call *c)
{
        const char *params[] = { text_or(c, "identity", ""), text_or(c, "protocol", ""),
                                 number(c, HOST->param_int(c, "quarantine_id", 0)) };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_quarantine_replay, 3, params, &rows);
        const char *n = st == HR_OK ? HOST->rows_text(rows, 0, "n") : "0";

        if (st == HR_OK)
                st = HOST->query(c, sql_registry_notify, 0, NULL, NULL);
        return st == HR_OK ? reply(c, HOST->format(c, "{\"due\":%s}", n)) : st;
}

/* ---- sealing ---- */

static enum hr_status seal_run_op(struct hr_call *c)
{
        const char *until = HOST->param(c, "until");
        const char *json = until ? HOST->format(c, "{\"until\":\"%s\"}", until) : "{}";
        int64_t id;
        enum hr_status st = json ? HOST->submit_job(c, "meter.seal", json, &id) : HR_RETRY;

        return st == HR_OK ? reply(c, HOST->format(c, "{\"job_id\":%" PRId64 "}", id)) : st;
}

static enum hr_status seal_status(struct hr_call *c, struct db_conn *conn, enum db_status st)
{
        if (st == DB_OK)
                return HR_OK;
        if (st == DB_RETRY || st == DB_UNKNOWN)
                return HR_RETRY;
        HOST->log(c, HR_ERROR, "sealing: %s", db_last_error(conn)->message);
        return HR_FATAL;
}

struct seal_job {
        struct seal_cut cut;
        uint32_t after; /* meters up to this number are done */
        int64_t total;
};

/* Where the job stands; a new one takes its cut first. */
static enum hr_status seal_begin(struct hr_call *c, struct hr_job *job, struct db_conn *conn,
                                 struct seal_job *ret)
{
        json_t *state = json_loads(HOST->job_state(job), 0, NULL);
        json_t *params = json_loads(HOST->job_params(job), 0, NULL);
        const char *until = json_string_value(json_object_get(params, "until"));
        int64_t before = time(NULL) / 86400;
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_seal_total, 0, NULL, &rows);

        if (st == HR_OK)
                ret->total = HOST->rows_int(rows, 0, "n");
        if (until && civil_parse_date(until, &before))
                st = HR_FATAL;
        if (st == HR_OK && json_object_get(state, "upto")) {
                ret->cut.upto = json_integer_value(json_object_get(state, "upto"));
                ret->cut.before_day = json_integer_value(json_object_get(state, "before_day"));
                ret->cut.now = json_integer_value(json_object_get(state, "now"));
                ret->after = (uint32_t)json_integer_value(json_object_get(state, "after"));
        } else if (st == HR_OK) {
                st = seal_status(c, conn, seal_cut(conn, before, &ret->cut));
        }
        json_decref(state);
        json_decref(params);
        return st;
}

static enum hr_status seal_commit(struct hr_call *c, struct hr_job *job, const struct seal_job *s)
{
        char state[192];

        snprintf(state, sizeof state,
                 "{\"upto\":%" PRId64 ",\"before_day\":%" PRId64 ",\"now\":%" PRId64
                 ",\"after\":%" PRIu32 "}",
                 s->cut.upto, s->cut.before_day, s->cut.now, s->after);
        return HOST->job_commit(c, job, state, s->after < s->total ? s->after : s->total, s->total);
}

static enum hr_status seal_job(struct hr_call *c, struct hr_job *job)
{
        struct seal_job s = { .after = 0 };
        struct seal_stats stats = { 0 };
        uint32_t lo = 1, hi = 0;
        struct db_conn *conn = host_conn(c);
        enum hr_status st = conn ? HOST->query(c, sql_seal_scope, 0, NULL, NULL) : HR_RETRY;

        if (st == HR_OK)
                st = seal_begin(c, job, conn, &s);
        if (st == HR_OK)
                st = seal_commit(c, job, &s);
        while (st == HR_OK && lo) {
                st = HOST->query(c, sql_seal_scope, 0, NULL, NULL);
                conn = host_conn(c);
                if (st != HR_OK || !conn)
                        return st != HR_OK ? st : HR_RETRY;
                st = seal_status(c, conn, seal_next(conn, &s.cut, s.after, &lo, &hi));
                if (st != HR_OK || !lo)
                        break;
                st = seal_status(c, conn, seal_range(conn, &s.cut, lo, hi, &stats));
                s.after = hi;
                if (st == HR_OK)
                        st = seal_commit(c, job, &s);
        }
        if (st == HR_OK)
                st = seal_status(c, conn, seal_finish(conn));
        if (st == HR_OK)
                HOST->log(c, HR_INFO,
                          "sealed %" PRIu64 " messages, %" PRIu64 " values into %" PRIu64 " blocks",
                          stats.messages, stats.values, stats.blocks);
        return st;
}

/* ---- import ---- */

struct import {
        struct hr_call *call;
        const struct secret *master;
        json_t *meters;  /* owned: the document's */
        json_t *rows;    /* owned: the same without keys, members checked */
        struct buf keys; /* JSON array of sealed keys */
        size_t n_keys, created, updated, unchanged;
        struct buf ids; /* array literal of the numbers */
};

static enum hr_status import_wrong(struct hr_call *c, size_t i, const char *serial,
                                   const char *what)
{
        return HOST->reject(c, 422, "meter_wrong", "meters", "Meter %zu of the document (%s): %s",
                            i + 1, serial ? serial : "without serial", what);
}

static const char *member(const json_t *m, const char *name, const char *otherwise)
{
        const char *s = json_string_value(json_object_get(m, name));

        return s ? s : otherwise;
}

/* The row of one meter, with everything the SQL takes for granted. */
static enum hr_status import_row(struct import *im, size_t i, const json_t *m)
{
        const char *serial = member(m, "serial", NULL), *identity = member(m, "identity", NULL);
        const char *protocol = member(m, "protocol", "");
        json_t *address = json_object_get(m, "address"), *period = json_object_get(m, "period_s");
        json_int_t period_s = period ? json_integer_value(period) : 900;
        char *folded;
        json_t *row;

        if (!serial || !*serial || strlen(serial) > 64)
                return import_wrong(im->call, i, serial,
                                    "\"serial\" is missing or over 64 characters");
        if (!identity || !*identity || strlen(identity) > 255)
                return import_wrong(im->call, i, serial,
                                    "\"identity\" (what the meter calls itself) is missing or over "
                                    "255 characters");
        if (!json_is_string(json_object_get(m, "commodity")) ||
            !json_is_string(json_object_get(m, "model")) ||
            !json_is_string(json_object_get(m, "branch")))
                return import_wrong(im->call, i, serial,
                                    "\"commodity\", \"model\" and \"branch\" are needed");
        if (period_s < 60 || period_s > 86400 || 86400 % period_s)
                return import_wrong(im->call, i, serial,
                                    "\"period_s\" is 60 to 86400 and divides a day");
        if (address && !json_is_object(address))
                return import_wrong(im->call, i, serial, "\"address\" is an object");
        folded = strdup(identity);
        for (char *p = folded; p && *p && !strcmp(protocol, "dlms"); p++)
                *p = (char)toupper((unsigned char)*p);
        row = folded ? json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:s}", "nr", (json_int_t)i, "serial",
                                 serial, "maker", member(m, "maker", ""), "model",
                                 member(m, "model", ""), "commodity", member(m, "commodity", ""),
                                 "identity", folded, "period_s", period_s, "branch",
                                 member(m, "branch", ""))
                     : NULL;
        free(folded);
        if (!row)
                return import_wrong(im->call, i, serial, "a text of it is no UTF-8");
        if (*protocol)
                json_object_set_new(row, "protocol", json_string(protocol));
        json_object_set_new(row, "address", address ? json_incref(address) : json_object());
        json_array_append_new(im->rows, row);
        return HR_OK;
}

/* "lls" and "hls" are passwords, used as written; the others are hexadecimal. */
static bool key_value(const char *kind, const char *text, struct secret *ret)
{
        uint8_t bytes[SECRET_MAX];
        ssize_t n;
        bool ok;

        if (!strcmp(kind, "lls") || !strcmp(kind, "hls"))
                return *text && secret_set(ret, text, strlen(text));
        n = hex_decode(text, strlen(text), bytes, sizeof bytes);
        ok = n > 0 && secret_set(ret, bytes, (size_t)n);
        if (strcmp(kind, "psk") && n != 16 && n != 32)
                ok = false;
        explicit_bzero(bytes, sizeof bytes);
        return ok;
}

static enum hr_status import_keys(struct import *im, size_t i, uint32_t meter_id, const json_t *m)
{
        static const char *const kinds[] = { "guek", "gak", "lls", "hls", "psk", "kek" };
        json_t *keys = json_object_get(m, "keys");

        for (size_t k = 0; keys && k < sizeof kinds / sizeof *kinds; k++) {
                const char *text = json_string_value(json_object_get(keys, kinds[k]));
                struct secret key = { .len = 0 };
                uint8_t sealed[KEY_SEALED_MAX];
                size_t n;

                if (!text)
                        continue;
                if (!im->master || !im->master->len)
                        return HOST->reject(
                                im->call, 409, "no_master_key", "meters",
                                "This process holds no master key; import meters with keys "
                                "where the meters are collected");
                if (!key_value(kinds[k], text, &key)) {
                        secret_wipe(&key);
                        return import_wrong(im->call, i, member(m, "serial", ""),
                                            "a key is no hexadecimal text of 16 or 32 bytes, or a "
                                            "password is too long");
                }
                n = key_seal(im->master, meter_id, kinds[k], &key, sealed);
                secret_wipe(&key);
                if (!n)
                        return HR_FATAL;
                buf_printf(&im->keys, "%s{\"m\":%" PRIu32 ",\"k\":\"%s\",\"s\":\"",
                           im->n_keys++ ? "," : "[", meter_id, kinds[k]);
                buf_put_hex(&im->keys, sealed, n);
                buf_put_str(&im->keys, "\"}");
        }
        return HR_OK;
}

static enum hr_status import_rows(struct import *im)
{
        char *text = json_dumps(im->rows, JSON_COMPACT);
        const char *params[] = { text };
        struct hr_rows *rows;
        enum hr_status st =
                text ? HOST->query(im->call, sql_import_check, 1, params, &rows) : HR_RETRY;

        if (st == HR_OK && HOST->rows_count(rows))
                st = import_wrong(im->call, (size_t)HOST->rows_int(rows, 0, "i"),
                                  HOST->rows_text(rows, 0, "serial"),
                                  HOST->rows_text(rows, 0, "why"));
        if (st == HR_OK)
                st = HOST->query(im->call, sql_meter_import, 1, params, &rows);
        free(text);
        for (size_t i = 0; st == HR_OK && i < HOST->rows_count(rows); i++) {
                const char *outcome = HOST->rows_text(rows, i, "outcome"),
                           *id = HOST->rows_text(rows, i, "meter_id");

                im->created += *outcome == 'c';
                im->unchanged += !strcmp(outcome, "unchanged");
                im->updated += !strcmp(outcome, "updated");
                buf_printf(&im->ids, "%s%s", i ? "," : "{", id);
                st = import_keys(im, i, (uint32_t)strtoul(id, NULL, 10),
                                 json_array_get(im->meters, i));
        }
        return st;
}

static enum hr_status import_all(struct import *im)
{
        struct hr_rows *due;
        const char *text;
        enum hr_status st = HR_OK;
        size_t i;
        json_t *m;

        json_array_foreach(im->meters, i, m)
        {
                st = import_row(im, i, m);
                if (st != HR_OK)
                        return st;
        }
        st = import_rows(im);
        if (st == HR_OK && im->n_keys) {
                buf_put_u8(&im->keys, ']');
                text = buf_cstr(&im->keys);
                st = im->keys.failed ? HR_RETRY
                                     : HOST->query(im->call, sql_keys_put, 1, &text, NULL);
        }
        if (st != HR_OK)
                return st;
        buf_put_str(&im->ids, im->ids.len ? "}" : "{}");
        text = buf_cstr(&im->ids);
        st = HOST->query(im->call, sql_quarantine_due_for, 1, &text, &due);
        if (st != HR_OK)
                return st;
        return reply(
                im->call,
                HOST->format(im->call,
                             "{\"meters\":%zu,\"created\":%zu,\"updated\":%zu,\"unchanged\":%zu,"
                             "\"keys\":%zu,\"replaying\":%s}",
                             json_array_size(im->meters), im->created, im->updated, im->unchanged,
                             im->n_keys, HOST->rows_text(due, 0, "n")));
}

static enum hr_status meter_import(struct hr_call *c)
{
        const char *text = HOST->param(c, "meters");
        struct import im = { .call = c, .master = host_object(c, "master_key") };
        enum hr_status st;

        im.meters = json_loads(text, 0, NULL);
        im.rows = json_array();
        if (!json_is_array(im.meters))
                st = HOST->reject(c, 422, "meters_wrong", "meters",
                                  "\"meters\" is an array of meters");
        else
                st = import_all(&im);
        json_decref(im.meters);
        json_decref(im.rows);
        buf_deinit(&im.keys);
        buf_deinit(&im.ids);
        return st;
}

/* ---- the table ---- */

#define METER                                                                                      \
        {                                                                                          \
                "meter", HR_TEXT, HR_PATH, true, "Number or serial", NULL, 1, 64                   \
        }
#define LIMIT                                                                                      \
        {                                                                                          \
                "limit", HR_INT, HR_QUERY, false, "Rows at most", NULL, 1, 1000                    \
        }
#define BRANCH                                                                                     \
        {                                                                                          \
                "branch", HR_TEXT, HR_QUERY, false, "Only this branch (code)", NULL, 1, 12         \
        }

static const struct hr_param list_params[] = {
        { "q", HR_TEXT, HR_QUERY, false, "Begin of a serial, or an identity", NULL, 1, 64 },
        BRANCH,
        { "state", HR_TEXT, HR_QUERY, false, "Only this state", "stock|active|removed|scrapped" },
        { "after", HR_INT, HR_QUERY, false, "Only meters after this number (next page)" },
        LIMIT,
        { NULL },
};
static const struct hr_param show_params[] = { METER, { NULL } };
static const struct hr_param curve_params[] = {
        METER,
        { "channel", HR_TEXT, HR_QUERY, false, "Code or number; energy.import when absent", NULL, 1,
          64 },
        { "from", HR_TIME, HR_QUERY, false, "First instant; a day before \"to\" when absent" },
        { "to", HR_TIME, HR_QUERY, false, "Instant after the last; now when absent" },
        { NULL },
};
static const struct hr_param completeness_params[] = {
        { "day", HR_DATE, HR_QUERY, false, "UTC day; yesterday when absent" },
        BRANCH,
        { NULL },
};
static const struct hr_param import_params[] = {
        { "meters", HR_JSON, HR_BODY, true,
          "Meters: serial, maker, model, commodity, protocol, identity, "
          "period_s, address, branch, keys" },
        { NULL },
};
static const struct hr_param quarantine_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "Only this state", "held|due|replayed|discarded" },
        { "identity", HR_TEXT, HR_QUERY, false, "Only from this sender", NULL, 1, 255 },
        { "before", HR_INT, HR_QUERY, false, "Only rows before this number (next page)" },
        LIMIT,
        { NULL },
};
static const struct hr_param quarantine_replay_params[] = {
        { "identity", HR_TEXT, HR_BODY, false, "Only from this sender", NULL, 1, 255 },
        { "protocol", HR_TEXT, HR_BODY, false, "Only of this protocol", "dlms|modbus|mqtt|coap" },
        { "quarantine_id", HR_INT, HR_BODY, false, "Only this message" },
        { NULL },
};

static const struct hr_param seal_params[] = {
        { "until", HR_DATE, HR_BODY, false, "Seal UTC days before this one; today when absent" },
        { NULL },
};

static const struct hr_job_type jobs[] = {
        { "meter.seal", "seal.write", "Merge received readings into the days' blocks", seal_job },
        { NULL },
};

static const struct hr_operation operations[] = {
        { "meter.list", "meter.read", "GET", "/v1/meters", "meter list", "Meters", list_params,
          HR_OP_READ, meter_list,
          "items:serial,maker,model,commodity,protocol,branch,state,last_received" },
        { "meter.show", "meter.read", "GET", "/v1/meters/{meter}", "meter show METER",
          "One meter: how it is reached, its registers and events", show_params, HR_OP_READ,
          meter_show, "registers:channel,at,value,unit,status" },
        { "meter.curve", "meter.read", "GET", "/v1/meters/{meter}/curve", "meter curve METER",
          "Readings of a channel", curve_params, HR_OP_READ, meter_curve,
          "items:at,period_s,value,status" },
        { "meter.completeness", "completeness.read", "GET", "/v1/completeness",
          "meter completeness", "How complete a sealed day is, by branch", completeness_params,
          HR_OP_READ, meter_completeness,
          "items:branch,meters,complete,expected,measured,estimated,missing,percent" },
        { "meter.import", "meter.write", "POST", "/v1/meters/import", "meter import",
          "Add meters or bring them up to date, with their keys", import_params, HR_OP_WRITE,
          meter_import, NULL },
        { "quarantine.list", "quarantine.read", "GET", "/v1/quarantine", "quarantine list",
          "Messages of unknown meters or layouts", quarantine_list_params, HR_OP_READ,
          quarantine_list, "items:quarantine_id,recv_at,protocol,identity,reason,state,bytes" },
        { "quarantine.replay", "quarantine.write", "POST", "/v1/quarantine/replay",
          "quarantine replay", "Try quarantined messages again", quarantine_replay_params,
          HR_OP_WRITE, quarantine_replay_op, NULL },
        { "seal.run", "seal.write", "POST", "/v1/seal", "seal run",
          "Merge received readings into the days' blocks", seal_params, HR_OP_WRITE, seal_run_op,
          NULL },
        { NULL },
};

const struct hr_plugin meter_plugin = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "meter",
        .version = HEADRACE_VERSION,
        .summary = "Meters, readings, completeness, quarantine, sealing",
        .operations = operations,
        .jobs = jobs,
};
