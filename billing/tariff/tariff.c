/* Catalogue and life of tariff versions. */

#include "tariff.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tariff_sql.h"

static enum hr_status reply_query(struct hr_call *call, const char *sql, size_t n,
                                  const char *const params[], const char *what)
{
        struct hr_rows *rows;
        enum hr_status s = tariff_host->query(call, sql, n, params, &rows);
        const char *json;

        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) == 0)
                return tariff_host->reject(call, 404, "tariff_unknown", "code", "%s", what);
        json = tariff_host->rows_text(rows, 0, "reply");
        tariff_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

enum hr_status tariff_list(struct hr_call *call)
{
        const char *params[] = { tariff_host->param(call, "commodity"),
                                 tariff_host->param(call, "state") };

        return reply_query(call, sql_tariff_list, 2, params, "");
}

enum hr_status tariff_show(struct hr_call *call)
{
        const char *params[] = { tariff_host->param(call, "code"),
                                 tariff_host->param(call, "version") };

        return reply_query(call, sql_tariff_show, 2, params,
                           "There is no such tariff or version; see the list of tariffs");
}

enum hr_status tariff_holidays(struct hr_call *call)
{
        const char *params[] = { tariff_host->param(call, "calendar") };

        return reply_query(call, sql_holiday_list, 1, params, "");
}

enum hr_status tariff_set_holidays(struct hr_call *call)
{
        const char *params[] = { tariff_host->param(call, "calendar"),
                                 tariff_host->param(call, "days") };
        enum hr_status s = tariff_host->query(call, sql_holiday_put, 2, params, NULL);

        return s != HR_OK ? s : reply_query(call, sql_holiday_list, 1, params, "");
}

enum hr_status tariff_load(struct hr_call *call, const char *text, struct rating_tariff **ret)
{
        struct rating_error err = { 0 };
        int e = rating_tariff_load(ret, text, strlen(text), &err);

        if (e < 0)
                return HR_RETRY;
        if (e > 0)
                return tariff_host->reject(call, 422, "tariff_document", "document", "%s",
                                           err.text);
        return HR_OK;
}

/* ---- taking a document in ---- */

/* Days of the holiday calendar the document names are written into it, so that it stays what it
 * is when the calendar changes. */
static enum hr_status freeze_holidays(struct hr_call *call, json_t *document)
{
        json_t *calendar = json_object_get(document, "calendar");
        const char *name = json_string_value(json_object_get(calendar, "holiday_calendar"));
        const char *params[] = { name };
        struct hr_rows *rows;
        json_t *days;
        enum hr_status s;

        if (!name)
                return HR_OK;
        s = tariff_host->query(call, sql_holiday_days, 1, params, &rows);
        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) == 0)
                return tariff_host->reject(call, 422, "holiday_calendar_unknown", "document",
                                           "calendar.holiday_calendar: there are no holidays of "
                                           "\"%s\"; enter them first",
                                           name);
        days = json_object_get(calendar, "holidays");
        if (!days) {
                days = json_array();
                json_object_set_new(calendar, "holidays", days);
        }
        for (size_t i = 0; i < tariff_host->rows_count(rows); i++)
                json_array_append_new(days, json_string(tariff_host->rows_text(rows, i, "day")));
        json_object_del(calendar, "holiday_calendar");
        return HR_OK;
}

/* The bytes that are stored: the given ones, unless holidays went in. */
static enum hr_status final_text(struct hr_call *call, const char *given, const char **ret)
{
        json_t *document = json_loads(given, JSON_REJECT_DUPLICATES, NULL), *before;
        enum hr_status s = HR_OK;
        char *text;

        *ret = given;
        if (!json_is_object(document)) {
                json_decref(document);
                return HR_OK; /* the loader says what is wrong */
        }
        before = json_deep_copy(document);
        s = freeze_holidays(call, document);
        if (s == HR_OK && !json_equal(before, document)) {
                text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15));
                *ret = text ? tariff_host->format(call, "%s", text) : NULL;
                free(text);
                if (!*ret)
                        s = HR_RETRY;
        }
        json_decref(before);
        json_decref(document);
        return s;
}

static enum hr_status upsert_tariff(struct hr_call *call, const struct rating_tariff *t)
{
        const char *branch = tariff_host->param(call, "branch");
        const char *params[] = { rating_tariff_code(t), branch, rating_tariff_name(t),
                                 rating_tariff_commodity(t), rating_tariff_currency(t) };
        struct hr_rows *rows;
        enum hr_status s;

        if (branch) {
                s = tariff_host->query(call, sql_tariff_branch, 1, &branch, &rows);
                if (s != HR_OK)
                        return s;
                if (tariff_host->rows_count(rows) == 0)
                        return tariff_host->reject(call, 422, "branch_unknown", "branch",
                                                   "There is no branch \"%s\"", branch);
        }
        s = tariff_host->query(call, sql_tariff_upsert, 5, params, &rows);
        if (s != HR_OK)
                return s;
        if (strcmp(tariff_host->rows_text(rows, 0, "commodity"), params[3]) != 0 ||
            strcmp(tariff_host->rows_text(rows, 0, "currency"), params[4]) != 0)
                return tariff_host->reject(
                        call, 409, "tariff_differs", "document",
                        "Tariff %s is for %s in %s; give the new one a code of its own", params[0],
                        tariff_host->rows_text(rows, 0, "commodity"),
                        tariff_host->rows_text(rows, 0, "currency"));
        if (branch && strcmp(tariff_host->rows_text(rows, 0, "branch"), branch) != 0)
                return tariff_host->reject(
                        call, 409, "tariff_differs", "branch",
                        "Tariff %s belongs to another branch; give the new one a code of its own",
                        params[0]);
        return HR_OK;
}

static enum hr_status reply_version(struct hr_call *call, const char *code, const char *version,
                                    const char *state, const char *from)
{
        char *json = tariff_host->format(
                call, "{\"code\":\"%s\",\"version\":%s,\"state\":\"%s\"%s%s%s}", code, version,
                state, from ? ",\"from\":\"" : "", from ? from : "", from ? "\"" : "");

        if (!json)
                return HR_RETRY;
        tariff_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

static enum hr_status insert_version(struct hr_call *call, const struct rating_tariff *t,
                                     const char *text)
{
        const char *code = rating_tariff_code(t), *from = tariff_host->param(call, "from");
        const char *known[] = { code, text };
        struct hr_rows *rows;
        enum hr_status s = tariff_host->query(call, sql_tariff_known_hash, 2, known, &rows);

        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) > 0) /* the same document once more */
                return reply_version(call, code, tariff_host->rows_text(rows, 0, "version"),
                                     tariff_host->rows_text(rows, 0, "state"), NULL);
        if (!from)
                from = rating_tariff_valid_from(t);
        {
                const char *params[] = { code, from, rating_tariff_valid_to(t), text,
                                         tariff_host->actor(call) };

                s = tariff_host->query(call, sql_tariff_version_insert, 5, params, &rows);
        }
        if (s != HR_OK)
                return s;
        tariff_host->reply_status(call, 201);
        return reply_version(call, code, tariff_host->rows_text(rows, 0, "version"), "draft",
                             tariff_host->rows_text(rows, 0, "from_day"));
}

enum hr_status tariff_take_in(struct hr_call *call, const char *given)
{
        struct rating_tariff *t = NULL;
        const char *text;
        enum hr_status s = final_text(call, given, &text);

        if (s == HR_OK)
                s = tariff_load(call, text, &t);
        if (s == HR_OK)
                s = upsert_tariff(call, t);
        if (s == HR_OK)
                s = insert_version(call, t, text);
        rating_tariff_free(t);
        return s;
}

enum hr_status tariff_create(struct hr_call *call)
{
        return tariff_take_in(call, tariff_host->param(call, "document"));
}

/* ---- approving, activating ---- */

enum hr_status tariff_checked_version(struct hr_call *call, struct tariff_version *ret)
{
        const char *params[] = { tariff_host->param(call, "code"),
                                 tariff_host->param(call, "version") };
        struct rating_error err = { 0 };
        struct rating_tariff *t;
        struct hr_rows *rows;
        size_t n = 0;
        enum hr_status s = tariff_host->query(call, sql_tariff_lock, 2, params, &rows);
        int e;

        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) == 0)
                return tariff_host->reject(
                        call, 404, "tariff_unknown", "code",
                        "There is no such tariff or version; see the list of tariffs");
        *ret = (struct tariff_version){ params[0], tariff_host->rows_text(rows, 0, "version"),
                                        tariff_host->rows_text(rows, 0, "state"),
                                        tariff_host->rows_text(rows, 0, "created_by"), 0 };
        s = tariff_load(call, tariff_host->rows_text(rows, 0, "document_text"), &t);
        if (s != HR_OK)
                return s;
        e = rating_tariff_check_examples(t, &n, &err);
        rating_tariff_free(t);
        if (e < 0)
                return HR_RETRY;
        if (e > 0)
                return tariff_host->reject(call, 422, "tariff_example_fails", "version", "%s",
                                           err.text);
        ret->n_examples = n;
        if (n == 0)
                return tariff_host->reject(call, 422, "tariff_without_examples", "version",
                                           "Tariff %s has no example bills; add at least one with "
                                           "its expected amounts",
                                           ret->code);
        return HR_OK;
}

static enum hr_status refuse_state(struct hr_call *call, const struct tariff_version *v,
                                   const char *wanted)
{
        return tariff_host->reject(
                call, 409, "tariff_state", "version",
                "Version %s of tariff %s is %s and cannot become %s; create a new version",
                v->version, v->code, v->state, wanted);
}

static bool is_own(struct hr_call *call, const struct tariff_version *v)
{
        return strcmp(v->created_by, tariff_host->actor(call)) == 0;
}

static enum hr_status refuse_own(struct hr_call *call)
{
        return tariff_host->reject(call, 403, "four_eyes", "version",
                                   "You created this version; another person must approve it");
}

enum hr_status tariff_approve(struct hr_call *call)
{
        struct tariff_version v;
        enum hr_status s = tariff_checked_version(call, &v);

        if (s != HR_OK)
                return s;
        if (is_own(call, &v))
                return refuse_own(call);
        if (strcmp(v.state, "draft") != 0 && strcmp(v.state, "test") != 0)
                return refuse_state(call, &v, "approved");
        {
                const char *params[] = { v.code, v.version, "approved",
                                         tariff_host->param(call, "from"),
                                         tariff_host->actor(call) };
                struct hr_rows *rows;

                s = tariff_host->query(call, sql_tariff_set_state, 5, params, &rows);
                if (s != HR_OK)
                        return s;
                return reply_version(call, v.code, v.version, "approved",
                                     tariff_host->rows_text(rows, 0, "from_day"));
        }
}

static enum hr_status set_active(struct hr_call *call, const struct tariff_version *v, const char *from)
{
        const char *room[] = { v->code, v->version, from };
        const char *params[] = { v->code, v->version, "active", from, tariff_host->actor(call) };
        struct hr_rows *rows;
        char *json;
        enum hr_status s = tariff_host->query(call, sql_tariff_make_room, 3, room, NULL);

        if (s == HR_OK)
                s = tariff_host->query(call, sql_tariff_set_state, 5, params, &rows);
        if (s == HR_OK)
                s = reply_version(call, v->code, v->version, "active", from);
        json = tariff_host->format(call, "{\"code\":\"%s\",\"version\":%s,\"from\":\"%s\"}",
                                   v->code, v->version, from);
        if (s != HR_OK || !json)
                return s != HR_OK ? s : HR_RETRY;
        return tariff_host->publish(call, "tariff.activated", v->code, json);
}

enum hr_status tariff_activate(struct hr_call *call)
{
        const char *from = tariff_host->param(call, "from");
        struct tariff_version v;
        struct hr_rows *rows;
        enum hr_status s = tariff_checked_version(call, &v);

        if (s != HR_OK)
                return s;
        if (strcmp(v.state, "active") == 0 && !from)
                return reply_version(call, v.code, v.version, "active", NULL);
        if (strcmp(v.state, "active") == 0 || strcmp(v.state, "retired") == 0)
                return refuse_state(call, &v, "active");
        /* Whoever activates what is not approved yet approves it with that. */
        if (strcmp(v.state, "approved") != 0 && is_own(call, &v))
                return refuse_own(call);
        if (!from) {
                const char *params[] = { v.code, v.version };

                s = tariff_host->query(call, sql_tariff_lock, 2, params, &rows);
                if (s != HR_OK)
                        return s;
                from = tariff_host->rows_text(rows, 0, "from_day");
        }
        return set_active(call, &v, from);
}
