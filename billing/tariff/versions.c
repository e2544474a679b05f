/* Between versions: taking in published tariffs, running the examples, what differs. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "document_diff.h"
#include "import.h"
#include "tariff.h"
#include "tariff_sql.h"

enum { MAX_FACTS = 16 };

/* ---- import ---- */

static size_t take_facts(struct hr_call *call, json_t *facts, struct import_fact *ret)
{
        const char *key;
        json_t *v;
        size_t n = 0;

        json_object_foreach(facts, key, v)
        {
                if (json_is_string(v) && n < MAX_FACTS) {
                        ret[n].name = tariff_host->format(call, "%s", key);
                        ret[n].value = tariff_host->format(call, "%s", json_string_value(v));
                        n += ret[n].name && ret[n].value;
                }
        }
        return n;
}

/* The document as text of the call; a rejection names what cannot be taken over. */
static enum hr_status import_source(struct hr_call *call, const char **ret)
{
        const char *source = tariff_host->param(call, "source"),
                   *facts_text = tariff_host->param(call, "facts");
        json_t *facts = facts_text ? json_loads(facts_text, 0, NULL) : NULL, *document = NULL;
        struct import_fact fact[MAX_FACTS];
        struct import_options options = { .code = tariff_host->param(call, "code"),
                                          .currency = tariff_host->param(call, "currency"),
                                          .class = tariff_host->param(call, "class"),
                                          .fact = fact };
        struct rating_error err = { 0 };
        enum import_format format;
        char *text;
        int e;

        options.n_facts = take_facts(call, facts, fact);
        json_decref(facts);
        if (!import_format_named(tariff_host->param(call, "format"), &format))
                return HR_FATAL; /* the host checked the choice */
        e = import_tariff(format, source, strlen(source), &options, &document, &err);
        if (e > 0)
                return tariff_host->reject(call, 422,
                                           e == IMPORT_E_UNSUPPORTED ? "tariff_not_expressible"
                                                                     : "tariff_source",
                                           "source", "%s", err.text);
        text = e ? NULL : json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        json_decref(document);
        *ret = text ? tariff_host->format(call, "%s", text) : NULL;
        free(text);
        return *ret ? HR_OK : HR_RETRY;
}

enum hr_status tariff_import(struct hr_call *call)
{
        const char *text;
        enum hr_status s = import_source(call, &text);

        return s == HR_OK ? tariff_take_in(call, text) : s;
}

/* ---- test ---- */

enum hr_status tariff_test(struct hr_call *call)
{
        struct tariff_version v;
        enum hr_status s = tariff_checked_version(call, &v);
        char *json;

        if (s != HR_OK)
                return s;
        if (strcmp(v.state, "draft") == 0) {
                const char *params[] = { v.code, v.version, "test", NULL,
                                         tariff_host->actor(call) };

                s = tariff_host->query(call, sql_tariff_set_state, 5, params, NULL);
                v.state = "test";
        }
        if (s != HR_OK)
                return s;
        json = tariff_host->format(call,
                                   "{\"code\":\"%s\",\"version\":%s,\"state\":\"%s\","
                                   "\"examples\":%zu}",
                                   v.code, v.version, v.state, v.n_examples);
        if (!json)
                return HR_RETRY;
        tariff_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

/* ---- diff ---- */

static enum hr_status reply_diff(struct hr_call *call, struct hr_rows *rows)
{
        json_t *before = json_loads(tariff_host->rows_text(rows, 0, "before_text"), 0, NULL),
               *after = json_loads(tariff_host->rows_text(rows, 0, "after_text"), 0, NULL);
        json_t *list = before && after ? rating_document_diff(before, after) : NULL;
        char *items = list ? json_dumps(list, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
        char *json = items ? tariff_host->format(
                                     call, "{\"before\":%s,\"after\":%s,\"items\":%s}",
                                     tariff_host->rows_text(rows, 0, "before_version"),
                                     tariff_host->rows_text(rows, 0, "after_version"), items)
                           : NULL;

        free(items);
        json_decref(list);
        json_decref(before);
        json_decref(after);
        if (!json)
                return HR_RETRY;
        tariff_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

enum hr_status tariff_diff(struct hr_call *call)
{
        const char *params[] = { tariff_host->param(call, "code"),
                                 tariff_host->param(call, "before"),
                                 tariff_host->param(call, "after") };
        struct hr_rows *rows;
        enum hr_status s = tariff_host->query(call, sql_tariff_pair, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) == 0)
                return tariff_host->reject(
                        call, 404, "tariff_unknown", "code",
                        "There are no two such versions of this tariff; see the list of tariffs");
        return reply_diff(call, rows);
}
