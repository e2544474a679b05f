/* Plugins nobody should load: one fault each, chosen by BAD. */
#include "headrace/plugin.h"

static enum hr_status init(const struct hr_host *h)
{
        (void)h;
        __builtin_trap(); /* no code of a refused plugin may run */
}

static __attribute__((unused)) enum hr_status run(struct hr_call *call)
{
        (void)call;
        return HR_OK;
}

#define ROW(name, path, run, params)                                                               \
        {                                                                                          \
                name, "bad.read", "GET", path, NULL, "Bad", params, HR_OP_READ, run, NULL          \
        }

static const struct hr_param stray[] = { { "stray", HR_TEXT, HR_PATH, true, "Not in the route" },
                                         { NULL } };
static const struct hr_migration gap[] = { { 2, "002_gap", "select 1" }, { 0 } };
static const char *const missing[] = { "nowhere", NULL };
static const char *const other[] = { BAD == 9 ? "bad10" : "bad9", NULL };
static const struct hr_operation operations[] = {
#if BAD == 4
        ROW("bad.run", "/v1/bad", NULL, NULL),
#elif BAD == 5
        ROW("bad.param", "/v1/bad", run, stray),
#elif BAD == 7
        ROW("status.show", "/v1/bad", run, NULL),
#elif BAD == 8
        ROW("bad.route", "/v1/jobs/{number}", run, NULL),
#else
        ROW("bad.fine", "/v1/bad", run, NULL),
#endif
        { NULL },
};
#if BAD == 8
static const struct hr_param number[] = { { "number", HR_INT, HR_PATH, true, "Number" }, { NULL } };
static const struct hr_operation clashing[] = { ROW("bad.route", "/v1/jobs/{number}", run, number),
                                                { NULL } };
#else
#define clashing operations
#endif

#define STR_(x) #x
#define STR(x)  STR_(x)

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = BAD == 1 ? 0xdeadbeef : HR_PLUGIN_MAGIC,
        .abi = BAD == 2 ? HR_ABI_VERSION + 1 : HR_ABI_VERSION,
        .size = BAD == 3 ? 40 : sizeof(struct hr_plugin),
        .name = BAD == 11 ? NULL : "bad" STR(BAD),
        .version = BAD == 12 ? NULL : "1",
        .summary = "Bad",
        .needs = BAD == 6                ? missing
                 : BAD == 9 || BAD == 10 ? other
                                         : NULL,
        .migrations = BAD == 13 ? gap : NULL,
        .operations = clashing,
        .init = init,
};
const void *const bad_unused[] = { (const void *)stray, (const void *)gap, (const void *)missing,
                                   (const void *)other, (const void *)operations };
