#include "host_fixture.h"
#include "hr_test.h"

static struct fixture *f;

static const char *post(const char *kind, const char *ref, const char *at, const char *lines)
{
        static char sql[2048];

        snprintf(sql, sizeof sql, "select ledger.post(1::smallint, '%s', '%s', '%s', '%s')", kind,
                 ref, at, lines);
        return sql;
}

/* Runs @sql in a transaction that must fail, when it runs or when it commits, saying @why. */
static void refused(const char *sql, const char *why)
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

static int64_t number(const char *sql)
{
        return strtoll(fixture_sql(f, sql), NULL, 10);
}

static void open_host(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so",
                                               "billing/ledger/ledger.so", NULL };

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "DN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_exec(f, "insert into crm.party (branch_id, kind, name) values (1, 'person', 'An'), "
                        "(2, 'person', 'Binh');"
                        "insert into crm.account (branch_id, number, party_id) select branch_id, "
                        "'A' || branch_id, party_id"
                        " from crm.party order by party_id");
        CU_ASSERT_EQUAL(number("select count(*) from crm.account"), 2);
}

#define BILL100                                                                                    \
        "[{\"gl\":\"1200\",\"account\":1,\"debit\":100,\"due\":\"2026-01-15\"},"                   \
        "{\"gl\":\"4010\",\"credit\":90,\"component\":\"energy\"},{\"gl\":\"2200\",\"credit\":10}" \
        "]"

static void test_post_once(void)
{
        char first[32];

        snprintf(first, sizeof first, "%s",
                 fixture_sql(f, post("bill", "1", "2026-01-01", BILL100)));
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, post("bill", "1", "2026-01-01", BILL100)), first);
        CU_ASSERT_EQUAL(number("select count(*) from ledger.entry"), 1);
        CU_ASSERT_EQUAL(number("select count(*) from ledger.line"), 3);
        refused(post("bill", "1", "2026-01-02", BILL100), "already posted with other contents");
}

static void test_unbalanced(void)
{
        refused(post("bill", "x1", "2026-01-01",
                     "[{\"gl\":\"1200\",\"account\":1,\"debit\":100},{\"gl\":\"4010\",\"credit\":"
                     "99}]"),
                "does not balance in VND: debit 100, credit 99");
        /* Two currencies do not make up for each other. */
        refused(post("bill", "x2", "2026-01-01",
                     "[{\"gl\":\"1010\",\"debit\":100},{\"gl\":\"4010\",\"credit\":100,"
                     "\"currency\":\"USD\"}]"),
                "does not balance");
        refused(post("bill", "x3", "2026-01-01", "[]"), "has no lines");
        refused(post("bill", "x4", "2026-01-01",
                     "[{\"gl\":\"1200\",\"debit\":1},{\"gl\":\"4010\",\"credit\":1}]"),
                "must name a customer account");
        refused(post("bill", "x5", "2026-01-01",
                     "[{\"gl\":\"9999\",\"debit\":1},{\"gl\":\"4010\",\"credit\":1}]"),
                "has no ledger account 9999");
        /* A check made early does not let lines in later. */
        refused("insert into ledger.entry (branch_id, kind, ref, at, digest) values (1, 'x', 'x6', "
                "now(), '');"
                "insert into ledger.line (entry_id, line_no, branch_id, gl, currency, debit, "
                "credit, at)"
                " select entry_id, n, 1, '1010', 'VND', d, c, now() from ledger.entry,"
                " (values (1, 5, 0), (2, 0, 5)) v(n, d, c) where ref = 'x6';"
                "set constraints all immediate; set constraints all deferred;"
                "insert into ledger.line (entry_id, line_no, branch_id, gl, currency, debit, at)"
                " select entry_id, 3, 1, '1010', 'VND', 7, now() from ledger.entry where ref = "
                "'x6'",
                "does not balance");
        CU_ASSERT_EQUAL(number("select count(*) from ledger.entry"), 1);
}

static void test_append_only(void)
{
        refused("update ledger.line set debit = debit + 1", "append-only: update of ledger.line");
        refused("delete from ledger.line", "append-only: delete of ledger.line");
        refused("update ledger.entry set text = 'x'", "append-only: update of ledger.entry");
        refused("delete from ledger.entry", "append-only");
        refused("truncate ledger.allocation", "append-only: truncate");
        /* Not even a balanced pair joins an entry of another transaction. */
        refused("insert into ledger.line (entry_id, line_no, branch_id, gl, currency, debit, "
                "credit, at)"
                " values (1, 8, 1, '1010', 'VND', 5, 0, now()), (1, 9, 1, '1010', 'VND', 0, 5, "
                "now())",
                "is closed");
}

static void test_allocation(void)
{
        fixture_sql(f, post("bill", "2", "2026-02-01",
                            "[{\"gl\":\"1200\",\"account\":1,\"debit\":50,\"due\":\"2026-02-15\"},"
                            "{\"gl\":\"4010\",\"credit\":50}]"));
        fixture_sql(f, post("payment", "p1", "2026-02-03",
                            "[{\"gl\":\"1010\",\"debit\":120},{\"gl\":\"1200\",\"account\":1,"
                            "\"credit\":120}]"));
        CU_ASSERT_EQUAL(number("select ledger.allocate(1, 'VND')"), 120);
        /* Oldest debt first. */
        CU_ASSERT_EQUAL(number("select left_over from ledger.open_item o join ledger.entry e using "
                               "(entry_id)"
                               " where e.kind = 'bill' and e.ref = '1' and o.debit > 0"),
                        0);
        CU_ASSERT_EQUAL(number("select left_over from ledger.open_item o join ledger.entry e using "
                               "(entry_id)"
                               " where e.kind = 'bill' and e.ref = '2' and o.debit > 0"),
                        30);
        refused("insert into ledger.allocation (branch_id, credit_entry, credit_line, debit_entry, "
                "debit_line, amount)"
                " select 1, c.entry_id, c.line_no, d.entry_id, d.line_no, 1 from ledger.open_item "
                "c, ledger.open_item d"
                " where c.credit > 0 and d.debit > 0 and d.left_over > 0",
                "exceeds what is left of the payment");
        fixture_sql(f, post("payment", "p2", "2026-02-04",
                            "[{\"gl\":\"1010\",\"debit\":100},{\"gl\":\"1200\",\"account\":1,"
                            "\"credit\":100}]"));
        refused("insert into ledger.allocation (branch_id, credit_entry, credit_line, debit_entry, "
                "debit_line, amount)"
                " select 1, c.entry_id, c.line_no, d.entry_id, d.line_no, 31 from ledger.open_item "
                "c, ledger.open_item d"
                " where c.credit > 0 and c.left_over > 0 and d.debit > 0 and d.left_over > 0",
                "exceeds what is left of the debt: 30 of 50");
        CU_ASSERT_EQUAL(number("select ledger.allocate(1, 'VND')"), 30);
        CU_ASSERT_EQUAL(number("select ledger.balance(1, 'VND')"), -70);
        CU_ASSERT_EQUAL(number("select ledger.balance(1, 'VND', '2026-01-31')"), 100);
        CU_ASSERT_EQUAL(number("select ledger.balance(1, 'VND', '2026-02-02')"), 150);
}

static void test_reversal(void)
{
        CU_ASSERT_TRUE(
                number("select ledger.reverse(entry_id, '2026-02-10', 'bounced') from ledger.entry"
                       " where ref = 'p1'") > 0);
        /* Once: the second call finds the first reversal. */
        CU_ASSERT_EQUAL(
                number("select count(distinct x) from (select ledger.reverse(entry_id, "
                       "'2026-02-11', 'again') as x"
                       " from ledger.entry where ref = 'p1' and kind = 'payment' union all"
                       " select entry_id from ledger.entry where kind = 'payment.reversal') y"),
                1);
        refused("select ledger.reverse(entry_id, now(), 'x') from ledger.entry where kind = "
                "'payment.reversal'",
                "is itself a reversal");
        /* The debts are open again; the bounced payment and its mirror are settled with each other.
         */
        CU_ASSERT_EQUAL(number("select sum(left_over) from ledger.open_item where debit > 0"), 120);
        CU_ASSERT_EQUAL(number("select ledger.balance(1, 'VND')"), 50);
        CU_ASSERT_EQUAL(number("select count(*) from (select debit_entry, debit_line from "
                               "ledger.allocation group by 1, 2"
                               " having sum(amount) < 0) x"),
                        0);
}

static void test_branches(void)
{
        char *reply;

        fixture_user(f, "dn", "admin", "DN");
        CU_ASSERT_EQUAL(fixture_call_as(f, "dn", "ledger.sums", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.gl"), "");
        CU_ASSERT_EQUAL(fixture_call_as(f, "dn", "account.ledger", "{\"number\":\"A1\"}", &reply),
                        404);
        CU_ASSERT_EQUAL(fixture_call(f, "ledger.sums", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "balanced"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "branches.0.difference"), "0");
        CU_ASSERT_EQUAL(fixture_call(f, "account.ledger", "{\"number\":\"A1\"}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "balance"), "50");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "party"), "An");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.debit"), "100");
        /* Every table of the schema is under forced row-level security. */
        CU_ASSERT_EQUAL(
                number("select count(*) from pg_class c where c.relnamespace = "
                       "'ledger'::regnamespace"
                       " and c.relkind = 'r' and not (c.relrowsecurity and c.relforcerowsecurity)"),
                0);
        fixture_free(f);
}

HR_TESTS("ledger", { "opens", open_host },
         { "posting is idempotent by kind and reference", test_post_once },
         { "an unbalanced entry is refused", test_unbalanced },
         { "the ledger is append-only", test_append_only },
         { "allocations never exceed either side, oldest first", test_allocation },
         { "a reversal, once, opens the debts again", test_reversal },
         { "a branch sees its own books; the books balance", test_branches })
