#include "tariff.h"
#include "tariff_sql.h"

const struct hr_host *tariff_host;

static enum hr_status init(const struct hr_host *host)
{
        tariff_host = host;
        return HR_OK;
}

static const struct hr_param list_params[] = {
        { "commodity", HR_TEXT, HR_QUERY, false, "only tariffs for this",
          "electricity|water|gas|heat|any" },
        { "state", HR_TEXT, HR_QUERY, false, "only versions in this state",
          "draft|test|approved|active|retired" },
        { NULL },
};
static const struct hr_param show_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "tariff code" },
        { "version", HR_INT, HR_QUERY, false, "version; the one in force otherwise", NULL, 1,
          1000000 },
        { NULL },
};
static const struct hr_param create_params[] = {
        { "document", HR_JSON, HR_BODY, true, "tariff document, schema headrace-tariff-v1" },
        { "branch", HR_TEXT, HR_BODY, false, "branch code; all branches otherwise" },
        { "from", HR_DATE, HR_BODY, false,
          "first day, local; the document's valid_from or today otherwise" },
        { NULL },
};
static const struct hr_param import_params[] = {
        { "format", HR_TEXT, HR_BODY, true, "format of the published tariff", "urdb|owrs|csv" },
        { "source", HR_TEXT, HR_BODY, true, "the published tariff as text" },
        { "code", HR_TEXT, HR_BODY, false, "code of the tariff; made from its names otherwise" },
        { "currency", HR_TEXT, HR_BODY, false, "currency, where the format does not say" },
        { "class", HR_TEXT, HR_BODY, false, "owrs: customer class" },
        { "facts", HR_JSON, HR_BODY, false, "owrs: what prices depend on, name to value" },
        { "branch", HR_TEXT, HR_BODY, false, "branch code; all branches otherwise" },
        { "from", HR_DATE, HR_BODY, false, "first day, local; the source's otherwise" },
        { NULL },
};
static const struct hr_param test_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "tariff code" },
        { "version", HR_INT, HR_BODY, false, "version; the newest otherwise", NULL, 1, 1000000 },
        { NULL },
};
static const struct hr_param diff_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "tariff code" },
        { "before", HR_INT, HR_QUERY, false, "version; the one before the other otherwise", NULL, 1,
          1000000 },
        { "after", HR_INT, HR_QUERY, false, "version; the newest otherwise", NULL, 1, 1000000 },
        { NULL },
};
static const struct hr_param compare_params[] = {
        { "account", HR_TEXT, HR_BODY, false, "account whose readings are rated; or an input" },
        { "service_point", HR_TEXT, HR_BODY, false, "which of the account's service points" },
        { "input", HR_JSON, HR_BODY, false, "quantities or interval series to rate" },
        { "from", HR_DATE, HR_BODY, false, "with account: first day, local" },
        { "to", HR_DATE, HR_BODY, false, "with account: first day no longer billed, local" },
        { "codes", HR_JSON, HR_BODY, false,
          "list of tariff codes; all in force for the commodity otherwise" },
        { NULL },
};
static const struct hr_param state_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "tariff code" },
        { "version", HR_INT, HR_BODY, false, "version; the newest otherwise", NULL, 1, 1000000 },
        { "from", HR_DATE, HR_BODY, false, "first day, local; as created otherwise" },
        { NULL },
};
static const struct hr_param whatif_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "tariff code" },
        { "version", HR_INT, HR_BODY, false, "version; the one in force otherwise", NULL, 1,
          1000000 },
        { "document", HR_JSON, HR_BODY, false, "tariff document to try instead of a stored one" },
        { "input", HR_JSON, HR_BODY, false,
          "quantities or interval series to rate; or give an account" },
        { "account", HR_TEXT, HR_BODY, false, "account whose readings are rated" },
        { "service_point", HR_TEXT, HR_BODY, false, "which of the account's service points" },
        { "from", HR_DATE, HR_BODY, false, "with account: first day, local" },
        { "to", HR_DATE, HR_BODY, false, "with account: first day no longer billed, local" },
        { NULL },
};
static const struct hr_param holiday_list_params[] = {
        { "calendar", HR_TEXT, HR_QUERY, false, "only this calendar" },
        { NULL },
};
static const struct hr_param holiday_put_params[] = {
        { "calendar", HR_TEXT, HR_PATH, true, "calendar, such as VN" },
        { "days", HR_JSON, HR_BODY, true, "list of day, name" },
        { NULL },
};

static const struct hr_operation operations[] = {
        { "tariff.list", "tariff.read", "GET", "/v1/tariffs", "tariff list",
          "List tariffs and their versions", list_params, HR_OP_READ, tariff_list,
          "items:code,version,state,from,to,name,commodity,currency" },
        { "tariff.show", "tariff.read", "GET", "/v1/tariffs/{code}", "tariff show CODE",
          "A tariff version with its document", show_params, HR_OP_READ, tariff_show, NULL },
        { "tariff.create", "tariff.write", "POST", "/v1/tariffs", "tariff create",
          "Take in a tariff document as a draft version", create_params, HR_OP_WRITE, tariff_create,
          NULL },
        { "tariff.import", "tariff.write", "POST", "/v1/tariffs/import", "tariff import-draft",
          "Take in a published tariff of another format as a draft version", import_params,
          HR_OP_WRITE, tariff_import, NULL },
        { "tariff.test", "tariff.write", "POST", "/v1/tariffs/{code}/test", "tariff test CODE",
          "Run a version's own example bills; a draft that holds becomes tested", test_params,
          HR_OP_WRITE, tariff_test, NULL },
        { "tariff.diff", "tariff.read", "GET", "/v1/tariffs/{code}/diff", "tariff diff CODE",
          "What two versions say differently", diff_params, HR_OP_READ, tariff_diff,
          "items:path,before,after" },
        { "tariff.compare", "tariff.read", "POST", "/v1/tariffs/compare", "tariff compare",
          "What the same use costs under several tariffs", compare_params, HR_OP_WRITE,
          tariff_compare, "items:code,version,name,total,currency,reason" },
        { "tariff.approve", "tariff.approve", "POST", "/v1/tariffs/{code}/approve",
          "tariff approve CODE", "Approve a version another person created", state_params,
          HR_OP_WRITE, tariff_approve, NULL },
        { "tariff.activate", "tariff.approve", "POST", "/v1/tariffs/{code}/activate",
          "tariff activate CODE", "Put a version in force; its own example bills must hold",
          state_params, HR_OP_WRITE, tariff_activate, NULL },
        { "tariff.whatif", "tariff.read", "POST", "/v1/tariffs/{code}/whatif", "tariff whatif CODE",
          "What a bill would be under this tariff", whatif_params, HR_OP_WRITE, tariff_whatif,
          "lines:code,text,quantity,unit,price,amount" },
        { "tariff.holidays", "tariff.read", "GET", "/v1/holidays", "tariff holidays",
          "List public holidays", holiday_list_params, HR_OP_READ, tariff_holidays,
          "items:calendar,day,name" },
        { "tariff.set_holidays", "tariff.write", "POST", "/v1/holidays/{calendar}",
          "tariff set-holidays CALENDAR", "Enter public holidays", holiday_put_params, HR_OP_WRITE,
          tariff_set_holidays, NULL },
        { NULL },
};

static const char *const needs[] = { "customer", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "tariff",
        .version = HEADRACE_VERSION,
        .summary = "Tariffs as documents with versions, example bills and what-if",
        .needs = needs,
        .migrations = tariff_migrations,
        .operations = operations,
        .init = init,
};
