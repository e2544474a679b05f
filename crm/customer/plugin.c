#include "customer.h"
#include "customer_sql.h"

static enum hr_status init(const struct hr_host *host)
{
        customer_host = host;
        return HR_OK;
}

static const struct hr_config_key config[] = {
        { "country_code", NULL, "telephone country code put in place of a leading 0, such as 84" },
        { NULL },
};

static const struct hr_param search_params[] = {
        { "q", HR_TEXT, HR_QUERY, true,
          "last digits of a phone, name, address, meter, account, contract or invoice", NULL, 1,
          200 },
        { "limit", HR_INT, HR_QUERY, false, "how many at most (20)", NULL, 1, 100 },
        { NULL },
};
static const struct hr_param list_params[] = {
        { "q", HR_TEXT, HR_QUERY, false, "only customers a search for this finds", NULL, 0, 200 },
        { "branch", HR_TEXT, HR_QUERY, false, "branch code" },
        { "limit", HR_INT, HR_QUERY, false, "page size (50)", NULL, 1, 500 },
        { "cursor", HR_TEXT, HR_QUERY, false, "\"next\" of the page before", NULL, 1, 18 },
        { NULL },
};
static const struct hr_param show_params[] = {
        { "customer", HR_TEXT, HR_PATH, true, "customer id or account number" },
        { NULL },
};
static const struct hr_param create_params[] = {
        { "branch", HR_TEXT, HR_BODY, true, "branch code" },
        { "name", HR_TEXT, HR_BODY, true, "full name", NULL, 1, 200 },
        { "kind", HR_TEXT, HR_BODY, false, "person unless said otherwise", "person|company" },
        { "tax_id", HR_TEXT, HR_BODY, false, "tax or identity number", NULL, 0, 40 },
        { "phone", HR_TEXT, HR_BODY, false, "telephone", NULL, 0, 40 },
        { "email", HR_TEXT, HR_BODY, false, "e-mail address", NULL, 0, 200 },
        { "language", HR_TEXT, HR_BODY, false,
          "language of letters and bills; the branch's otherwise", NULL, 2, 12 },
        { "force", HR_BOOL, HR_BODY, false, "create although a similar customer exists" },
        { NULL },
};
static const struct hr_param update_params[] = {
        { "customer", HR_TEXT, HR_PATH, true, "customer id or account number" },
        { "name", HR_TEXT, HR_BODY, false, "full name", NULL, 1, 200 },
        { "kind", HR_TEXT, HR_BODY, false, "person or company", "person|company" },
        { "tax_id", HR_TEXT, HR_BODY, false, "tax or identity number; empty removes it", NULL, 0,
          40 },
        { "phone", HR_TEXT, HR_BODY, false, "telephone; empty removes it", NULL, 0, 40 },
        { "email", HR_TEXT, HR_BODY, false, "e-mail address; empty removes it", NULL, 0, 200 },
        { "language", HR_TEXT, HR_BODY, false, "language of letters and bills", NULL, 2, 12 },
        { "reason", HR_TEXT, HR_BODY, false, "why, kept with the version", NULL, 0, 400 },
        { NULL },
};
static const struct hr_param import_params[] = {
        { "branch", HR_TEXT, HR_BODY, false, "branch code of items that name none" },
        { "parties", HR_JSON, HR_BODY, false,
          "list of code, name, kind, tax_id, phone, email, language" },
        { "accounts", HR_JSON, HR_BODY, false, "list of number, party" },
        { "premises", HR_JSON, HR_BODY, false, "list of code, address, city, postcode, lat, lon" },
        { "service_points", HR_JSON, HR_BODY, false,
          "list of code, premise, commodity, state, households, contract_kw" },
        { "installations", HR_JSON, HR_BODY, false,
          "list of service_point, meter (serial), maker, from, to, multiplier, start_read" },
        { "contracts", HR_JSON, HR_BODY, false,
          "list of number, account, service_point, tariff, class, cycle, from, to, params" },
        { NULL },
};
static const struct hr_param open_params[] = {
        { "account", HR_TEXT, HR_BODY, true, "account number" },
        { "service_point", HR_TEXT, HR_BODY, true, "service point code" },
        { "tariff", HR_TEXT, HR_BODY, true, "tariff code" },
        { "from", HR_DATE, HR_BODY, true, "first day, local" },
        { "number", HR_TEXT, HR_BODY, false,
          "contract number; given by the branch's series otherwise", NULL, 1, 40 },
        { "class", HR_TEXT, HR_BODY, false, "customer class (residential)", NULL, 1, 40 },
        { "cycle", HR_TEXT, HR_BODY, false, "billing cycle (monthly)", NULL, 1, 40 },
        { "params", HR_JSON, HR_BODY, false, "what the tariff asks for, such as contract_kw" },
        { NULL },
};
static const struct hr_param close_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "contract number" },
        { "to", HR_DATE, HR_BODY, true, "first day no longer covered, local" },
        { "reason", HR_TEXT, HR_BODY, false, "why", NULL, 0, 400 },
        { "final_read", HR_JSON, HR_BODY, false, "register values by channel code" },
        { NULL },
};
static const struct hr_param meter_params[] = {
        { "meter", HR_TEXT, HR_PATH, true, "serial number or number of the meter" },
        { NULL },
};
static const struct hr_param exchange_params[] = {
        { "code", HR_TEXT, HR_PATH, true, "service point code" },
        { "meter", HR_TEXT, HR_BODY, true, "serial number of the new meter" },
        { "at", HR_TIME, HR_BODY, true, "instant of the exchange" },
        { "maker", HR_TEXT, HR_BODY, false, "maker, where two makers share the serial" },
        { "final_read", HR_JSON, HR_BODY, false, "old meter's registers by channel code" },
        { "start_read", HR_JSON, HR_BODY, false, "new meter's registers by channel code" },
        { "multiplier", HR_DECIMAL, HR_BODY, false, "transformer factor of the new meter (1)" },
        { "reason", HR_TEXT, HR_BODY, false, "why", NULL, 0, 400 },
        { NULL },
};

static const struct hr_operation operations[] = {
        { "search", "customer.read", "GET", "/v1/search", "search Q",
          "Find a customer, address, meter, account, contract or invoice", search_params,
          HR_OP_READ, customer_search, "items:kind,title,customer_name,phone,address" },
        { "customer.list", "customer.read", "GET", "/v1/customers", "customer list",
          "List customers", list_params, HR_OP_READ, customer_list,
          "items:customer,name,phone,accounts,address" },
        { "customer.show", "customer.read", "GET", "/v1/customers/{customer}",
          "customer show CUSTOMER", "Everything about one customer", show_params, HR_OP_READ,
          customer_show, NULL },
        { "customer.create", "customer.write", "POST", "/v1/customers", "customer create",
          "Create a customer with an account", create_params, HR_OP_WRITE, customer_create, NULL },
        { "customer.update", "customer.write", "PATCH", "/v1/customers/{customer}",
          "customer update CUSTOMER", "Change a customer's master data; the values before are kept",
          update_params, HR_OP_WRITE, customer_update, NULL },
        { "customer.history", "customer.read", "GET", "/v1/customers/{customer}/history",
          "customer history CUSTOMER", "Earlier versions of a customer's master data", show_params,
          HR_OP_READ, customer_history, "items:version,until,actor,reason" },
        { "customer.import", "customer.write", "POST", "/v1/customers/import", "customer import",
          "Load customers, premises, service points, installations and contracts", import_params,
          HR_OP_WRITE, customer_import, "refused:list,item,reason" },
        { "contract.open", "customer.write", "POST", "/v1/contracts", "contract open",
          "Open a contract (move-in)", open_params, HR_OP_WRITE, customer_contract_open, NULL },
        { "contract.close", "customer.write", "POST", "/v1/contracts/{number}/close",
          "contract close NUMBER", "End a contract (move-out)", close_params, HR_OP_WRITE,
          customer_contract_close, NULL },
        { "meter.installations", "meter.read", "GET", "/v1/meters/{meter}/installations",
          "meter installations METER", "Where a meter is and was installed, and for whom",
          meter_params, HR_OP_READ, customer_meter_installations,
          "items:service_point,address,from,to,customer_name" },
        { "meter.exchange", "meter.write", "POST", "/v1/service-points/{code}/exchange",
          "meter exchange CODE", "Replace the meter at a service point", exchange_params,
          HR_OP_WRITE, customer_meter_exchange, NULL },
        { NULL },
};

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "customer",
        .version = HEADRACE_VERSION,
        .summary = "Customers, premises, service points, installations and contracts",
        .config = config,
        .migrations = customer_migrations,
        .operations = operations,
        .init = init,
};
