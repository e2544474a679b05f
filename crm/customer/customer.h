#pragma once

/*
 * Operations of the customer plugin, one file a theme: find.c (search, list, the 360° view),
 * master.c (create, update, versions, bulk load), supply.c (contracts, meter exchange).
 * Each runs in its call's transaction and answers through the host.
 */

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "headrace/plugin.h"

extern const struct hr_host *customer_host;

/* Which other parts of the system the database holds. */
struct customer_present {
        bool invoice, bill, tariff, ledger, request, readings;
};

enum hr_status customer_look_around(struct hr_call *call, struct customer_present *ret);

/* The customer named by parameter "customer": an id or an account number. 404 when unknown. */
enum hr_status customer_find(struct hr_call *call, const char **ret_party, const char **ret_branch);

/* One statement whose single row and column "reply" is the whole answer. */
enum hr_status customer_reply(struct hr_call *call, const char *sql, size_t n,
                              const char *const params[]);

/* Appends ,"name":JSON to an object under construction. */
void customer_put_member(struct buf *b, const char *name, const char *json);

/* Replies with @b and frees it; HR_FATAL when it could not be built. */
enum hr_status customer_reply_buf(struct hr_call *call, struct buf *b);

enum hr_status customer_search(struct hr_call *call);
enum hr_status customer_list(struct hr_call *call);
enum hr_status customer_show(struct hr_call *call);
enum hr_status customer_create(struct hr_call *call);
enum hr_status customer_update(struct hr_call *call);
enum hr_status customer_history(struct hr_call *call);
enum hr_status customer_import(struct hr_call *call);
enum hr_status customer_contract_open(struct hr_call *call);
enum hr_status customer_contract_close(struct hr_call *call);
enum hr_status customer_meter_installations(struct hr_call *call);
enum hr_status customer_meter_exchange(struct hr_call *call);
