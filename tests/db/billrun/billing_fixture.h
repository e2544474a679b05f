#pragma once

/*
 * What the tests of billrun, invoice and payment stand on: two branches, contracts with a meter
 * each, tariffs, and readings in a plain table in place of the reading store's blocks, so that a
 * test can flip one value. Include once per program.
 */

#include "host_fixture.h"
#include "hr_test.h"

static struct fixture *f;

static inline int64_t number(const char *sql)
{
        return strtoll(fixture_sql(f, sql), NULL, 10);
}

static inline void refused(const char *sql, const char *why)
{
        struct db_conn *c = db_take(fixture_db(f), 5000, NULL);
        enum db_status s;

        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_EQUAL_FATAL(db_begin(c, "*", false), DB_OK);
        s = db_exec(c, sql);
        if (s == DB_OK)
                s = db_commit(c);
        CU_ASSERT_EQUAL(s, DB_CONSTRAINT);
        if (!strstr(db_last_error(c)->message, why))
                printf("\nexpected: %s\ngot: %s\n", why, db_last_error(c)->message);
        CU_ASSERT_PTR_NOT_NULL(strstr(db_last_error(c)->message, why));
        db_give(fixture_db(f), c);
}

/* As the database's superuser, triggers off: what a test needs to forge. */
static inline void forge(const char *sql)
{
        char command[2048];

        snprintf(command, sizeof command,
                 "psql -q -v ON_ERROR_STOP=1 -U postgres headrace -c \"set "
                 "session_replication_role = replica\" -c \"%s\"",
                 sql);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

#define BILLING_STORE                                                                              \
        "create schema t;"                                                                         \
        "create table t.reading (meter int, channel smallint, at timestamptz, period_s int, "      \
        "value bigint,"                                                                            \
        " status smallint, primary key (meter, channel, at));"                                     \
        "create or replace function mdm.readings(m int, ch smallint, f timestamptz, t "            \
        "timestamptz)"                                                                             \
        " returns table (at timestamptz, period_s int, value bigint, status smallint, source "     \
        "smallint) language sql stable as $$"                                                      \
        " select r.at, r.period_s, r.value, r.status, 1::smallint from t.reading r where r.meter " \
        "= m"                                                                                      \
        " and r.channel = ch and r.at >= f and r.at < t order by r.at $$;"                         \
        "create or replace function mdm.register_at(m int, ch smallint, t timestamptz)"            \
        " returns table (at timestamptz, value bigint, status smallint) language sql stable as $$" \
        " select t, 1234567::bigint, 0::smallint $$;"

#define VN_ENERGY                                                                                  \
        "{\"type\":\"energy\",\"code\":\"energy\",\"text\":\"Điện sinh hoạt\",\"tiers\":["    \
        "{\"upto\":50,\"rate\":1984},{\"upto\":100,\"rate\":2050},{\"upto\":200,\"rate\":2380},"   \
        "{\"upto\":300,\"rate\":2998},{\"upto\":400,\"rate\":3350},{\"upto\":null,\"rate\":3460}]" \
        "}"
#define VN_VAT                                                                                     \
        "{\"type\":\"percent\",\"code\":\"vat\",\"text\":\"Thuế giá trị gia "                 \
        "tăng\",\"tax\":true,\"pct\":8,"                                                          \
        "\"of\":[\"energy\"]}"

/* One version of a tariff, active over @valid. */
static inline void tariff_version(const char *code, int version, const char *valid,
                                  const char *components)
{
        struct buf sql = BUF_INIT;

        buf_printf(&sql,
                   "insert into billing.tariff (code, branch_id, name, commodity, currency) values"
                   " ('%s', 1, 'Biểu giá %s', 'electricity', 'VND') on conflict do nothing;"
                   "insert into billing.tariff_version (code, version, valid, state, document, "
                   "document_text, hash, created_by)"
                   " select '%s', %d, '%s', 'active', d::jsonb, d, sha256(convert_to(d, 'UTF8')), "
                   "'test' "
                   "from (values ('"
                   "{\"schema\":\"headrace-tariff-v1\",\"code\":\"%s\",\"name\":\"x\","
                   "\"commodity\":\"electricity\","
                   "\"currency\":\"VND\",\"components\":[%s]}')) v(d)",
                   code, code, code, version, valid, code, components);
        fixture_exec(f, buf_cstr(&sql));
        buf_deinit(&sql);
}

/* @n contracts C1..Cn at HN with meters 1..n, hourly readings of October 2026 in local days:
 * (100 + meter * 3) Wh an hour and a little that changes with the hour. */
static inline void town(int n)
{
        char sql[4096];

        snprintf(
                sql, sizeof sql,
                "insert into mdm.meter_model (model, protocol, profile) values ('m', 'manual', "
                "'{}');"
                "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity)"
                " select g, 1, 'S' || g, 'm', 'electricity', 'I' || g from generate_series(1, %d + "
                "20) g;"
                "insert into crm.party (branch_id, kind, name, language)"
                " select 1, 'person', 'Nguyễn Văn ' || g, 'vi' from generate_series(1, %d) g;"
                "insert into crm.account (branch_id, number, party_id) select 1, 'A' || party_id, "
                "party_id from crm.party;"
                "insert into crm.premise (branch_id, address, city) select 1, g || ' phố Huế', 'Hà "
                "Nội'"
                " from generate_series(1, %d) g;"
                "insert into crm.service_point (branch_id, premise_id, code, commodity)"
                " select 1, premise_id, 'P' || premise_id, 'electricity' from crm.premise;"
                "insert into crm.installation (service_point_id, meter_id, valid)"
                " select service_point_id, service_point_id, '[2026-01-01,)' from "
                "crm.service_point;"
                "insert into crm.contract (branch_id, number, account_id, service_point_id, "
                "tariff, valid)"
                " select 1, 'C' || g, g, g, 'VN', '[2026-01-01,)' from generate_series(1, %d) g;"
                "insert into t.reading select m, 1, h, 3600, 100 + m * 3 + extract(hour from "
                "h)::int %% 5, 0"
                " from generate_series(1, %d) m, generate_series(timestamptz '2026-08-31 17:00+00',"
                " '2026-10-31 16:00+00', '1 hour') h",
                n, n, n, n, n);
        fixture_exec(f, sql);
}

static inline void billing_open(int contracts)
{
        static const char *const plugins[] = {
                "crm/customer/customer.so",   "billing/tariff/tariff.so",
                "billing/vee/vee.so",         "billing/ledger/ledger.so",
                "billing/billrun/billrun.so", "billing/invoice/invoice.so",
                "billing/payment/payment.so", "billing/einvoice/einvoice.so",
#ifdef BILLING_FIXTURE_BILLOPS
                "billing/billops/billops.so",
#endif
                NULL
        };

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "DE", "Europe/Berlin", "EUR", 2);
        fixture_user(f, "maker", "admin", "HN");
        fixture_user(f, "checker", "admin", "HN");
        fixture_user(f, "stranger", "admin", "DE");
        fixture_exec(f, BILLING_STORE);
        town(contracts);
        tariff_version("VN", 1, "[2026-01-01,)", VN_ENERGY "," VN_VAT);
}

/* Creates a run and waits until it is computed; its number. */
static inline int64_t run_of(const char *from, const char *to, const char *contract)
{
        char json[256], *reply;

        snprintf(json, sizeof json, "{\"branch\":\"HN\",\"from\":\"%s\",\"to\":\"%s\"%s%s%s}", from,
                 to, contract ? ",\"contract\":\"" : "", contract ? contract : "",
                 contract ? "\"" : "");
        CU_ASSERT_EQUAL_FATAL(fixture_call_as(f, "maker", "run.create", json, &reply), 201);
        fixture_drain(f);
        return strtoll(fixture_json(f, reply, "run"), NULL, 10);
}

static inline int run_call(const char *who, const char *operation, int64_t run, char **reply)
{
        char json[64];

        snprintf(json, sizeof json, "{\"run\":%lld}", (long long)run);
        return fixture_call_as(f, who, operation, json, reply);
}

/* Approves and issues a computed run. */
static inline void issue(int64_t run)
{
        char *reply;

        CU_ASSERT_EQUAL(run_call("checker", "run.approve", run, &reply), 200);
        CU_ASSERT_EQUAL(run_call("maker", "run.issue", run, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(run_call("maker", "run.show", run, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "issued");
}
