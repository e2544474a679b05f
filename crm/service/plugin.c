#include <string.h>

#include "headrace/plugin.h"
#include "service_sql.h"

static const struct hr_host *host;

#define CHANNELS "callcentre|app|field|office"

static enum hr_status reply_row(struct hr_call *call, const char *sql, size_t n,
                                const char *const params[], struct hr_rows **ret)
{
        struct hr_rows *rows;
        const char *json;
        enum hr_status s = host->query(call, sql, n, params, &rows);

        if (s != HR_OK)
                return s;
        if (!host->rows_count(rows))
                return host->reject(call, 404, "unknown_request", "number",
                                    "No request %s in your branches", params[0]);
        json = host->rows_text(rows, 0, "reply");
        host->reply_json(call, json, strlen(json));
        if (ret)
                *ret = rows;
        return HR_OK;
}

static enum hr_status show_number(struct hr_call *call, const char *number)
{
        return reply_row(call, sql_show, 1, &number, NULL);
}

static const char *or_else(const char *text, const char *otherwise)
{
        return text && *text ? text : otherwise;
}

/* @channel NULL: the office. */
static enum hr_status add_message(struct hr_call *call, const char *request, const char *kind,
                                  const char *channel, const char *text)
{
        const char *params[] = { request, host->actor(call), or_else(channel, "office"), kind,
                                 text };

        return host->query(call, sql_add_message, 5, params, NULL);
}

/* What the caller said, by the way it came in. */
static enum hr_status add_said(struct hr_call *call, const char *request, const char *kind,
                               const char *text)
{
        return add_message(call, request, kind, host->param(call, "channel"), text);
}

/* A line of the thread about what was changed. */
static enum hr_status add_change(struct hr_call *call, const char *request, const char *what,
                                 const char *to)
{
        const char *text = host->format(call, "%s: %s", what, to);

        return text ? add_message(call, request, "change", NULL, text) : HR_RETRY;
}

/* ---- opening ---- */

struct opening {
        const char *type, *form, *party, *branch, *account, *point, *duplicate_days;
};

static enum hr_status check_type(struct hr_call *call, struct opening *o)
{
        const char *params[2];
        struct hr_rows *rows;
        enum hr_status s;

        o->type = host->param(call, "type");
        o->form = or_else(host->param(call, "form"), "{}");
        params[0] = o->type;
        params[1] = o->form;
        if (*o->form != '{')
                return host->reject(call, 422, "bad_form", "form",
                                    "form must be an object of field and value");
        s = host->query(call, sql_type, 2, params, &rows);
        if (s != HR_OK)
                return s;
        if (!host->rows_count(rows))
                return host->reject(call, 422, "unknown_type", "type",
                                    "There is no request type %s; see the request types", o->type);
        if (!host->rows_null(rows, 0, "problem"))
                return host->reject(call, 422, "bad_form", "form", "In the form, %s",
                                    host->rows_text(rows, 0, "problem"));
        o->duplicate_days = host->rows_text(rows, 0, "duplicate_days");
        return HR_OK;
}

static enum hr_status check_customer(struct hr_call *call, struct opening *o)
{
        const char *customer = or_else(host->param(call, "customer"), host->param(call, "account"));
        const char *point = host->param(call, "service_point");
        const char *params[2];
        struct hr_rows *rows;
        enum hr_status s;

        if (!customer)
                return host->reject(call, 422, "customer_missing", "customer",
                                    "Say for whom: a customer's id, or an account number");
        s = host->query(call, sql_customer, 1, &customer, &rows);
        if (s != HR_OK)
                return s;
        if (!host->rows_count(rows))
                return host->reject(call, 422, "unknown_customer", "customer",
                                    "No customer or account %s in your branches", customer);
        o->party = host->rows_text(rows, 0, "party_id");
        o->branch = host->rows_text(rows, 0, "branch_id");
        o->account = host->rows_null(rows, 0, "account_id")
                             ? NULL
                             : host->rows_text(rows, 0, "account_id");
        o->point = NULL;
        if (!point)
                return HR_OK;
        params[0] = point;
        params[1] = o->branch;
        s = host->query(call, sql_service_point, 2, params, &rows);
        if (s != HR_OK)
                return s;
        if (!host->rows_count(rows))
                return host->reject(call, 422, "unknown_service_point", "service_point",
                                    "No service point %s in the customer's branch", point);
        o->point = host->rows_text(rows, 0, "service_point_id");
        return HR_OK;
}

static enum hr_status refuse_duplicate(struct hr_call *call, const struct opening *o)
{
        const char *params[] = { o->type, o->party, o->duplicate_days },
                   *force = host->param(call, "force");
        struct hr_rows *rows;
        enum hr_status s;

        if (force && !strcmp(force, "true"))
                return HR_OK;
        s = host->query(call, sql_duplicate, 3, params, &rows);
        if (s != HR_OK || !host->rows_count(rows))
                return s;
        return host->reject(call, 409, "same_request", "type",
                            "Request %s of this type was opened for this customer on %s by %s and "
                            "still runs; reply there, or send force=true for a second one",
                            host->rows_text(rows, 0, "number"), host->rows_text(rows, 0, "opened"),
                            host->rows_text(rows, 0, "opened_by"));
}

static enum hr_status request_create(struct hr_call *call)
{
        struct opening o = { 0 };
        struct hr_rows *rows;
        enum hr_status s = check_type(call, &o);

        if (s == HR_OK)
                s = check_customer(call, &o);
        if (s == HR_OK)
                s = refuse_duplicate(call, &o);
        if (s != HR_OK)
                return s;

        const char *params[] = { o.branch,          o.type,
                                 o.party,           o.account,
                                 o.point,           o.form,
                                 host->actor(call), host->param(call, "assigned_to") };

        s = reply_row(call, sql_create, 8, params, &rows);
        if (s == HR_OK)
                s = add_said(call, host->rows_text(rows, 0, "request_id"), "message",
                             host->param(call, "text"));
        if (s != HR_OK)
                return s;
        host->reply_status(call, 201);
        return host->publish(call, "request.opened", host->rows_text(rows, 0, "number"),
                             host->rows_text(rows, 0, "reply"));
}

/* ---- reading ---- */

static enum hr_status request_types(struct hr_call *call)
{
        return reply_row(call, sql_types, 0, NULL, NULL);
}

static enum hr_status request_define(struct hr_call *call)
{
        const char *params[] = {
                host->param(call, "code"),      host->param(call, "name"),
                host->param(call, "form"),      host->param(call, "steps"),
                host->param(call, "sla_hours"), host->param(call, "duplicate_days"),
                host->param(call, "queue")
        };

        return reply_row(call, sql_define, 7, params, NULL);
}

static enum hr_status request_list(struct hr_call *call)
{
        const char *limit =
                host->format(call, "%lld", (long long)host->param_int(call, "limit", 50));
        const char *cursor = or_else(host->param(call, "cursor"), "0");
        const char *params[] = { host->param(call, "state"),
                                 host->param(call, "type"),
                                 host->param(call, "assigned_to"),
                                 host->param(call, "customer"),
                                 host->param(call, "branch"),
                                 host->param(call, "queue"),
                                 cursor,
                                 limit };

        if (strspn(cursor, "0123456789") != strlen(cursor))
                return host->reject(call, 400, "bad_cursor", "cursor",
                                    "Use the \"next\" of the page before as it is");
        return limit ? reply_row(call, sql_list, 8, params, NULL) : HR_RETRY;
}

static enum hr_status request_show(struct hr_call *call)
{
        return show_number(call, host->param(call, "number"));
}

/* ---- changing ---- */

struct subject {
        const char *id, *number, *state;
};

/* Locks the request; refuses a closed one unless @closed is what the caller wants to see, and a
 * @step (may be NULL) its type does not have. */
static enum hr_status lock_request(struct hr_call *call, bool closed, const char *step,
                                   struct subject *ret)
{
        const char *params[] = { host->param(call, "number"), step };
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_lock, 2, params, &rows);

        if (s != HR_OK)
                return s;
        if (!host->rows_count(rows))
                return host->reject(call, 404, "unknown_request", "number",
                                    "No request %s in your branches", params[0]);
        ret->id = host->rows_text(rows, 0, "request_id");
        ret->number = host->rows_text(rows, 0, "number");
        ret->state = host->rows_text(rows, 0, "state");
        if (!closed && !strcmp(ret->state, "closed"))
                return host->reject(call, 409, "request_closed", "number",
                                    "Request %s is closed; reopen it first", ret->number);
        if (closed && strcmp(ret->state, "closed") != 0)
                return host->reject(call, 409, "request_open", "number", "Request %s is not closed",
                                    ret->number);
        if (*host->rows_text(rows, 0, "has_step") != 't')
                return host->reject(call, 422, "unknown_step", "step",
                                    "The steps of this type are %s",
                                    host->rows_text(rows, 0, "steps"));
        return HR_OK;
}

static enum hr_status reply_changes(struct hr_call *call, const struct subject *r)
{
        const char *state = host->param(call, "state"), *step = host->param(call, "step");
        const char *reason = or_else(host->param(call, "pause_reason"), host->param(call, "text"));
        enum hr_status s = HR_OK;

        if (step) {
                const char *params[] = { r->id, step };

                s = host->query(call, sql_set_step, 2, params, NULL);
                if (s == HR_OK)
                        s = add_change(call, r->id, "step", step);
        }
        if (s == HR_OK && state && strcmp(state, r->state) != 0) {
                const char *params[] = { r->id, state, reason };

                s = host->query(call, sql_set_state, 3, params, NULL);
                if (s == HR_OK)
                        s = add_change(call, r->id, "state", state);
        }
        return s;
}

static enum hr_status request_reply(struct hr_call *call)
{
        const char *internal = host->param(call, "internal");
        struct subject r;
        enum hr_status s = lock_request(call, false, host->param(call, "step"), &r);

        if (s == HR_OK)
                s = add_said(call, r.id, internal && !strcmp(internal, "true") ? "note" : "message",
                             host->param(call, "text"));
        if (s == HR_OK)
                s = reply_changes(call, &r);
        return s == HR_OK ? show_number(call, r.number) : s;
}

static enum hr_status request_assign(struct hr_call *call)
{
        const char *to = host->param(call, "to");
        struct subject r;
        enum hr_status s = lock_request(call, false, NULL, &r);
        const char *params[] = { NULL, to, host->param(call, "queue") };

        if (s != HR_OK)
                return s;
        params[0] = r.id;
        s = host->query(call, sql_assign, 3, params, NULL);
        if (s == HR_OK)
                s = add_change(call, r.id, "assigned", *to ? to : "nobody");
        return s == HR_OK ? show_number(call, r.number) : s;
}

static enum hr_status request_close(struct hr_call *call)
{
        const char *outcome = or_else(host->param(call, "outcome"), "done"),
                   *text = host->param(call, "text");
        struct subject r;
        enum hr_status s = lock_request(call, false, NULL, &r);
        const char *params[] = { NULL, outcome }, *json;

        if (s == HR_OK && text && *text)
                s = add_said(call, r.id, "message", text);
        if (s != HR_OK)
                return s;
        params[0] = r.id;
        s = host->query(call, sql_close, 2, params, NULL);
        if (s == HR_OK)
                s = add_change(call, r.id, "closed", outcome);
        if (s == HR_OK)
                s = show_number(call, r.number);
        if (s != HR_OK)
                return s;
        json = host->format(call, "{\"number\":\"%s\",\"outcome\":\"%s\"}", r.number, outcome);
        return json ? host->publish(call, "request.closed", r.number, json) : HR_RETRY;
}

static enum hr_status request_reopen(struct hr_call *call)
{
        struct subject r;
        enum hr_status s = lock_request(call, true, NULL, &r);

        if (s == HR_OK)
                s = host->query(call, sql_reopen, 1, &r.id, NULL);
        if (s == HR_OK)
                s = add_said(call, r.id, "message", host->param(call, "text"));
        if (s == HR_OK)
                s = add_change(call, r.id, "state", "open");
        return s == HR_OK ? show_number(call, r.number) : s;
}

/* ---- descriptor ---- */

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

static const struct hr_param no_params[] = { { NULL } };
static const struct hr_param create_params[] = {
        { "type", HR_TEXT, HR_BODY, true, "request type code" },
        { "customer", HR_TEXT, HR_BODY, false, "customer id or account number" },
        { "account", HR_TEXT, HR_BODY, false, "account number, where no customer is given" },
        { "text", HR_TEXT, HR_BODY, true, "what it is about", NULL, 1, 8000 },
        { "service_point", HR_TEXT, HR_BODY, false, "service point code" },
        { "channel", HR_TEXT, HR_BODY, false, "where it came in (office)", CHANNELS },
        { "form", HR_JSON, HR_BODY, false, "values of the type's form" },
        { "assigned_to", HR_TEXT, HR_BODY, false, "login of who takes it", NULL, 0, 60 },
        { "force", HR_BOOL, HR_BODY, false, "open it although one of this type runs" },
        { NULL },
};
static const struct hr_param list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "state; active = not closed",
          "open|waiting|closed|active" },
        { "type", HR_TEXT, HR_QUERY, false, "request type code" },
        { "assigned_to", HR_TEXT, HR_QUERY, false, "login" },
        { "customer", HR_TEXT, HR_QUERY, false, "customer id" },
        { "branch", HR_TEXT, HR_QUERY, false, "branch code" },
        { "queue", HR_TEXT, HR_QUERY, false, "queue" },
        { "limit", HR_INT, HR_QUERY, false, "page size (50)", NULL, 1, 500 },
        { "cursor", HR_TEXT, HR_QUERY, false, "\"next\" of the page before", NULL, 1, 18 },
        { NULL },
};
static const struct hr_param number_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "request number" },
        { NULL },
};
static const struct hr_param reply_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "request number" },
        { "text", HR_TEXT, HR_BODY, true, "the message", NULL, 1, 8000 },
        { "channel", HR_TEXT, HR_BODY, false, "by which way (office)", CHANNELS },
        { "internal", HR_BOOL, HR_BODY, false, "a note the customer does not see" },
        { "step", HR_TEXT, HR_BODY, false, "go to this step of the type" },
        { "state", HR_TEXT, HR_BODY, false, "waiting stops the time limit, open lets it run",
          "open|waiting" },
        { "pause_reason", HR_TEXT, HR_BODY, false, "why it waits", NULL, 0, 400 },
        { NULL },
};
static const struct hr_param assign_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "request number" },
        { "to", HR_TEXT, HR_BODY, true, "login; empty for nobody", NULL, 0, 60 },
        { "queue", HR_TEXT, HR_BODY, false, "queue", NULL, 1, 40 },
        { NULL },
};
static const struct hr_param close_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "request number" },
        { "outcome", HR_TEXT, HR_BODY, false, "how it ended (done)",
          "done|refused|withdrawn|duplicate" },
        { "text", HR_TEXT, HR_BODY, false, "last message", NULL, 0, 8000 },
        { "channel", HR_TEXT, HR_BODY, false, "by which way (office)", CHANNELS },
        { NULL },
};
static const struct hr_param reopen_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "request number" },
        { "text", HR_TEXT, HR_BODY, true, "why", NULL, 1, 8000 },
        { "channel", HR_TEXT, HR_BODY, false, "by which way (office)", CHANNELS },
        { NULL },
};
static const struct hr_param define_params[] = {
        { "code", HR_TEXT, HR_BODY, true, "type code, a-z 0-9 _", NULL, 2, 31 },
        { "name", HR_JSON, HR_BODY, true, "text by language, {\"en\": \"...\"}" },
        { "form", HR_JSON, HR_BODY, false, "list of name, label, type, choices, required" },
        { "steps", HR_JSON, HR_BODY, false, "list of step names" },
        { "sla_hours", HR_INT, HR_BODY, false, "time limit in hours (72)", NULL, 1, 8760 },
        { "duplicate_days", HR_INT, HR_BODY, false, "days in which a second one is questioned (14)",
          NULL, 0, 365 },
        { "queue", HR_TEXT, HR_BODY, false, "queue it goes to (office)", NULL, 1, 40 },
        { NULL },
};

static const struct hr_operation operations[] = {
        { "request.types", "request.read", "GET", "/v1/request-types", "request types",
          "Kinds of service request", no_params, HR_OP_READ, request_types,
          "items:code,queue,sla_hours" },
        { "request.define", "request.approve", "POST", "/v1/request-types", "request define CODE",
          "Make or change a kind of service request", define_params, HR_OP_WRITE, request_define,
          NULL },
        { "request.list", "request.read", "GET", "/v1/requests", "request list",
          "List service requests", list_params, HR_OP_READ, request_list,
          "items:number,type,state,step,customer_name,assigned_to,due_at" },
        { "request.show", "request.read", "GET", "/v1/requests/{number}", "request show NUMBER",
          "One request and its thread", number_params, HR_OP_READ, request_show,
          "thread:at,actor,channel,text" },
        { "request.create", "request.write", "POST", "/v1/requests", "request create",
          "Open a service request", create_params, HR_OP_WRITE, request_create, NULL },
        { "request.reply", "request.write", "POST", "/v1/requests/{number}/reply",
          "request reply NUMBER", "Add to a request's thread, move its step or state", reply_params,
          HR_OP_WRITE, request_reply, NULL },
        { "request.assign", "request.write", "POST", "/v1/requests/{number}/assign",
          "request assign NUMBER", "Give a request to someone", assign_params, HR_OP_WRITE,
          request_assign, NULL },
        { "request.close", "request.write", "POST", "/v1/requests/{number}/close",
          "request close NUMBER", "Close a request", close_params, HR_OP_WRITE, request_close,
          NULL },
        { "request.reopen", "request.write", "POST", "/v1/requests/{number}/reopen",
          "request reopen NUMBER", "Open a closed request again", reopen_params, HR_OP_WRITE,
          request_reopen, NULL },
        { NULL },
};

static const char *const needs[] = { "customer", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "service",
        .version = HEADRACE_VERSION,
        .summary = "Service requests: one thread across call centre, app and field",
        .needs = needs,
        .migrations = service_migrations,
        .operations = operations,
        .init = init,
};
