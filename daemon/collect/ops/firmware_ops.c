/* Firmware images and campaigns. */

#include <string.h>

#include "collect_ops_internal.h"

enum { IMAGE_MAX = 8 << 20 };

const struct hr_param image_add_params[] = {
        { "model", HR_TEXT, HR_BODY, true, "Meter model it is for", NULL, 1, 63 },
        { "identifier", HR_TEXT, HR_BODY, true, "Identifier the meter is told", NULL, 1, 63 },
        { "version", HR_TEXT, HR_BODY, true, "Version the meter shows once it is active", NULL, 1,
          63 },
        { "image", HR_BYTES, HR_BODY, true, "The image, at most 8 MiB", NULL, 0, 0 },
        { 0 },
};
const struct hr_param campaign_create_params[] = {
        { "image", HR_INT, HR_BODY, true, "Number of the image", NULL, 1, INT32_MAX },
        { "branch", HR_TEXT, HR_BODY, false, "Only meters of this branch (code)", NULL, 1, 12 },
        { "serials", HR_JSON, HR_BODY, false, "Only these meters: array of serials", NULL, 0, 0 },
        { "window_from", HR_TEXT, HR_BODY, false, "Activation not before this hour, local HH:MM",
          NULL, 5, 5 },
        { "window_to", HR_TEXT, HR_BODY, false, "And not after, local HH:MM", NULL, 5, 5 },
        { "max_failed_percent", HR_INT, HR_BODY, false, "Halted when more fail; 10 when absent",
          NULL, 0, 100 },
        { "min_ended", HR_INT, HR_BODY, false, "Not judged on fewer meters; 5 when absent", NULL, 1,
          100000 },
        { 0 },
};
const struct hr_param campaign_params[] = {
        { "campaign", HR_INT, HR_PATH, true, "Number of the campaign", NULL, 1, INT32_MAX },
        { 0 },
};
const struct hr_param campaign_halt_params[] = {
        { "campaign", HR_INT, HR_PATH, true, "Number of the campaign", NULL, 1, INT32_MAX },
        { "reason", HR_TEXT, HR_BODY, true, "Why", NULL, 1, 200 },
        { 0 },
};

enum hr_status image_add(struct hr_call *call)
{
        const char *params[5] = { HOST->param(call, "model"), HOST->param(call, "identifier"),
                                  HOST->param(call, "version"), NULL, HOST->actor(call) };
        struct buf hex = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status st;
        const void *image;
        char *json;
        size_t n;

        image = HOST->param_bytes(call, "image", &n);
        if (!n || n > IMAGE_MAX)
                return HOST->reject(call, 422, "image_size", "image",
                                    "the image has %zu bytes; 1 to %d are taken", n, IMAGE_MAX);
        buf_put_hex(&hex, image, n);
        params[3] = buf_cstr(&hex);
        st = hex.failed ? HR_RETRY : HOST->query(call, sql_image_add, 5, params, &rows);
        buf_deinit(&hex);
        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 404, "unknown_model", "model", "there is no model %s",
                                    params[0]);
        json = HOST->format(call, "{\"image_id\":%s,\"digest\":\"%s\",\"bytes\":%s}",
                            HOST->rows_text(rows, 0, "image_id"),
                            HOST->rows_text(rows, 0, "digest"), HOST->rows_text(rows, 0, "bytes"));
        if (!json)
                return HR_RETRY;
        HOST->reply_status(call, 201);
        HOST->reply_json(call, json, strlen(json));
        return HR_OK;
}

enum hr_status image_list(struct hr_call *call)
{
        return ops_reply_items(call, sql_image_list, 0, NULL);
}

static enum hr_status show(struct hr_call *call, const char *id)
{
        return ops_reply_doc(call, sql_campaign_doc, 1, &id, "campaign");
}

enum hr_status campaign_create(struct hr_call *call)
{
        const char *single = ops_single_operator(call) ? "true" : "false", *id;
        const char *params[] = { HOST->param(call, "image"),
                                 ops_text(call, "window_from", ""),
                                 ops_text(call, "window_to", ""),
                                 ops_number(call, HOST->param_int(call, "max_failed_percent", 10)),
                                 ops_number(call, HOST->param_int(call, "min_ended", 5)),
                                 HOST->actor(call),
                                 single };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql_campaign_create, 7, params, &rows);

        if (st != HR_OK)
                return st;
        id = HOST->rows_text(rows, 0, "campaign_id");
        const char *each[] = { id, ops_text(call, "branch", ""), ops_text(call, "serials", "[]"),
                               HOST->actor(call), single };

        st = HOST->query(call, sql_campaign_commands, 5, each, &rows);
        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 422, "no_meters", "image",
                                    "no active meter of the image's model is there that has no open "
                                    "firmware command");
        HOST->reply_status(call, 201);
        return show(call, id);
}

enum hr_status campaign_list(struct hr_call *call)
{
        return ops_reply_items(call, sql_campaign_list, 0, NULL);
}

enum hr_status campaign_show(struct hr_call *call)
{
        return show(call, HOST->param(call, "campaign"));
}

static enum hr_status wrong_state(struct hr_call *call, const char *wanted)
{
        return HOST->reject(call, 409, "wrong_state", "campaign",
                            "campaign %s is not there or in a state from which it cannot be %s",
                            HOST->param(call, "campaign"), wanted);
}

enum hr_status campaign_approve(struct hr_call *call)
{
        const char *params[] = { HOST->param(call, "campaign"), HOST->actor(call) };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql_campaign_approve, 2, params, &rows);

        if (st == HR_OK && !HOST->rows_count(rows))
                return wrong_state(call, "released");
        if (st == HR_OK)
                st = HOST->query(call, sql_campaign_release, 2, params, NULL);
        return st == HR_OK ? show(call, params[0]) : st;
}

static enum hr_status set_state(struct hr_call *call, const char *state, const char *why)
{
        const char *params[] = { HOST->param(call, "campaign"), state, why };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(call, sql_campaign_set, 3, params, &rows);

        if (st == HR_OK && !HOST->rows_count(rows))
                return wrong_state(call, state);
        if (st == HR_OK && !strcmp(state, "running"))
                st = HOST->query(call, sql_campaign_wake, 1, params, NULL);
        return st == HR_OK ? show(call, params[0]) : st;
}

enum hr_status campaign_halt(struct hr_call *call)
{
        return set_state(call, "halted", HOST->param(call, "reason"));
}

enum hr_status campaign_resume(struct hr_call *call)
{
        return set_state(call, "running", "");
}
