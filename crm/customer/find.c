#include <string.h>

#include "customer.h"
#include "customer_sql.h"

enum { SEARCH_DEFAULT = 20, LIST_DEFAULT = 50, READS_SHOWN = 24 };

static const char *limit_text(struct hr_call *call, int64_t otherwise)
{
        const char *text = customer_host->format(
                call, "%lld", (long long)customer_host->param_int(call, "limit", otherwise));

        return text ? text : "20";
}

/* The search itself: as typed, and once more with likely words when nothing was found. */
static enum hr_status search_run(struct hr_call *call, const char *q, const char *limit,
                                 struct hr_rows **ret)
{
        const char *params[] = { q, limit, "false" };
        enum hr_status s = customer_host->query(call, sql_search, 3, params, ret);

        if (s != HR_OK || customer_host->rows_int(*ret, 0, "n") > 0)
                return s;
        params[2] = "true";
        return customer_host->query(call, sql_search, 3, params, ret);
}

/* The items of an exact invoice number, NULL when there is none. */
static enum hr_status search_invoice(struct hr_call *call, const char *q, const char **ret)
{
        struct customer_present present;
        struct hr_rows *rows;
        enum hr_status s = customer_look_around(call, &present);

        *ret = NULL;
        if (s != HR_OK || !present.invoice || !strpbrk(q, "0123456789"))
                return s;
        s = customer_host->query(call, sql_search_invoice, 1, &q, &rows);
        if (s == HR_OK && customer_host->rows_count(rows))
                *ret = customer_host->rows_text(rows, 0, "items");
        return s;
}

enum hr_status customer_search(struct hr_call *call)
{
        const char *q = customer_host->param(call, "q");
        const char *items = NULL;
        struct buf b = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status s = search_invoice(call, q, &items);

        if (s == HR_OK && !items) {
                s = search_run(call, q, limit_text(call, SEARCH_DEFAULT), &rows);
                if (s == HR_OK)
                        items = customer_host->rows_text(rows, 0, "items");
        }
        if (s != HR_OK)
                return s;
        buf_put_str(&b, "{\"q\":");
        buf_put_json_str(&b, q, strlen(q));
        customer_put_member(&b, "items", items);
        buf_put_str(&b, "}");
        return customer_reply_buf(call, &b);
}

enum hr_status customer_list(struct hr_call *call)
{
        const char *q = customer_host->param(call, "q"),
                   *cursor = customer_host->param(call, "cursor");
        const char *params[] = { customer_host->param(call, "branch"), cursor ? cursor : "0",
                                 limit_text(call, LIST_DEFAULT), NULL };

        if (cursor && strspn(cursor, "0123456789") != strlen(cursor))
                return customer_host->reject(call, 400, "bad_cursor", "cursor",
                                             "Use the \"next\" of the page before as it is");
        if (q && *q) {
                const char *items;
                struct hr_rows *rows;
                enum hr_status s = search_run(call, q, "200", &rows);

                if (s == HR_OK) {
                        items = customer_host->rows_text(rows, 0, "items");
                        s = customer_host->query(call, sql_search_customers, 1, &items, &rows);
                }
                if (s != HR_OK)
                        return s;
                params[3] = customer_host->rows_text(rows, 0, "ids");
        }
        return customer_reply(call, sql_list, 4, params);
}

/* Use and register of one meter; looks back further and further until there is enough to show. */
static enum hr_status put_meter_reads(struct hr_call *call, struct buf *b, const char *meter,
                                      const char *commodity)
{
        static const char *const spans[] = { "3 days", "40 days", "400 days" };
        const char *params[] = { meter, commodity, NULL };
        struct hr_rows *rows;

        for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
                enum hr_status s;

                params[2] = spans[i];
                s = customer_host->query(call, sql_meter_reads, 3, params, &rows);
                if (s != HR_OK)
                        return s;
                if (customer_host->rows_int(rows, 0, "n") >= READS_SHOWN)
                        break;
        }
        buf_put_str(b, customer_host->rows_text(rows, 0, "reply"));
        return HR_OK;
}

static enum hr_status put_meters(struct hr_call *call, struct buf *b, const char *party)
{
        struct hr_rows *meters;
        enum hr_status s = customer_host->query(call, sql_meters_now, 1, &party, &meters);

        if (s != HR_OK)
                return s;
        buf_put_str(b, ",\"reads\":[");
        for (size_t i = 0; i < customer_host->rows_count(meters); i++) {
                buf_put_str(b, i ? "," : "");
                s = put_meter_reads(call, b, customer_host->rows_text(meters, i, "meter_id"),
                                    customer_host->rows_text(meters, i, "commodity"));
                if (s != HR_OK)
                        return s;
        }
        buf_put_str(b, "]");
        return HR_OK;
}

static enum hr_status put_part(struct hr_call *call, struct buf *b, const char *name, bool present,
                               const char *sql, const char *party)
{
        struct hr_rows *rows;
        enum hr_status s;

        if (!present) {
                customer_put_member(b, name, "[]");
                return HR_OK;
        }
        s = customer_host->query(call, sql, 1, &party, &rows);
        if (s == HR_OK)
                customer_put_member(b, name, customer_host->rows_text(rows, 0, "reply"));
        return s;
}

static enum hr_status put_view(struct hr_call *call, struct buf *b, const char *party)
{
        struct customer_present is;
        struct hr_rows *rows;
        const char *head;
        enum hr_status s = customer_look_around(call, &is);

        if (s == HR_OK)
                s = customer_host->query(call, sql_show, 1, &party, &rows);
        if (s != HR_OK)
                return s;
        head = customer_host->rows_text(rows, 0, "reply");
        buf_put(b, head, strlen(head) - 1); /* without its closing brace */
        s = put_part(call, b, "accounts", true, is.ledger ? sql_show_balances : sql_show_accounts,
                     party);
        if (s == HR_OK)
                s = put_part(call, b, "service_points", true, sql_show_service_points, party);
        if (s == HR_OK)
                s = put_part(call, b, "bills", is.bill, sql_show_bills, party);
        if (s == HR_OK)
                s = put_part(call, b, "invoices", is.invoice, sql_show_invoices, party);
        if (s == HR_OK)
                s = put_part(call, b, "requests", is.request, sql_show_requests, party);
        if (s == HR_OK && is.readings)
                s = put_meters(call, b, party);
        else if (s == HR_OK)
                customer_put_member(b, "reads", "[]");
        buf_put_str(b, "}");
        return s;
}

enum hr_status customer_show(struct hr_call *call)
{
        struct buf b = BUF_INIT;
        const char *party;
        enum hr_status s = customer_find(call, &party, NULL);

        if (s == HR_OK)
                s = put_view(call, &b, party);
        if (s == HR_OK)
                return customer_reply_buf(call, &b);
        buf_deinit(&b);
        return s;
}

enum hr_status customer_meter_installations(struct hr_call *call)
{
        const char *params[] = { customer_host->param(call, "meter") };

        return customer_reply(call, sql_meter_installations, 1, params);
}
