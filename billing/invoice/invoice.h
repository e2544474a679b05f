#pragma once

/* What the files of plugin "invoice" share. */

#include <string.h>

#include "buf.h"
#include "headrace/plugin.h"

extern const struct hr_host *invoice_host; /* set by init() */

/* Runs @sql with the parameters of these names and replies with column "doc" of its first row; 404
 * naming parameter @missing when there is none. */
enum hr_status invoice_query_doc(struct hr_call *call, const char *sql, size_t n,
                                 const char *const names[], const char *missing);

/* The PDF of an issued invoice: from the archive if it is there, else drawn. With @keep it is put
 * into the archive (a writing call or a job). Appended to @out. HR_REJECT with its reason when
 * there is no such invoice or its contents were altered. */
enum hr_status invoice_document(struct hr_call *call, const char *number, bool keep,
                                struct buf *out);
enum hr_status invoice_archive(struct hr_call *call, const char *number, const struct buf *pdf);

/* Operations and jobs of other files. */
enum hr_status invoice_op_template_list(struct hr_call *call);
enum hr_status invoice_op_template_show(struct hr_call *call);
enum hr_status invoice_op_template_draft(struct hr_call *call);
enum hr_status invoice_op_template_approve(struct hr_call *call);
enum hr_status invoice_op_template_withdraw(struct hr_call *call);
enum hr_status invoice_op_preview(struct hr_call *call);
enum hr_status invoice_op_message_add(struct hr_call *call);
enum hr_status invoice_op_message_list(struct hr_call *call);
enum hr_status invoice_op_message_end(struct hr_call *call);
enum hr_status invoice_op_print(struct hr_call *call);
enum hr_status invoice_job_print(struct hr_call *call, struct hr_job *job);
enum hr_status invoice_op_delivery_list(struct hr_call *call);
enum hr_status invoice_op_delivery_prefer(struct hr_call *call);
enum hr_status invoice_op_delivery_retry(struct hr_call *call);
enum hr_status invoice_op_delivery_bounce(struct hr_call *call);
enum hr_status invoice_op_delivery_run(struct hr_call *call);
enum hr_status invoice_job_deliver(struct hr_call *call, struct hr_job *job);
/* Starts the delivering job if there is something for it to do now. */
enum hr_status invoice_deliver_soon(struct hr_call *call, const char *number);

extern const struct hr_param invoice_template_list_params[], invoice_template_show_params[],
        invoice_template_draft_params[], invoice_draft_params[], invoice_preview_params[],
        invoice_message_params[], invoice_message_list_params[], invoice_message_end_params[],
        invoice_print_params[], invoice_delivery_list_params[], invoice_delivery_prefer_params[],
        invoice_delivery_params[], invoice_delivery_bounce_params[];
