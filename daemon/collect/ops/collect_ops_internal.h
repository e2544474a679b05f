#pragma once

/* What the files of the collect role's operations share. */

#include "buf.h"
#include "collect.h"
#include "collect_ops.h"
#include "collect_ops_sql.h"
#include "host.h"

#define HOST host_table

struct collect *ops_collect(struct hr_call *call);
enum hr_status ops_no_collect(struct hr_call *call);
/* The text of @name, or @otherwise. */
const char *ops_text(struct hr_call *call, const char *name, const char *otherwise);
const char *ops_number(struct hr_call *call, int64_t v);
/* The meter by number or serial, as far as the caller may see it: row-level security decides. */
enum hr_status ops_find_meter(struct hr_call *call, const char *text, uint32_t *ret);
/* One query whose first row has the reply in column "doc"; no row: 404. */
enum hr_status ops_reply_doc(struct hr_call *call, const char *sql, size_t n,
                             const char *const params[], const char *what);
/* The rows of column "items" as {"items": ...}. */
enum hr_status ops_reply_items(struct hr_call *call, const char *sql, size_t n,
                               const char *const params[]);
bool ops_single_operator(struct hr_call *call);

extern const struct hr_param command_request_params[], command_list_params[], command_params[],
        command_refuse_params[], protect_params[], meter_params[], causes_params[], events_params[],
        image_add_params[], campaign_create_params[], campaign_params[], campaign_halt_params[],
        group_put_params[], suggest_params[];

enum hr_status command_request(struct hr_call *call);
enum hr_status command_list(struct hr_call *call);
enum hr_status command_show(struct hr_call *call);
enum hr_status command_approve(struct hr_call *call);
enum hr_status command_refuse(struct hr_call *call);
enum hr_status command_cancel(struct hr_call *call);
enum hr_status meter_protect(struct hr_call *call);
enum hr_status meter_unprotect(struct hr_call *call);

enum hr_status meter_state(struct hr_call *call);
enum hr_status meter_causes(struct hr_call *call);
enum hr_status meter_events(struct hr_call *call);
enum hr_status group_list(struct hr_call *call);
enum hr_status group_put(struct hr_call *call);
enum hr_status quarantine_suggest(struct hr_call *call);

enum hr_status image_add(struct hr_call *call);
enum hr_status image_list(struct hr_call *call);
enum hr_status campaign_create(struct hr_call *call);
enum hr_status campaign_list(struct hr_call *call);
enum hr_status campaign_show(struct hr_call *call);
enum hr_status campaign_approve(struct hr_call *call);
enum hr_status campaign_halt(struct hr_call *call);
enum hr_status campaign_resume(struct hr_call *call);
