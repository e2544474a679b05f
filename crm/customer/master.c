#include <string.h>

#include "customer.h"
#include "customer_sql.h"
#include "phone.h"

/* The stored form of parameter "phone" in memory of the call; NULL in *@ret when it was not given.
 */
static enum hr_status phone_param(struct hr_call *call, const char **ret)
{
        const char *text = customer_host->param(call, "phone");
        char phone[PHONE_SIZE];

        *ret = NULL;
        if (!text)
                return HR_OK;
        if (phone_normalise(text, customer_host->config(call, "country_code"), phone) < 0)
                return customer_host->reject(call, 422, "bad_phone", "phone",
                                             "\"%s\" is no telephone number; give 3 to 15 digits, "
                                             "with + for a foreign one",
                                             text);
        *ret = customer_host->format(call, "%s", phone);
        return *ret ? HR_OK : HR_RETRY;
}

/* 409 naming the customer who is probably meant, unless the caller insists. */
static enum hr_status refuse_duplicate(struct hr_call *call, const char *phone)
{
        const char *params[] = { customer_host->param(call, "branch"),
                                 customer_host->param(call, "tax_id"), phone,
                                 customer_host->param(call, "name") };
        const char *force = customer_host->param(call, "force");
        struct hr_rows *rows;
        bool by_tax;
        enum hr_status s;

        s = customer_host->query(call, sql_create_match, 4, params, &rows);
        if (s != HR_OK || !customer_host->rows_count(rows))
                return s;
        by_tax = *customer_host->rows_text(rows, 0, "by_tax_id") == 't';
        if (!by_tax && force && !strcmp(force, "true"))
                return HR_OK;
        return customer_host->reject(
                call, 409, by_tax ? "same_tax_id" : "possible_duplicate",
                by_tax ? "tax_id" : "phone",
                "Customer %s, %s (account %s) has the same %s; open that customer%s",
                customer_host->rows_text(rows, 0, "party_id"),
                customer_host->rows_text(rows, 0, "name"),
                customer_host->rows_text(rows, 0, "accounts"),
                by_tax ? "tax number" : "phone and a similar name",
                by_tax ? "" : ", or send force=true for a second one");
}

static enum hr_status create_account(struct hr_call *call, const char *branch, const char *party)
{
        const char *params[] = { branch, party };
        struct hr_rows *rows;
        char *json;
        enum hr_status s = customer_host->query(call, sql_create_account, 2, params, &rows);

        if (s != HR_OK)
                return s;
        json = customer_host->format(call, "{\"customer\":%s,\"account\":\"%s\"}", party,
                                     customer_host->rows_text(rows, 0, "number"));
        if (!json)
                return HR_RETRY;
        customer_host->reply_status(call, 201);
        customer_host->reply_json(call, json, strlen(json));
        return customer_host->publish(call, "customer.created", party, json);
}

enum hr_status customer_create(struct hr_call *call)
{
        const char *kind = customer_host->param(call, "kind"), *phone;
        const char *params[7];
        struct hr_rows *rows;
        enum hr_status s = phone_param(call, &phone);

        if (s == HR_OK)
                s = refuse_duplicate(call, phone);
        if (s != HR_OK)
                return s;
        params[0] = customer_host->param(call, "branch");
        params[1] = kind ? kind : "person";
        params[2] = customer_host->param(call, "name");
        params[3] = customer_host->param(call, "tax_id");
        params[4] = phone;
        params[5] = customer_host->param(call, "email");
        params[6] = customer_host->param(call, "language");
        s = customer_host->query(call, sql_create_party, 7, params, &rows);
        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(
                        call, 422, "unknown_branch", "branch",
                        "Branch %s is not known, or not yours; see branch list", params[0]);
        return create_account(call, customer_host->rows_text(rows, 0, "branch_id"),
                              customer_host->rows_text(rows, 0, "party_id"));
}

enum hr_status customer_update(struct hr_call *call)
{
        const char *party, *phone, *version, *json;
        const char *keep[3], *change[7];
        struct hr_rows *rows;
        enum hr_status s = customer_find(call, &party, NULL);

        if (s == HR_OK)
                s = phone_param(call, &phone);
        if (s != HR_OK)
                return s;
        keep[0] = party;
        keep[1] = customer_host->actor(call);
        keep[2] = customer_host->param(call, "reason");
        s = customer_host->query(call, sql_update_version, 3, keep, &rows);
        if (s != HR_OK)
                return s;
        version = customer_host->rows_text(rows, 0, "version");
        change[0] = party;
        change[1] = customer_host->param(call, "name");
        change[2] = customer_host->param(call, "tax_id");
        change[3] = phone;
        change[4] = customer_host->param(call, "email");
        change[5] = customer_host->param(call, "language");
        change[6] = customer_host->param(call, "kind");
        s = customer_host->query(call, sql_update_party, 7, change, NULL);
        if (s != HR_OK)
                return s;
        json = customer_host->format(call, "{\"customer\":%s,\"version\":%s}", party, version);
        if (!json)
                return HR_RETRY;
        customer_host->reply_json(call, json, strlen(json));
        return customer_host->publish(call, "customer.changed", party, json);
}

enum hr_status customer_history(struct hr_call *call)
{
        const char *party;
        enum hr_status s = customer_find(call, &party, NULL);

        return s == HR_OK ? customer_reply(call, sql_history, 1, &party) : s;
}

enum hr_status customer_import(struct hr_call *call)
{
        const char *params[] = { customer_host->body(call) };

        return customer_reply(call, sql_import, 1, params);
}
