/* Commands to meters as a person sees them: ask, release, refuse, cancel, look; protected supplies. */

#include <string.h>

#include "collect_ops_internal.h"
#include "command.h"
#include "models.h"

enum { PAGE = 100, PAGE_MAX = 1000 };

#define METER { "meter", HR_TEXT, HR_PATH, true, "Number or serial of the meter", NULL, 1, 64 }
#define COMMAND { "command", HR_INT, HR_PATH, true, "Number of the command", NULL, 1, INT64_MAX }

const struct hr_param command_request_params[] = {
        METER,
        { "kind", HR_TEXT, HR_BODY, true, "What is to be done",
          "clock|disconnect|reconnect|arm|limiter|calendar|keys", 0, 0 },
        { "params", HR_JSON, HR_BODY, false, "Its parameters, by kind", NULL, 0, 0 },
        { "reason", HR_TEXT, HR_BODY, false, "Why; needed to disconnect", NULL, 1, 500 },
        { "not_before", HR_TIME, HR_BODY, false, "Not sent before", NULL, 0, 0 },
        { "expires_at", HR_TIME, HR_BODY, false, "Not begun after", NULL, 0, 0 },
        { 0 },
};
const struct hr_param command_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state",
          "requested|approved|sent|confirmed|failed|expired|refused|cancelled", 0, 0 },
        { "meter", HR_TEXT, HR_QUERY, false, "Only of this meter, number or serial", NULL, 1, 64 },
        { "kind", HR_TEXT, HR_QUERY, false, "Only of this kind",
          "clock|disconnect|reconnect|arm|limiter|calendar|keys|firmware", 0, 0 },
        { "before", HR_INT, HR_QUERY, false, "Only commands before this number (next page)", NULL, 0,
          0 },
        { "limit", HR_INT, HR_QUERY, false, "Rows at most", NULL, 1, PAGE_MAX },
        { 0 },
};
const struct hr_param command_params[] = { COMMAND, { 0 } };
const struct hr_param command_refuse_params[] = {
        COMMAND,
        { "reason", HR_TEXT, HR_BODY, true, "Why not", NULL, 1, 500 },
        { 0 },
};
const struct hr_param protect_params[] = {
        METER,
        { "reason", HR_TEXT, HR_BODY, true, "Why the supply may not be cut, such as life support",
          NULL, 1, 200 },
        { "until", HR_DATE, HR_BODY, false, "First day without; open when absent", NULL, 0, 0 },
        { 0 },
};

static enum hr_status show(struct hr_call *call, const char *id)
{
        return ops_reply_doc(call, sql_command_doc, 1, &id, "command");
}

/* ---- asking ---- */

/* What would fail for certain is refused at once, with the reason. */
static enum hr_status check_params(struct hr_call *call, const char *kind, const char *params,
                                   const char *profile)
{
        struct command_order o = { .params = params, .type = (enum command_type)command_type_of(kind) };
        struct meter_model *model = NULL;
        struct command *c = NULL;
        enum hr_status st = HR_OK;
        char why[256] = "";

        if (o.type == COMMAND_KEYS || o.type == COMMAND_FIRMWARE)
                return HR_OK;
        if (model_parse(&model, profile, why, sizeof why) < 0)
                return HOST->reject(call, 409, "model_unusable", "meter",
                                    "the meter's model cannot be used: %s", why);
        if (command_new(&c, &o, model, why, sizeof why) < 0)
                st = HOST->reject(call, 422, "params_wrong", "params", "%s", why);
        command_free(c);
        free(model);
        return st;
}

static enum hr_status check_target(struct hr_call *call, const struct hr_rows *t, const char *kind,
                                   const char *params)
{
        const char *serial = HOST->rows_text(t, 0, "serial");

        if (strcmp(HOST->rows_text(t, 0, "protocol"), "dlms") != 0 ||
            strcmp(HOST->rows_text(t, 0, "pushes"), "t") == 0)
                return HOST->reject(call, 422, "not_commandable", "meter",
                                    "meter %s takes no commands: it is no DLMS meter that is "
                                    "visited",
                                    serial);
        if (strcmp(HOST->rows_text(t, 0, "state"), "active") != 0)
                return HOST->reject(call, 422, "meter_not_active", "meter",
                                    "meter %s is %s; only active meters are commanded", serial,
                                    HOST->rows_text(t, 0, "state"));
        if (!strcmp(kind, "disconnect") && !HOST->rows_null(t, 0, "protection"))
                return HOST->reject(call, 422, "protected", "meter",
                                    "the supply of meter %s is protected: %s", serial,
                                    HOST->rows_text(t, 0, "protection"));
        if (!strcmp(kind, "keys") && strcmp(HOST->rows_text(t, 0, "has_kek"), "t") != 0)
                return HOST->reject(call, 422, "no_kek", "meter",
                                    "the registry has no master key (kek) of meter %s to wrap new "
                                    "keys with; import it",
                                    serial);
        return check_params(call, kind, params, HOST->rows_text(t, 0, "profile"));
}

enum hr_status command_request(struct hr_call *call)
{
        const char *kind = HOST->param(call, "kind"), *reason = ops_text(call, "reason", "");
        const char *json = ops_text(call, "params", "{}"), *id;
        struct hr_rows *rows;
        enum hr_status st;
        uint32_t meter = 0;

        st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        if (st != HR_OK)
                return st;
        if (!strcmp(kind, "disconnect") && !*reason)
                return HOST->reject(call, 422, "reason_needed", "reason",
                                    "say why the supply is to be disconnected");
        id = ops_number(call, meter);
        st = HOST->query(call, sql_command_target, 2, (const char *[]){ id, kind }, &rows);
        if (st == HR_OK)
                st = check_target(call, rows, kind, json);
        if (st != HR_OK)
                return st;
        const char *params[] = { id,
                                 kind,
                                 json,
                                 reason,
                                 HOST->actor(call),
                                 ops_single_operator(call) ? "true" : "false",
                                 ops_text(call, "not_before", ""),
                                 ops_text(call, "expires_at", "") };

        st = HOST->query(call, sql_command_request, 8, params, &rows);
        if (st != HR_OK)
                return st;
        HOST->reply_status(call, 202);
        return show(call, HOST->rows_text(rows, 0, "command_id"));
}

/* ---- looking ---- */

enum hr_status command_list(struct hr_call *call)
{
        const char *limit = ops_number(call, HOST->param_int(call, "limit", PAGE)), *meter = "";
        struct hr_rows *rows;
        enum hr_status st;
        uint32_t id = 0;

        if (HOST->param(call, "meter")) {
                st = ops_find_meter(call, HOST->param(call, "meter"), &id);
                if (st != HR_OK)
                        return st;
                meter = ops_number(call, id);
        }
        const char *params[] = { ops_text(call, "state", ""), meter, ops_text(call, "kind", ""),
                                 ops_number(call, HOST->param_int(call, "before", 0)), limit };
        char *json;

        st = HOST->query(call, sql_command_list, 5, params, &rows);
        if (st != HR_OK)
                return st;
        json = HOST->rows_int(rows, 0, "n") < HOST->param_int(call, "limit", PAGE)
                       ? HOST->format(call, "{\"items\":%s}", HOST->rows_text(rows, 0, "items"))
                       : HOST->format(call, "{\"items\":%s,\"next\":%s}",
                                      HOST->rows_text(rows, 0, "items"),
                                      HOST->rows_text(rows, 0, "last"));
        if (!json)
                return HR_RETRY;
        HOST->reply_json(call, json, strlen(json));
        return HR_OK;
}

enum hr_status command_show(struct hr_call *call)
{
        return show(call, HOST->param(call, "command"));
}

/* ---- releasing ---- */

/* A change that found no row: why. */
static enum hr_status not_changed(struct hr_call *call, const char *id, const char *wanted)
{
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql_command_state, 1, &id, &rows);

        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 404, "not_found", "command", "there is no command %s", id);
        return HOST->reject(call, 409, "wrong_state", "command",
                            "command %s is %s; it can no longer be %s", id,
                            HOST->rows_text(rows, 0, "state"), wanted);
}

static enum hr_status change(struct hr_call *call, const char *sql, const char *third,
                             const char *wanted)
{
        const char *params[] = { HOST->param(call, "command"), HOST->actor(call), third };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql, third ? 3 : 2, params, &rows);

        if (st != HR_OK)
                return st;
        return HOST->rows_count(rows) ? show(call, params[0]) : not_changed(call, params[0], wanted);
}

enum hr_status command_approve(struct hr_call *call)
{
        return change(call, sql_command_approve, NULL, "released");
}

enum hr_status command_refuse(struct hr_call *call)
{
        return change(call, sql_command_refuse, HOST->param(call, "reason"), "refused");
}

enum hr_status command_cancel(struct hr_call *call)
{
        return change(call, sql_command_cancel, NULL,
                      "cancelled: what may have reached the meter is undone by another command");
}

/* ---- protected supplies ---- */

enum hr_status meter_protect(struct hr_call *call)
{
        uint32_t meter = 0;
        enum hr_status st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        const char *id = ops_number(call, meter);
        const char *params[] = { id, HOST->param(call, "reason"), ops_text(call, "until", ""),
                                 HOST->actor(call) };

        if (st == HR_OK)
                st = HOST->query(call, sql_protect, 4, params, NULL);
        return st == HR_OK ? ops_reply_doc(call, sql_meter_state, 1, &id, "meter") : st;
}

enum hr_status meter_unprotect(struct hr_call *call)
{
        uint32_t meter = 0;
        enum hr_status st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        const char *id = ops_number(call, meter);
        const char *params[] = { id, HOST->actor(call) };

        if (st == HR_OK)
                st = HOST->query(call, sql_unprotect, 2, params, NULL);
        return st == HR_OK ? ops_reply_doc(call, sql_meter_state, 1, &id, "meter") : st;
}
