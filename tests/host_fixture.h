#pragma once

/*
 * A host in the test's own process, on the database with-pg.sh made (HEADRACE_TEST_DB), with the
 * core migrations, the builtin operations and the given plugins. For tests of plugins:
 *
 *   static const char *const plugins[] = { "crm/customer/customer.so", NULL };   below build/
 *   struct fixture *f = fixture_new(plugins);                                   exits 77 without a
 * database char *reply; CU_ASSERT_EQUAL(fixture_call(f, "customer.show", "{\"customer\":1}",
 * &reply), 200);
 *
 * One thread works on jobs, or as many as HEADRACE_TEST_JOB_WORKERS says.
 * Calls run as administrator of all branches, or as a login made by fixture_user().
 */

#include "db.h"
#include "host.h"

struct fixture;

/* @plugins: paths of .so files, relative ones below HEADRACE_BUILD, ended by NULL; or NULL. Prints
 * what is wrong and exits 1 when the host does not start. */
struct fixture *fixture_new(const char *const *plugins);
/* The same with a further builtin, such as collect_plugin. */
struct fixture *fixture_new_with(const struct hr_plugin *builtin, const char *const *plugins);
void fixture_free(struct fixture *f);
struct host *fixture_host(struct fixture *f);
struct db *fixture_db(struct fixture *f);

/* Calls an operation by name with its parameters as one JSON object (path and query parameters
 * too). Returns the HTTP status; *@ret is the reply's body, owned by the fixture until the next
 * call that many (8) calls later. @ret may be NULL. */
int fixture_call(struct fixture *f, const char *operation, const char *json, char **ret);
int fixture_call_as(struct fixture *f, const char *login, const char *operation, const char *json,
                    char **ret);
/* A user with @roles "clerk,operator" and @branches "HN,SG" or "*". */
void fixture_user(struct fixture *f, const char *login, const char *roles, const char *branches);
/* A branch, if it is not there. */
void fixture_branch(struct fixture *f, int branch_id, const char *code, const char *tz,
                    const char *currency, int minor_digits);

/* First column of the first row as text, as owner over all branches; "" for no row or NULL.
 * Prints the error and exits 1 if the statement is wrong. Valid as fixture_call's results. */
const char *fixture_sql(struct fixture *f, const char *sql);
/* Statements without a result, any number, in one transaction over all branches. */
void fixture_exec(struct fixture *f, const char *sql);
/* Member of a JSON object reply as text ("a.b.0.c" walks down), "" when absent. Valid likewise. */
const char *fixture_json(struct fixture *f, const char *json, const char *path);
/* Waits for events and jobs; fails the test after 20 s. */
void fixture_drain(struct fixture *f);
