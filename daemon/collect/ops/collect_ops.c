#include "collect_ops_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "civil.h"

enum {
        READ_TIMEOUT_S = 30,
        READ_TIMEOUT_MAX_S = 120,
        UNREAD_LIMIT = 200,
        UNREAD_LIMIT_MAX = 10000
};

struct collect *ops_collect(struct hr_call *call)
{
        return host_object(call, "collect");
}

enum hr_status ops_no_collect(struct hr_call *call)
{
        return HOST->reject(
                call, 409, "not_collecting", NULL,
                "this process does not visit meters: ask the one with role collect or all");
}

static enum hr_status failed(struct hr_call *call, int r)
{
        if (r == -ESHUTDOWN)
                return HOST->reject(call, 409, "shutting_down", NULL, "the daemon is ending");
        if (r == -ETIMEDOUT)
                return HOST->reject(
                        call, 408, "no_answer_in_time", NULL,
                        "nothing was heard in time; the read goes on, look again later");
        return HR_RETRY;
}

static enum hr_status reply(struct hr_call *call, int r, struct buf *json)
{
        enum hr_status st = HR_OK;

        if (r < 0)
                st = failed(call, r);
        else if (json->failed)
                st = HR_RETRY;
        else
                HOST->reply_json(call, buf_cstr(json), json->len);
        buf_deinit(json);
        return st;
}

/* ---- shared ---- */

const char *ops_text(struct hr_call *call, const char *name, const char *otherwise)
{
        const char *s = HOST->param(call, name);

        return s ? s : otherwise;
}

const char *ops_number(struct hr_call *call, int64_t v)
{
        return HOST->format(call, "%" PRId64, v);
}

bool ops_single_operator(struct hr_call *call)
{
        const char *v = HOST->config(call, "single_operator");

        return v && (strcmp(v, "yes") == 0 || strcmp(v, "true") == 0 || strcmp(v, "on") == 0);
}

enum hr_status ops_find_meter(struct hr_call *call, const char *text, uint32_t *ret)
{
        const char *params[] = { text };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql_find_meter, 1, params, &rows);

        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 404, "unknown_meter", "meter",
                                    "there is no meter \"%s\" (number or serial)", text);
        *ret = (uint32_t)HOST->rows_int(rows, 0, "meter_id");
        return HR_OK;
}

static enum hr_status reply_column(struct hr_call *call, const char *json)
{
        if (!json)
                return HR_RETRY;
        HOST->reply_json(call, json, strlen(json));
        return HR_OK;
}

enum hr_status ops_reply_doc(struct hr_call *call, const char *sql, size_t n,
                             const char *const params[], const char *what)
{
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql, n, params, &rows);

        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 404, "not_found", what, "there is no %s %s", what,
                                    params[0]);
        return reply_column(call, HOST->rows_text(rows, 0, "doc"));
}

enum hr_status ops_reply_items(struct hr_call *call, const char *sql, size_t n,
                               const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql, n, params, &rows);

        return st == HR_OK ? reply_column(call, HOST->format(call, "{\"items\":%s}",
                                                             HOST->rows_text(rows, 0, "items")))
                           : st;
}

/* ---- reading ---- */

static void put_read(struct buf *b, const char *meter, const struct collect_read *r)
{
        char t[CIVIL_RFC3339_SIZE];

        buf_put_str(b, "{\"meter\":");
        buf_put_json_str(b, meter, strlen(meter));
        buf_printf(b, ",\"read\":%s,\"cause\":\"%s\",\"text\":\"%s\",\"detail\":",
                   r->outcome == COLLECT_READ ? "true" : "false", r->cause, r->text);
        buf_put_json_str(b, r->detail, strlen(r->detail));
        buf_printf(b, ",\"values\":%" PRIu64 ",\"duration_ms\":%" PRId64, r->values,
                   r->duration_ms);
        if (r->until) {
                civil_format(r->until, 0, t);
                buf_printf(b, ",\"stored_until\":\"%s\"", t);
        }
        if (r->has_clock)
                buf_printf(b, ",\"clock_offset_s\":%" PRId64, r->clock_offset_s);
        buf_put_u8(b, '}');
}

static enum hr_status run_read(struct hr_call *call)
{
        struct collect *c = ops_collect(call);
        const char *meter = HOST->param(call, "meter");
        int64_t wait_s = HOST->param_int(call, "timeout_s", READ_TIMEOUT_S);
        struct collect_read result = { 0 };
        struct buf json = BUF_INIT;
        enum hr_status st;
        uint32_t id = 0;
        int r;

        st = ops_find_meter(call, meter, &id);
        if (st != HR_OK)
                return st;
        if (!c)
                return ops_no_collect(call);
        r = collect_read_wait(c, id, (int)wait_s * 1000, &result);
        if (r < 0)
                return failed(call, r);
        switch (result.outcome) {
        case COLLECT_UNKNOWN:
                return HOST->reject(
                        call, 409, "not_in_schedule", "meter",
                        "meter %s is not known to the schedule yet; try again in a moment", meter);
        case COLLECT_NOT_POLLED:
                return HOST->reject(call, 409, "not_polled", "meter",
                                    "meter %s is not visited, it sends by itself%s%s", meter,
                                    result.detail[0] ? ": " : "", result.detail);
        case COLLECT_BUSY:
                return HR_RETRY;
        case COLLECT_READ:
        case COLLECT_FAILED:
                break;
        }
        put_read(&json, meter, &result);
        return reply(call, 0, &json);
}

static enum hr_status run_sweep_show(struct hr_call *call)
{
        struct collect *c = ops_collect(call);
        struct buf json = BUF_INIT;

        return c ? reply(call, collect_sweep_json(c, &json), &json) : ops_no_collect(call);
}

static enum hr_status run_sweep_start(struct hr_call *call)
{
        struct collect *c = ops_collect(call);
        const char *meter = HOST->param(call, "meter");
        struct buf json = BUF_INIT;
        int64_t from, to;
        uint32_t id = 0;
        enum hr_status st;
        int r;

        if (!c)
                return ops_no_collect(call);
        if (civil_parse(HOST->param(call, "from"), &from, NULL) < 0)
                return HOST->reject(call, 400, "bad_time", "from",
                                    "\"from\" is no RFC 3339 time with zone");
        if (civil_parse(HOST->param(call, "to"), &to, NULL) < 0)
                return HOST->reject(call, 400, "bad_time", "to",
                                    "\"to\" is no RFC 3339 time with zone");
        if (from >= to)
                return HOST->reject(call, 422, "empty_period", "to",
                                    "\"to\" must be later than \"from\"");
        if (meter) {
                st = ops_find_meter(call, meter, &id);
                if (st != HR_OK)
                        return st;
        }
        r = collect_sweep_start(c, id, from, to);
        if (r < 0)
                return failed(call, r);
        HOST->reply_status(call, 202);
        return reply(call, collect_sweep_json(c, &json), &json);
}

static enum hr_status run_unread(struct hr_call *call)
{
        struct collect *c = ops_collect(call);
        int64_t limit = HOST->param_int(call, "limit", UNREAD_LIMIT);
        const char *meter = HOST->param(call, "meter");
        struct buf json = BUF_INIT;
        enum hr_status st;
        uint32_t id = 0;

        if (meter) {
                st = ops_find_meter(call, meter, &id);
                if (st != HR_OK)
                        return st;
        }
        if (!c)
                return ops_no_collect(call);
        return reply(call,
                     collect_unread_json(c, HOST->param(call, "cause"), id, (unsigned)limit, &json),
                     &json);
}

static const struct hr_param read_params[] = {
        { "meter", HR_TEXT, HR_PATH, true, "Number or serial of the meter", NULL, 0, 0 },
        { "timeout_s", HR_INT, HR_BODY, false, "How long to wait for it, seconds", NULL, 1,
          READ_TIMEOUT_MAX_S },
        { 0 },
};
static const struct hr_param start_params[] = {
        { "from", HR_TIME, HR_BODY, true, "First interval to read", NULL, 0, 0 },
        { "to", HR_TIME, HR_BODY, true, "End of the last one", NULL, 0, 0 },
        { "meter", HR_TEXT, HR_BODY, false, "Only this meter, number or serial", NULL, 0, 0 },
        { 0 },
};
static const struct hr_param unread_params[] = {
        { "cause", HR_TEXT, HR_QUERY, false, "Only with this cause, such as timeout", NULL, 0, 0 },
        { "meter", HR_TEXT, HR_QUERY, false, "Only this meter, number or serial", NULL, 1, 64 },
        { "limit", HR_INT, HR_QUERY, false, "At most so many", NULL, 1, UNREAD_LIMIT_MAX },
        { 0 },
};
static const struct hr_param no_params[] = { { 0 } };

static const struct hr_operation operations[] = {
        { "meter.read", "meter.demand", "POST", "/v1/meters/{meter}/read", "meter read METER",
          "Read a meter now, before all others", read_params, HR_OP_WRITE, run_read, NULL },
        { "sweep.show", "sweep.read", "GET", "/v1/sweep", "sweep show",
          "How far the reading of polled meters is, with forecast", no_params, HR_OP_READ,
          run_sweep_show, NULL },
        { "sweep.start", "sweep.write", "POST", "/v1/sweep", "sweep start",
          "Have polled meters read for a period", start_params, HR_OP_WRITE, run_sweep_start,
          NULL },
        { "meter.unread", "unread.read", "GET", "/v1/unread", "meter unread",
          "Meters not read, each with its cause", unread_params, HR_OP_READ, run_unread,
          "items:meter,serial,cause,detail,next_step,failures,stored_until,next_try" },
        { "meter.causes", "unread.read", "GET", "/v1/meters/{meter}/causes", "meter causes METER",
          "Why a meter is or was unread: cause, evidence and next step, 90 days back",
          causes_params, HR_OP_READ, meter_causes, "items:since,until,cause,tries,detail" },
        { "meter.events", "meter.read", "GET", "/v1/meters/{meter}/events", "meter events METER",
          "Events a meter reported, newest first", events_params, HR_OP_READ, meter_events,
          "items:at,code,name,severity,what,detail" },
        { "meter.state", "meter.read", "GET", "/v1/meters/{meter}/state", "meter state METER",
          "What a meter said of itself last: supply, firmware, clock; its protection", meter_params,
          HR_OP_READ, meter_state, NULL },
        { "meter.protect", "command.write", "POST", "/v1/meters/{meter}/protections",
          "meter protect METER", "Forbid disconnecting a supply", protect_params, HR_OP_WRITE,
          meter_protect, NULL },
        { "meter.unprotect", "command.approve", "POST", "/v1/meters/{meter}/protections/lift",
          "meter unprotect METER", "Allow disconnecting a supply again", meter_params, HR_OP_WRITE,
          meter_unprotect, NULL },
        { "command.request", "command.write", "POST", "/v1/meters/{meter}/commands",
          "command request METER KIND", "Ask for a command to a meter", command_request_params,
          HR_OP_WRITE, command_request, NULL },
        { "command.list", "command.read", "GET", "/v1/commands", "command list",
          "Commands to meters, newest first", command_list_params, HR_OP_READ, command_list,
          "items:command_id,serial,kind,state,requested_by,approved_by,waits_for,error" },
        { "command.show", "command.read", "GET", "/v1/commands/{command}", "command show COMMAND",
          "One command: who, when, every try, and the meter's own proof", command_params,
          HR_OP_READ, command_show, "tries:n,began_at,outcome,detail" },
        { "command.approve", "command.approve", "POST", "/v1/commands/{command}/approve",
          "command approve COMMAND", "Release a command somebody else asked for", command_params,
          HR_OP_WRITE, command_approve, NULL },
        { "command.refuse", "command.approve", "POST", "/v1/commands/{command}/refuse",
          "command refuse COMMAND", "Refuse a command that was asked for", command_refuse_params,
          HR_OP_WRITE, command_refuse, NULL },
        { "command.cancel", "command.write", "POST", "/v1/commands/{command}/cancel",
          "command cancel COMMAND", "Withdraw a command that was not sent", command_params,
          HR_OP_WRITE, command_cancel, NULL },
        { "firmware.add", "firmware.write", "POST", "/v1/firmware", "firmware add",
          "Take in a firmware image", image_add_params, HR_OP_WRITE, image_add, NULL },
        { "firmware.list", "firmware.read", "GET", "/v1/firmware", "firmware list",
          "Firmware images", no_params, HR_OP_READ, image_list,
          "items:image_id,model,version,identifier,bytes,added_by,added_at" },
        { "campaign.create", "firmware.write", "POST", "/v1/campaigns", "campaign create",
          "Plan new firmware for many meters", campaign_create_params, HR_OP_WRITE,
          campaign_create, NULL },
        { "campaign.list", "firmware.read", "GET", "/v1/campaigns", "campaign list",
          "Firmware campaigns", no_params, HR_OP_READ, campaign_list,
          "items:campaign_id,model,version,state,created_by,created_at" },
        { "campaign.show", "firmware.read", "GET", "/v1/campaigns/{campaign}",
          "campaign show CAMPAIGN", "How far a firmware campaign is", campaign_params, HR_OP_READ,
          campaign_show, NULL },
        { "campaign.approve", "firmware.approve", "POST", "/v1/campaigns/{campaign}/approve",
          "campaign approve CAMPAIGN", "Release a firmware campaign somebody else planned",
          campaign_params, HR_OP_WRITE, campaign_approve, NULL },
        { "campaign.halt", "firmware.write", "POST", "/v1/campaigns/{campaign}/halt",
          "campaign halt CAMPAIGN", "Stop a firmware campaign: no further meter is begun",
          campaign_halt_params, HR_OP_WRITE, campaign_halt, NULL },
        { "campaign.resume", "firmware.approve", "POST", "/v1/campaigns/{campaign}/resume",
          "campaign resume CAMPAIGN", "Go on with a halted firmware campaign", campaign_params,
          HR_OP_WRITE, campaign_resume, NULL },
        { "group.list", "sweep.read", "GET", "/v1/read-groups", "group list",
          "Groups of meters in the schedule", no_params, HR_OP_READ, group_list,
          "items:name,priority,period_s,deadline_s,meters" },
        { "group.put", "sweep.write", "POST", "/v1/read-groups", "group put",
          "Add a group of the schedule or change it", group_put_params, HR_OP_WRITE, group_put,
          "items:name,priority,period_s,deadline_s,meters" },
        { "quarantine.suggest", "quarantine.read", "GET",
          "/v1/quarantine/{quarantine_id}/suggest", "quarantine suggest QUARANTINE_ID",
          "Channels for the objects of a message nobody has mapped, and a model to begin with",
          suggest_params, HR_OP_READ, quarantine_suggest,
          "items:obis,value,channel,unit,scaler,sure,why" },
        { 0 },
};

static const struct hr_config_key config_keys[] = {
        { "single_operator", "no",
          "Whether who asks for a command or campaign may also release it" },
        { 0 },
};

const struct hr_plugin collect_plugin = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "collect",
        .version = HEADRACE_VERSION,
        .summary = "Polled meters: read now, schedule, why a meter is unread, commands, firmware",
        .config = config_keys,
        .migrations = collect_ops_migrations,
        .operations = operations,
};
