/* Commands in the database: who may move them from state to state, claims, conditions, records that
 * stay; what is missing of a meter; causes; alarms. */
#include "collect_ops.h"
#include "host_fixture.h"
#include "hr_test.h"
#include "models_install.h"
#include "registry.h"

static struct fixture *f;

static const char *sql(const char *text)
{
        return fixture_sql(f, text);
}

static const char *json(const char *reply, const char *path)
{
        return fixture_json(f, reply, path);
}

/* The fixture has its own builtins: those of the collect role among them. */
static void begin(void)
{
        struct buf errors = BUF_INIT;

        f = fixture_new_with(&collect_plugin, NULL);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "SG", "Asia/Ho_Chi_Minh", "VND", 0);
        CU_ASSERT_EQUAL(models_install(fixture_db(f), NULL, &errors), 0);
        buf_deinit(&errors);
        /* Records of commands stay: every test has meters of its own. */
        fixture_exec(f, "update mdm.meter set serial = 'old' || meter_id, identity = 'old' || meter_id");
        fixture_exec(f, "insert into mdm.meter (branch_id, serial, maker, model, commodity, identity, address) "
                        "values (1, 'A1', 'HRS', 'HR-DLMS-W', 'electricity', 'A1', '{\"host\":\"x\"}'), "
                        "(2, 'B1', 'HRS', 'HR-DLMS-W', 'electricity', 'B1', '{\"host\":\"x\"}'), "
                        "(1, 'P1', 'Iskraemeco', 'ISKRA-AM550', 'electricity', 'P1', '{}')");
}

static void insert(const char *state, const char *kind)
{
        char text[600];

        snprintf(text, sizeof text,
                 "insert into mdm.command (branch_id, meter_id, kind, requested_by, approved_by, state, "
                 "expires_at, next_try_at) select 1, meter_id, '%s', 'anna', 'binh', '%s', now() + "
                 "interval '1 day', now() from mdm.meter where serial = 'A1'",
                 kind, state);
        fixture_exec(f, text);
}

#define METER "(select meter_id from mdm.meter where serial = 'A1')"
#define LAST "(select max(command_id) from mdm.command)"

/* What the database says of a statement it must refuse. */
static bool refused(const char *text, const char *says)
{
        struct db_conn *c = db_take(fixture_db(f), 5000, NULL);
        bool good = c && db_begin(c, "*", false) == DB_OK && db_exec(c, text) != DB_OK &&
                    strstr(db_last_error(c)->message, says);

        if (c && !good)
                printf("[%s: %s]\n", text, db_last_error(c)->message);
        db_rollback(c);
        db_give(fixture_db(f), c);
        return good;
}

static void states(void)
{
        begin();
        CU_ASSERT_TRUE(refused("insert into mdm.command (branch_id, meter_id, kind, requested_by, "
                               "approved_by, state, expires_at) select 1, " METER
                               ", 'disconnect', 'anna', 'anna', 'approved', now() + interval '1 day'",
                               "command_four_eyes"));
        insert("approved", "disconnect");
        CU_ASSERT_TRUE(refused("insert into mdm.command (branch_id, meter_id, kind, requested_by, "
                               "expires_at) select 1, " METER
                               ", 'disconnect', 'x', now() + interval '1 day'",
                               "command_one_open"));
        CU_ASSERT_TRUE(refused("update mdm.command set state = 'confirmed'", "cannot become"));
        CU_ASSERT_TRUE(refused("update mdm.command set meter_id = meter_id + 1", "cannot be changed"));
        CU_ASSERT_TRUE(refused("update mdm.command set params = '{\"a\":1}'", "cannot be changed"));
        CU_ASSERT_TRUE(refused("delete from mdm.command", "are kept"));
        CU_ASSERT_STRING_EQUAL(sql("select kind || attempt || sent_before || verify_only from "
                                   "mdm.command_claim(" METER ", 'd1')"),
                               "disconnect1falsefalse");
        /* Claimed: nobody else gets it. */
        CU_ASSERT_STRING_EQUAL(sql("select count(*) from mdm.command_claim(" METER ", 'd2')"), "0");
        CU_ASSERT_STRING_EQUAL(sql("select state || attempts from mdm.command"), "sent1");
        /* The daemon dies: found again, as one that may have been sent. */
        CU_ASSERT_STRING_EQUAL(sql("select mdm.command_recover('d2')"), "0");
        CU_ASSERT_STRING_EQUAL(sql("select mdm.command_recover('d1')"), "1");
        CU_ASSERT_STRING_EQUAL(sql("select attempt || ' ' || sent_before from mdm.command_claim(" METER
                                   ", 'd1')"),
                               "2 true");
        fixture_exec(f, "select mdm.command_finish(" LAST ", 2, 'unreached', 'no route', null, '{}', 0)");
        CU_ASSERT_STRING_EQUAL(sql("select state from mdm.command"), "sent"); /* as before this try */
        /* Past its time it may only be asked for. */
        fixture_exec(f, "update mdm.command set expires_at = now() + interval '1 ms'; select pg_sleep(0.01)");
        CU_ASSERT_STRING_EQUAL(sql("select verify_only from mdm.command_claim(" METER ", 'd1')"), "t");
        fixture_exec(f, "select mdm.command_finish(" LAST
                        ", 3, 'confirmed', '', '{\"control_state\":\"disconnected\"}', '{}', 0)");
        fixture_exec(f, "select mdm.command_finish(" LAST ", 3, 'failed', 'told twice', null, '{}', 0)");
        CU_ASSERT_STRING_EQUAL(sql("select state || (proof->>'control_state') from mdm.command"),
                               "confirmeddisconnected");
        CU_ASSERT_TRUE(refused("update mdm.command set error = 'x'", "its record stays"));
        CU_ASSERT_STRING_EQUAL(sql("select string_agg(outcome, ',' order by n) from mdm.command_attempt"),
                               "lost,unreached,confirmed");
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(sql("select string_agg(type, ',' order by event_id) from core.event where "
                                   "type like 'meter.dis%' or type like 'command.%'"),
                               "meter.disconnected,command.confirmed");
        fixture_free(f);
}

static void conditions(void)
{
        begin();
        insert("approved", "disconnect");
        fixture_exec(f, "insert into mdm.meter_protection (meter_id, reason, set_by) select " METER
                        ", 'life support', 'x'");
        CU_ASSERT_STRING_EQUAL(sql("select count(*) from mdm.command_claim(" METER ", 'd')"), "0");
        CU_ASSERT_STRING_EQUAL(sql("select state || attempts || error from mdm.command where command_id = " LAST),
                               "failed0the supply is protected: life support");
        fixture_exec(f, "delete from mdm.meter_protection; create function mdm.owes(id bigint) returns text "
                        "language sql as $$ select 'paid meanwhile' $$; insert into mdm.command_guard values "
                        "('disconnect', 'balance', 'mdm.owes', false)");
        insert("approved", "disconnect");
        CU_ASSERT_STRING_EQUAL(sql("select count(*) from mdm.command_claim(" METER ", 'd')"), "0");
        CU_ASSERT_STRING_EQUAL(sql("select state || error from mdm.command where command_id = " LAST),
                               "failedpaid meanwhile");
        fixture_exec(f, "update mdm.command_guard set wait = true");
        insert("approved", "disconnect");
        CU_ASSERT_STRING_EQUAL(sql("select count(*) from mdm.command_claim(" METER ", 'd')"), "0");
        CU_ASSERT_STRING_EQUAL(sql("select state || waits_for from mdm.command where command_id = " LAST),
                               "approvedpaid meanwhile");
        /* Over the limit of the process with the keys: back in its place, no attempt made. */
        fixture_exec(f, "delete from mdm.command_guard; update mdm.command set next_try_at = now() where "
                        "command_id = " LAST);
        fixture_exec(f, "select c.*, mdm.command_put_back(c.command_id, c.attempt, 'limit', 60) from "
                        "mdm.command_claim(" METER ", 'd') c");
        CU_ASSERT_STRING_EQUAL(sql("select state || attempts || waits_for || (next_try_at > now()) from "
                                   "mdm.command where command_id = " LAST),
                               "approved0limittrue");
        /* Nobody in time. */
        fixture_exec(f, "update mdm.command set expires_at = now() + interval '1 ms' where command_id = " LAST
                        "; select pg_sleep(0.01)");
        fixture_exec(f, "select mdm.command_sweep()");
        CU_ASSERT_STRING_EQUAL(sql("select state from mdm.command where command_id = " LAST), "expired");
        fixture_free(f);
}

static void operations(void)
{
        char *r, id[64];

        begin();
        fixture_user(f, "anna", "operator", "HN");
        fixture_user(f, "binh", "operator", "HN");
        fixture_user(f, "chi", "operator", "SG");
        fixture_user(f, "tech", "technician", "HN");
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.request",
                                        "{\"meter\":\"A1\",\"kind\":\"disconnect\",\"reason\":\"r\"}", &r),
                        202);
        CU_ASSERT_STRING_EQUAL(json(r, "state"), "requested");
        snprintf(id, sizeof id, "{\"command\":%s}", json(r, "command_id"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.approve", id, &r), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "second person"));
        /* Another branch sees neither command nor meter. */
        CU_ASSERT_EQUAL(fixture_call_as(f, "chi", "command.approve", id, &r), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "chi", "command.show", id, &r), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "chi", "command.request",
                                        "{\"meter\":\"A1\",\"kind\":\"clock\"}", &r),
                        404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "chi", "meter.causes", "{\"meter\":\"A1\"}", &r), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "tech", "command.request",
                                        "{\"meter\":\"A1\",\"kind\":\"clock\"}", &r),
                        403);
        CU_ASSERT_EQUAL(fixture_call_as(f, "binh", "command.approve", id, &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "approved_by"), "binh");
        CU_ASSERT_EQUAL(fixture_call_as(f, "binh", "command.approve", id, &r), 409);
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.cancel", id, &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "state"), "cancelled");
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.request",
                                        "{\"meter\":\"P1\",\"kind\":\"clock\"}", &r),
                        422); /* it pushes: nobody visits it */
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.request",
                                        "{\"meter\":\"A1\",\"kind\":\"keys\"}", &r),
                        422);
        CU_ASSERT_STRING_EQUAL(json(r, "code"), "no_kek");
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.request",
                                        "{\"meter\":\"A1\",\"kind\":\"clock\",\"params\":{\"policy\":\"z\"}}",
                                        &r),
                        422);
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "command.list", "{\"meter\":\"A1\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.kind"), "disconnect");
        /* An event of the meter, and what an analyst may not see. */
        fixture_exec(f, "insert into mdm.meter_event select meter_id, now(), 44, 'log', 2, now() from mdm.meter "
                        "where serial = 'A1'; select mdm.alarms_tell()");
        CU_ASSERT_EQUAL(fixture_call_as(f, "anna", "meter.events", "{\"meter\":\"A1\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.name"), "cover.open");
        CU_ASSERT_STRING_EQUAL(sql("select count(*) from core.event where type = 'meter.alarm'"), "1");
        fixture_free(f);
}

static void missing(void)
{
        begin();
        fixture_exec(f, "select mdm.put_intervals(" METER ", 1::smallint, '2026-03-01 01:00', 900, 0::smallint, "
                        "1::smallint, array[1,2,3,4])");
        CU_ASSERT_STRING_EQUAL(
                sql("select string_agg(to_char(from_at, 'HH24:MI') || '-' || to_char(to_at, 'HH24:MI'), ' ' order "
                    "by from_at) from mdm.missing(" METER ", 1::smallint, '2026-03-01', '2026-03-01 03:00', 900)"),
                "00:00-01:00 02:00-03:00");
        fixture_exec(f, "insert into mdm.meter_hole select " METER ", '2026-03-01 02:15', '2026-03-01 02:45'");
        CU_ASSERT_STRING_EQUAL(
                sql("select string_agg(to_char(from_at, 'HH24:MI') || '-' || to_char(to_at, 'HH24:MI'), ' ' order "
                    "by from_at) from mdm.missing(" METER ", 1::smallint, '2026-03-01', '2026-03-01 03:00', 900)"),
                "00:00-01:00 02:00-02:15 02:45-03:00");
        /* A register is stored at the end of its period. */
        fixture_exec(f, "select mdm.put_intervals(" METER ", 129::smallint, '2026-03-02 00:15', 900, 0::smallint, "
                        "1::smallint, array[1,2,3])");
        CU_ASSERT_STRING_EQUAL(
                sql("select string_agg(to_char(from_at, 'HH24:MI') || '-' || to_char(to_at, 'HH24:MI'), ' ' order "
                    "by from_at) from mdm.missing(" METER ", 129::smallint, '2026-03-02', '2026-03-02 01:00', 900)"),
                "00:45-01:00");
        /* Causes: one row for each run. */
        fixture_exec(f, "select mdm.cause_put(" METER ", 'timeout', 'a', '2026-03-01'), mdm.cause_put(" METER
                        ", 'timeout', 'b', '2026-03-02'), mdm.cause_put(" METER ", 'read', '', '2026-03-03')");
        CU_ASSERT_STRING_EQUAL(sql("select string_agg(cause || tries || detail, ' ' order by since) from "
                                   "mdm.meter_cause"),
                               "timeout2b read1");
        fixture_free(f);
}

HR_TESTS("commands in the database", { "states", states }, { "conditions", conditions },
         { "operations", operations }, { "missing, causes", missing })
