#include "customer.h"

#include <string.h>

#include "customer_sql.h"

const struct hr_host *customer_host;

enum hr_status customer_look_around(struct hr_call *call, struct customer_present *ret)
{
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_present, 0, NULL, &rows);

        if (s != HR_OK)
                return s;
        *ret = (struct customer_present){
                .invoice = *customer_host->rows_text(rows, 0, "invoice") == 't',
                .bill = *customer_host->rows_text(rows, 0, "bill") == 't',
                .tariff = *customer_host->rows_text(rows, 0, "tariff") == 't',
                .ledger = *customer_host->rows_text(rows, 0, "ledger") == 't',
                .request = *customer_host->rows_text(rows, 0, "request") == 't',
                .readings = *customer_host->rows_text(rows, 0, "readings") == 't',
        };
        return HR_OK;
}

enum hr_status customer_find(struct hr_call *call, const char **ret_party, const char **ret_branch)
{
        const char *params[] = { customer_host->param(call, "customer") };
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_party_of, 1, params, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(
                        call, 404, "unknown_customer", "customer",
                        "No customer or account %s in your branches; search for the name or phone",
                        params[0]);
        *ret_party = customer_host->rows_text(rows, 0, "party_id");
        if (ret_branch)
                *ret_branch = customer_host->rows_text(rows, 0, "branch_id");
        return HR_OK;
}

enum hr_status customer_reply(struct hr_call *call, const char *sql, size_t n,
                              const char *const params[])
{
        struct hr_rows *rows;
        const char *json;
        enum hr_status s = customer_host->query(call, sql, n, params, &rows);

        if (s != HR_OK)
                return s;
        json = customer_host->rows_text(rows, 0, "reply");
        customer_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

void customer_put_member(struct buf *b, const char *name, const char *json)
{
        buf_printf(b, ",\"%s\":", name);
        buf_put_str(b, json);
}

enum hr_status customer_reply_buf(struct hr_call *call, struct buf *b)
{
        enum hr_status s = b->failed ? HR_FATAL : HR_OK;

        if (s == HR_OK)
                customer_host->reply_json(call, (const char *)b->p, b->len);
        buf_deinit(b);
        return s;
}
