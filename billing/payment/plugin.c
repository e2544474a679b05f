/* Plugin "payment": money received, once per channel and reference, in the ledger, settled with the
 * oldest debt; what nobody can be found for waits in suspense. */

#include <string.h>

#include "buf.h"
#include "decimal.h"
#include "headrace/plugin.h"
#include "payment_sql.h"

static const struct hr_host *host;

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

static enum hr_status show(struct hr_call *call, const char *payment, const char *repeated,
                           struct hr_rows **ret)
{
        const char *params[] = { payment, repeated };
        const char *doc;
        enum hr_status s = host->query(call, sql_payment_show, 2, params, ret);

        if (s != HR_OK)
                return s;
        if (host->rows_count(*ret) == 0)
                return host->reject(call, 404, "unknown_payment", "payment",
                                    "There is no payment %s", payment);
        doc = host->rows_text(*ret, 0, "doc");
        host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

static enum hr_status publish(struct hr_call *call, const char *type, const char *payment,
                              const struct hr_rows *rows)
{
        const char *account = host->rows_text(rows, 0, "account");
        struct buf json = BUF_INIT;
        enum hr_status s;

        buf_printf(&json, "{\"payment\":%s,\"amount\":%s,\"currency\":\"%s\",\"account\":", payment,
                   host->rows_text(rows, 0, "amount"), host->rows_text(rows, 0, "currency"));
        buf_put_json_str(&json, account, strlen(account));
        buf_printf(&json, ",\"receipt\":\"%s\"}", host->rows_text(rows, 0, "receipt"));
        s = host->publish(call, type, payment, buf_cstr(&json));
        buf_deinit(&json);
        return s;
}

/* Account, branch and currency the money belongs to. */
static enum hr_status find_target(struct hr_call *call, struct hr_rows **ret)
{
        const char *params[] = { host->param(call, "account"), host->param(call, "invoice"),
                                 host->param(call, "branch") };
        const char *currency = host->param(call, "currency");
        enum hr_status s = host->query(call, sql_payment_target, 3, params, ret);

        if (s != HR_OK)
                return s;
        if (host->rows_count(*ret) == 0)
                return host->reject(call, 422, "branch_needed", "branch",
                                    "No account is known by that number; name the branch that "
                                    "received the money, "
                                    "so that it can wait there");
        if (host->rows_text(*ret, 0, "contradiction")[0] == 't')
                return host->reject(call, 422, "account_contradicts_invoice", "account",
                                    "Invoice %s belongs to another account than %s", params[1],
                                    params[0]);
        if (currency && strcmp(currency, host->rows_text(*ret, 0, "currency")) != 0)
                return host->reject(call, 422, "wrong_currency", "currency",
                                    "Branch %s keeps its books in %s, not %s",
                                    host->rows_text(*ret, 0, "branch"),
                                    host->rows_text(*ret, 0, "currency"), currency);
        return HR_OK;
}

/* A number or a text, but whole and above zero. */
static enum hr_status check_amount(struct hr_call *call)
{
        const char *text = host->param(call, "amount");
        struct decimal amount;

        if (decimal_parse(text, &amount) != 0 || amount.scale != 0 || amount.m <= 0 ||
            amount.m > 1000000000000000)
                return host->reject(call, 422, "bad_amount", "amount",
                                    "%s is no amount; give whole minor units above zero, such as "
                                    "12050 for 120.50",
                                    text);
        return HR_OK;
}

static enum hr_status op_post(struct hr_call *call)
{
        const char *channel = host->param(call, "channel"),
                   *reference = host->param(call, "reference");
        const char *account = host->param(call, "account"), *invoice = host->param(call, "invoice"),
                   *payment;
        struct hr_rows *target, *rows;
        enum hr_status s = check_amount(call);
        bool repeated;

        if (s == HR_OK)
                s = find_target(call, &target);
        if (s != HR_OK)
                return s;
        const char *params[] = {
                host->rows_text(target, 0, "branch_id"),
                channel,
                reference,
                host->param(call, "amount"),
                host->rows_text(target, 0, "currency"),
                host->rows_null(target, 0, "account_id") ? NULL
                                                         : host->rows_text(target, 0, "account_id"),
                host->rows_null(target, 0, "invoice") ? NULL
                                                      : host->rows_text(target, 0, "invoice"),
                invoice   ? invoice
                : account ? account
                          : "",
                host->param(call, "paid_at"),
                host->actor(call),
        };

        s = host->query(call, sql_payment_post, 10, params, &rows);
        if (s != HR_OK)
                return s;
        if (host->rows_text(rows, 0, "same")[0] != 't')
                return host->reject(call, 409, "reference_used", "reference",
                                    "A payment with reference %s is already posted over %s with "
                                    "another amount or payer",
                                    reference, channel);
        payment = host->rows_text(rows, 0, "payment_id");
        repeated = host->rows_text(rows, 0, "repeated")[0] == 't';
        s = show(call, payment, repeated ? "true" : "false", &rows);
        if (s != HR_OK || repeated)
                return s;
        host->reply_status(call, 201);
        return publish(call, "payment.posted", payment, rows);
}

static enum hr_status op_reverse(struct hr_call *call)
{
        const char *payment = host->param(call, "payment");
        const char *params[] = { payment, host->param(call, "reason"), host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = show(call, payment, "false", &rows);

        if (s == HR_OK)
                s = host->query(call, sql_payment_reverse, 3, params, NULL);
        if (s == HR_OK)
                s = show(call, payment, "false", &rows);
        return s == HR_OK ? publish(call, "payment.reversed", payment, rows) : s;
}

static enum hr_status op_show(struct hr_call *call)
{
        struct hr_rows *rows;

        return show(call, host->param(call, "payment"), "false", &rows);
}

static enum hr_status op_list(struct hr_call *call)
{
        static const char *const names[] = { "account",  "branch", "channel", "state",
                                             "suspense", "cursor", "limit" };
        const char *params[7], *doc;
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < 7; i++)
                params[i] = host->param(call, names[i]);
        s = host->query(call, sql_payment_list, 7, params, &rows);
        if (s != HR_OK)
                return s;
        doc = host->rows_text(rows, 0, "doc");
        host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

static const struct hr_param post_params[] = {
        { "channel", HR_TEXT, HR_BODY, true, "How it came: cash, bank, or a gateway's name", NULL,
          1, 32 },
        { "reference", HR_TEXT, HR_BODY, true, "The channel's own number; posted once only", NULL,
          1, 128 },
        { "amount", HR_DECIMAL, HR_BODY, true, "Whole minor units: cents, dong" },
        { "currency", HR_TEXT, HR_BODY, false, "Currency, the branch's when absent", NULL, 3, 3 },
        { "account", HR_TEXT, HR_BODY, false, "Account number" },
        { "invoice", HR_TEXT, HR_BODY, false, "Invoice number; its debt is settled first" },
        { "branch", HR_TEXT, HR_BODY, false,
          "Branch that keeps the money when nobody is found for it" },
        { "paid_at", HR_TIME, HR_BODY, false, "When it was paid, now when absent" },
        { 0 },
};

static const struct hr_param payment_params[] = {
        { "payment", HR_INT, HR_PATH, true, "Number of the payment", NULL, 1, INT64_MAX },
        { 0 },
};

static const struct hr_param reverse_params[] = {
        { "payment", HR_INT, HR_PATH, true, "Number of the payment", NULL, 1, INT64_MAX },
        { "reason", HR_TEXT, HR_BODY, true, "Why, for the audit trail", NULL, 3, 500 },
        { 0 },
};

static const struct hr_param list_params[] = {
        { "account", HR_TEXT, HR_QUERY, false, "Only this account's" },
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { "channel", HR_TEXT, HR_QUERY, false, "Only this channel" },
        { "state", HR_TEXT, HR_QUERY, false, "Only this state", "posted|reversed" },
        { "suspense", HR_BOOL, HR_QUERY, false,
          "Only those nobody is found for, or only the others" },
        { "cursor", HR_INT, HR_QUERY, false, "`next` of the last page", NULL, 1, INT64_MAX },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

static const struct hr_operation operations[] = {
        { "payment.post", "payment.write", "POST", "/v1/payments", "payment post",
          "Post a payment; the same channel and reference again changes nothing", post_params,
          HR_OP_WRITE, op_post },
        { "payment.list", "payment.read", "GET", "/v1/payments", "payment list",
          "Payments received", list_params, HR_OP_READ, op_list,
          "items:payment,receipt,paid_at,channel,reference,account,amount,currency,state" },
        { "payment.show", "payment.read", "GET", "/v1/payments/{payment}", "payment show PAYMENT",
          "One payment and the debts it settled", payment_params, HR_OP_READ, op_show },
        { "payment.reverse", "payment.write", "POST", "/v1/payments/{payment}/reverse",
          "payment reverse PAYMENT", "Reverse a payment; the debts it settled are open again",
          reverse_params, HR_OP_WRITE | HR_OP_CONFIRM, op_reverse },
        { 0 },
};

static const char *const needs[] = { "ledger", "invoice", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "payment",
        .version = HEADRACE_VERSION,
        .summary = "Payments, receipts and their allocation",
        .needs = needs,
        .migrations = payment_migrations,
        .operations = operations,
        .init = init,
};
