#include <stdlib.h>
#include <string.h>

#include "customer.h"
#include "customer_sql.h"

struct point {
        const char *id, *branch, *commodity, *state;
};

static enum hr_status find_point(struct hr_call *call, const char *code, const char *param,
                                 struct point *ret)
{
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_service_point, 1, &code, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(call, 404, "unknown_service_point", param,
                                             "No service point %s in your branches", code);
        ret->id = customer_host->rows_text(rows, 0, "service_point_id");
        ret->branch = customer_host->rows_text(rows, 0, "branch_id");
        ret->commodity = customer_host->rows_text(rows, 0, "commodity");
        ret->state = customer_host->rows_text(rows, 0, "state");
        return HR_OK;
}

/* Account of the contract to be: open, and in the service point's branch. */
static enum hr_status find_account(struct hr_call *call, const struct point *point,
                                   const char **ret)
{
        const char *number = customer_host->param(call, "account");
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_account, 1, &number, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(
                        call, 422, "unknown_account", "account",
                        "No account %s in your branches; create the customer first", number);
        if (strcmp(customer_host->rows_text(rows, 0, "branch_id"), point->branch) != 0)
                return customer_host->reject(
                        call, 422, "other_branch", "account",
                        "Account %s belongs to another branch than the service point", number);
        if (strcmp(customer_host->rows_text(rows, 0, "status"), "open") != 0)
                return customer_host->reject(call, 422, "account_closed", "account",
                                             "Account %s is closed; open a new one", number);
        *ret = customer_host->rows_text(rows, 0, "account_id");
        return HR_OK;
}

static enum hr_status check_tariff(struct hr_call *call)
{
        const char *code = customer_host->param(call, "tariff");
        struct customer_present is;
        struct hr_rows *rows;
        enum hr_status s = customer_look_around(call, &is);

        if (s != HR_OK || !is.tariff)
                return s;
        s = customer_host->query(call, sql_tariff_known, 1, &code, &rows);
        if (s != HR_OK || *customer_host->rows_text(rows, 0, "known") == 't')
                return s;
        return customer_host->reject(call, 422, "unknown_tariff", "tariff",
                                     "There is no tariff %s; see the tariff list", code);
}

enum hr_status customer_contract_open(struct hr_call *call)
{
        const char *code = customer_host->param(call, "service_point"), *account, *json;
        struct point point;
        struct hr_rows *rows;
        enum hr_status s = find_point(call, code, "service_point", &point);

        if (s == HR_OK && !strcmp(point.state, "removed"))
                return customer_host->reject(call, 422, "point_removed", "service_point",
                                             "Service point %s was removed from the network", code);
        if (s == HR_OK)
                s = find_account(call, &point, &account);
        if (s == HR_OK)
                s = check_tariff(call);
        if (s != HR_OK)
                return s;

        const char *params[] = { point.branch,
                                 customer_host->param(call, "number"),
                                 account,
                                 point.id,
                                 customer_host->param(call, "tariff"),
                                 customer_host->param(call, "class"),
                                 customer_host->param(call, "cycle"),
                                 customer_host->param(call, "from"),
                                 customer_host->param(call, "params") };

        s = customer_host->query(call, sql_contract_open, 9, params, &rows);
        if (s != HR_OK)
                return s;
        json = customer_host->rows_text(rows, 0, "reply");
        customer_host->reply_status(call, 201);
        customer_host->reply_json(call, json, strlen(json));
        return customer_host->publish(call, "contract.opened",
                                      customer_host->rows_text(rows, 0, "number"), json);
}

enum hr_status customer_contract_close(struct hr_call *call)
{
        const char *number = customer_host->param(call, "number"),
                   *to = customer_host->param(call, "to");
        const char *find[] = { number, to }, *close[4], *json;
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_contract, 2, find, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(call, 404, "unknown_contract", "number",
                                             "No contract %s in your branches", number);
        if (*customer_host->rows_text(rows, 0, "running") != 't')
                return customer_host->reject(call, 409, "already_closed", "number",
                                             "Contract %s already ended before %s", number,
                                             customer_host->rows_text(rows, 0, "to_day"));
        if (*customer_host->rows_text(rows, 0, "after_begin") != 't')
                return customer_host->reject(call, 422, "ends_before_begin", "to",
                                             "Contract %s began on %s; \"to\" is the first day it "
                                             "no longer covers and must be later",
                                             number, customer_host->rows_text(rows, 0, "from_day"));
        close[0] = customer_host->rows_text(rows, 0, "contract_id");
        close[1] = to;
        close[2] = customer_host->param(call, "reason");
        close[3] = customer_host->param(call, "final_read");
        s = customer_host->query(call, sql_contract_close, 4, close, &rows);
        if (s != HR_OK)
                return s;
        json = customer_host->rows_text(rows, 0, "reply");
        customer_host->reply_json(call, json, strlen(json));
        return customer_host->publish(call, "contract.closed", number, json);
}

struct device {
        const char *installation, *meter, *serial;
};

/* The installation that is to end: the running one, begun before @at. */
static enum hr_status find_installed(struct hr_call *call, const struct point *point,
                                     const char *at, struct device *ret)
{
        const char *params[] = { point->id, at }, *low[2];
        struct hr_rows *rows, *lower;
        enum hr_status s = customer_host->query(call, sql_installed, 2, params, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows) ||
            *customer_host->rows_text(rows, 0, "running") != 't')
                return customer_host->reject(call, 409, "no_meter", "code",
                                             "No meter is installed at this service point now; "
                                             "there is nothing to exchange");
        if (*customer_host->rows_text(rows, 0, "covers") != 't')
                return customer_host->reject(
                        call, 422, "before_installation", "at",
                        "Meter %s was installed at %s; the exchange must be later",
                        customer_host->rows_text(rows, 0, "serial"),
                        customer_host->rows_text(rows, 0, "since"));
        ret->installation = customer_host->rows_text(rows, 0, "installation_id");
        ret->meter = customer_host->rows_text(rows, 0, "meter_id");
        ret->serial = customer_host->rows_text(rows, 0, "serial");

        low[0] = customer_host->rows_text(rows, 0, "start_read");
        low[1] = customer_host->param(call, "final_read");
        s = customer_host->query(call, sql_lower_read, 2, low, &lower);
        if (s != HR_OK || !customer_host->rows_count(lower))
                return s;
        return customer_host->reject(
                call, 422, "read_below_start", "final_read",
                "%s: the final read %s is below the start read %s; check the digits",
                customer_host->rows_text(lower, 0, "key"),
                customer_host->rows_text(lower, 0, "final"),
                customer_host->rows_text(lower, 0, "start"));
}

static enum hr_status find_new_meter(struct hr_call *call, const struct point *point,
                                     const char **ret)
{
        const char *serial = customer_host->param(call, "meter");
        const char *params[] = { serial, customer_host->param(call, "maker"), point->branch };
        struct hr_rows *rows;
        enum hr_status s = customer_host->query(call, sql_meter_by_serial, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (!customer_host->rows_count(rows))
                return customer_host->reject(
                        call, 422, "unknown_meter", "meter",
                        "Meter %s is not registered in this branch; import it first", serial);
        if (customer_host->rows_count(rows) > 1)
                return customer_host->reject(call, 422, "ambiguous_meter", "maker",
                                             "Several makers have a meter %s; name the maker",
                                             serial);
        if (strcmp(customer_host->rows_text(rows, 0, "commodity"), point->commodity) != 0)
                return customer_host->reject(call, 422, "other_commodity", "meter",
                                             "Meter %s measures %s, the service point is for %s",
                                             serial, customer_host->rows_text(rows, 0, "commodity"),
                                             point->commodity);
        if (!strcmp(customer_host->rows_text(rows, 0, "state"), "scrapped"))
                return customer_host->reject(call, 422, "meter_scrapped", "meter",
                                             "Meter %s was scrapped", serial);
        *ret = customer_host->rows_text(rows, 0, "meter_id");
        return HR_OK;
}

static enum hr_status exchange(struct hr_call *call, const struct point *point,
                               const struct device *old, const char *new_meter, const char *at)
{
        const char *end[] = { old->installation, at, customer_host->param(call, "final_read") };
        const char *begin[] = { point->id, new_meter, at, customer_host->param(call, "multiplier"),
                                customer_host->param(call, "start_read") };
        const char *states[] = { old->meter, new_meter };
        enum hr_status s = customer_host->query(call, sql_exchange_end, 3, end, NULL);

        if (s == HR_OK)
                s = customer_host->query(call, sql_exchange_begin, 5, begin, NULL);
        if (s == HR_OK)
                s = customer_host->query(call, sql_meter_states, 2, states, NULL);
        return s;
}

enum hr_status customer_meter_exchange(struct hr_call *call)
{
        const char *code = customer_host->param(call, "code"),
                   *at = customer_host->param(call, "at");
        const char *new_meter, *report[6], *json;
        struct point point;
        struct device old;
        struct hr_rows *rows;
        enum hr_status s = find_point(call, code, "code", &point);

        if (s == HR_OK)
                s = customer_host->query(call, sql_far_future, 1, &at, &rows);
        if (s == HR_OK && *customer_host->rows_text(rows, 0, "far") == 't')
                return customer_host->reject(
                        call, 422, "in_future", "at",
                        "An exchange is entered when it was done; %s lies ahead", at);
        if (s == HR_OK)
                s = find_installed(call, &point, at, &old);
        if (s == HR_OK)
                s = find_new_meter(call, &point, &new_meter);
        if (s == HR_OK && !strcmp(old.meter, new_meter))
                return customer_host->reject(call, 422, "same_meter", "meter",
                                             "Meter %s is the one installed there", old.serial);
        if (s == HR_OK)
                s = exchange(call, &point, &old, new_meter, at);
        if (s != HR_OK)
                return s;
        report[0] = code;
        report[1] = old.serial;
        report[2] = customer_host->param(call, "meter");
        report[3] = at;
        report[4] = customer_host->param(call, "reason");
        s = customer_host->query(call, sql_exchange_report, 5, report, &rows);
        if (s != HR_OK)
                return s;
        json = customer_host->rows_text(rows, 0, "reply");
        customer_host->reply_json(call, json, strlen(json));
        return customer_host->publish(call, "meter.exchanged", code, json);
}
