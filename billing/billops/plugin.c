/* Plugin "billops": what people do around bill runs. Cycles and their calendar, trial runs, rules
 * that hold bills, review and undo, re-bills, notes by hand, budget plans, accruals, reports. This
 * file is the table of its operations. */

#include <string.h>

#include "billops.h"
#include "billops_sql.h"

const struct hr_host *billrun_host;

static enum hr_status init(const struct hr_host *h)
{
        billrun_host = h;
        return HR_OK;
}

#define BRANCH(where, required)                                                                    \
        {                                                                                          \
                "branch", HR_TEXT, where, required, "Branch code"                                  \
        }
#define ID(name, what)                                                                             \
        {                                                                                          \
                name, HR_INT, HR_PATH, true, what, NULL, 1, INT64_MAX                              \
        }
#define LIMIT(most)                                                                                \
        {                                                                                          \
                "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, most               \
        }
#define REASON                                                                                     \
        {                                                                                          \
                "reason", HR_TEXT, HR_BODY, true, "Why, for the audit trail", NULL, 3, 500         \
        }
#define PERIOD                                                                                     \
        { "from", HR_DATE, HR_QUERY, true, "First day" },                                          \
        {                                                                                          \
                "to", HR_DATE, HR_QUERY, true, "The day after the last day"                        \
        }

/* ---- cycles ---- */

static const struct hr_param cycle_set_params[] = {
        BRANCH(HR_BODY, true),
        { "cycle", HR_TEXT, HR_BODY, true, "Code of the cycle: letters, digits, - and _", NULL, 1,
          32 },
        { "name", HR_TEXT, HR_BODY, false, "Name for people" },
        { "months", HR_INT, HR_BODY, false, "Months of a period, 1 when new", NULL, 1, 12 },
        { "due_days", HR_INT, HR_BODY, false, "Days from issue to due, 14 when new", NULL, 0, 120 },
        { "start_day", HR_INT, HR_BODY, false, "Day of the month a period begins on", NULL, 1, 28 },
        { "read_before", HR_INT, HR_BODY, false, "Days before a period's end that reading begins",
          NULL, 0, 30 },
        { "read_after", HR_INT, HR_BODY, false, "Days after it that readings still count", NULL, 0,
          30 },
        { "bill_after", HR_INT, HR_BODY, false, "Business days from a period's end to billing",
          NULL, 0, 60 },
        { "due_kind", HR_TEXT, HR_BODY, false, "What due_days counts", "calendar|business" },
        { "due_roll", HR_TEXT, HR_BODY, false, "Where a due day goes that is no business day",
          "none|next|previous" },
        { 0 },
};
static const struct hr_param branch_query_params[] = { BRANCH(HR_QUERY, false), { 0 } };
static const struct hr_param cycle_plan_params[] = {
        BRANCH(HR_BODY, true),
        { "cycle", HR_TEXT, HR_PATH, true, "Code of the cycle" },
        { "from", HR_DATE, HR_BODY, false, "A day of the first period, today when absent" },
        { "months", HR_INT, HR_BODY, false, "How far ahead, 12 when absent", NULL, 1, 60 },
        { 0 },
};
static const struct hr_param cycle_calendar_params[] = {
        BRANCH(HR_QUERY, false),
        { "cycle", HR_TEXT, HR_QUERY, false, "Only this cycle" },
        { "from", HR_DATE, HR_QUERY, false, "Only periods billed on or after this day" },
        { 0 },
};
static const struct hr_param cycle_run_params[] = {
        BRANCH(HR_BODY, true),
        { "cycle", HR_TEXT, HR_PATH, true, "Code of the cycle" },
        { "day", HR_DATE, HR_BODY, true, "Any day of the period" },
        { 0 },
};
static const struct hr_param contract_cycle_params[] = {
        { "contract", HR_TEXT, HR_PATH, true, "Contract number" },
        { "cycle", HR_TEXT, HR_BODY, true, "Code of a cycle of its branch" },
        { 0 },
};

/* ---- rules and runs ---- */

static const struct hr_param branch_path_params[] = { BRANCH(HR_PATH, true), { 0 } };
static const struct hr_param policy_set_params[] = {
        BRANCH(HR_PATH, true),
        { "review_required", HR_BOOL, HR_BODY, false,
          "Runs are approved only by who reviewed them" },
        { "sample", HR_INT, HR_BODY, false, "Ordinary bills shown in a review", NULL, 1, 500 },
        { "adjust_limit", HR_INT, HR_BODY, false,
          "Minor units up to which a note or re-bill needs no second person", NULL, 0, INT64_MAX },
        { "estimate_limit", HR_INT, HR_BODY, false, "Estimated bills in a row that are too many",
          NULL, 1, 60 },
        { "weekend", HR_TEXT, HR_BODY, false, "Days off as digits, 1 = Monday: \"67\"", NULL, 0,
          6 },
        { "calendar", HR_TEXT, HR_BODY, false,
          "Code of the calendar of public holidays; empty for none" },
        { 0 },
};
static const struct hr_param person_params[] = {
        { "login", HR_TEXT, HR_PATH, true, "Login" },
        { "person", HR_TEXT, HR_BODY, true,
          "The human being, the same text for all logins of one: a staff number", NULL, 1, 100 },
        { 0 },
};
static const struct hr_param outsort_params[] = {
        BRANCH(HR_BODY, true),
        { "kind", HR_TEXT, HR_BODY, true, "What to look for",
          "high|low|zero|negative|estimated|estimated_periods|first|changed|amount" },
        { "class", HR_TEXT, HR_BODY, false, "Only contracts of this class" },
        { "threshold", HR_DECIMAL, HR_BODY, false,
          "Percent a day (high, low, changed), minor units (amount), bills (estimated_periods)" },
        { "action", HR_TEXT, HR_BODY, false, "What to do, hold when absent", "hold|note|off" },
        { 0 },
};
static const struct hr_param run_params[] = { ID("run", "Number of the bill run"), { 0 } };
static const struct hr_param run_outsort_params[] = {
        ID("run", "Number of the bill run"),
        { "cause", HR_TEXT, HR_QUERY, false, "Only bills with this cause" },
        LIMIT(5000),
        { 0 },
};
static const struct hr_param run_undo_params[] = { ID("run", "Number of the bill run"),
                                                   REASON,
                                                   { 0 } };
static const struct hr_param run_release_params[] = {
        ID("run", "Number of the bill run"),
        { "bill", HR_INT, HR_BODY, false, "Only this bill", NULL, 1, INT64_MAX },
        { "cause", HR_TEXT, HR_BODY, false, "Only bills held for this cause alone" },
        REASON,
        { 0 },
};
static const struct hr_param run_hold_params[] = {
        ID("run", "Number of the bill run"),
        { "cause", HR_TEXT, HR_BODY, false, "Drafts with this noted cause" },
        { "over", HR_INT, HR_BODY, false, "Drafts over this amount, minor units", NULL, 0,
          INT64_MAX },
        REASON,
        { 0 },
};
static const struct hr_param bill_hold_params[] = { ID("bill", "Number of the bill"),
                                                    REASON,
                                                    { 0 } };
static const struct hr_param bill_final_params[] = {
        { "contract", HR_TEXT, HR_PATH, true, "Contract number" },
        { "until", HR_DATE, HR_BODY, false,
          "The day after the last day, the contract's end when absent" },
        { 0 },
};

/* ---- trials ---- */

static const struct hr_param trial_create_params[] = {
        BRANCH(HR_BODY, true),
        { "cycle", HR_TEXT, HR_BODY, false, "Billing cycle, monthly when absent" },
        { "from", HR_DATE, HR_BODY, true, "First day of the period" },
        { "to", HR_DATE, HR_BODY, true, "The day after the period's last day" },
        { 0 },
};
static const struct hr_param trial_show_params[] = {
        ID("trial", "Number of the trial run"),
        { "percent", HR_INT, HR_QUERY, false, "List changes of more than this, 30 when absent",
          NULL, 0, 100000 },
        { 0 },
};
static const struct hr_param accrual_create_params[] = {
        BRANCH(HR_BODY, true),
        { "as_of", HR_DATE, HR_BODY, true, "Last day that counts" },
        { "cycle", HR_TEXT, HR_BODY, false, "Only this cycle" },
        { 0 },
};
static const struct hr_param accrual_show_params[] = { ID("accrual", "Number of the accrual"),
                                                       { 0 } };

/* ---- re-bills ---- */

static const struct hr_param rebill_create_params[] = {
        BRANCH(HR_BODY, true),
        { "mode", HR_TEXT, HR_BODY, false, "rebill when absent; cancel makes no new bills",
          "rebill|cancel" },
        REASON,
        { "bills", HR_JSON, HR_BODY, false, "Numbers of bills, as an array" },
        { "contract", HR_TEXT, HR_BODY, false, "Bills of this contract" },
        { "tariff", HR_TEXT, HR_BODY, false, "Bills priced with this tariff" },
        { "class", HR_TEXT, HR_BODY, false, "Bills of this class" },
        { "from", HR_DATE, HR_BODY, false, "Bills with days on or after this one" },
        { "to", HR_DATE, HR_BODY, false, "Bills with days before this one" },
        { "run", HR_INT, HR_BODY, false, "Bills of this run", NULL, 1, INT64_MAX },
        { "estimated", HR_BOOL, HR_BODY, false, "Bills that rest on estimates, wholly or in part" },
        { 0 },
};
static const struct hr_param rebill_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state",
          "draft|simulated|approved|done|cancelled" },
        BRANCH(HR_QUERY, false),
        LIMIT(1000),
        { 0 },
};
static const struct hr_param rebill_params[] = { ID("rebill", "Number of the re-bill"), { 0 } };
static const struct hr_param proposal_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "open when absent", "open|taken|dismissed" },
        BRANCH(HR_QUERY, false),
        LIMIT(1000),
        { 0 },
};
static const struct hr_param proposal_dismiss_params[] = { ID("proposal", "Number of the proposal"),
                                                           REASON,
                                                           { 0 } };
static const struct hr_param estimate_list_params[] = {
        BRANCH(HR_QUERY, false),
        { "at_least", HR_INT, HR_QUERY, false, "Estimated bills in a row", NULL, 1, 60 },
        { 0 },
};

/* ---- notes and budget plans ---- */

static const struct hr_param adjustment_create_params[] = {
        { "kind", HR_TEXT, HR_BODY, true, "In the customer's favour, or not", "credit|debit" },
        { "bill", HR_INT, HR_BODY, false, "The bill it corrects", NULL, 1, INT64_MAX },
        { "contract", HR_TEXT, HR_BODY, false, "Contract, when no bill is corrected" },
        { "amount", HR_INT, HR_BODY, true, "Minor units, taxes included", NULL, 1,
          INT64_MAX / 1000 },
        REASON,
        { 0 },
};
static const struct hr_param adjustment_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state", "proposed|posted|rejected" },
        { "account", HR_TEXT, HR_QUERY, false, "Only of this account" },
        { "bill", HR_INT, HR_QUERY, false, "Only of this bill", NULL, 1, INT64_MAX },
        LIMIT(1000),
        { 0 },
};
static const struct hr_param adjustment_params[] = { ID("adjustment", "Number of the adjustment"),
                                                     { 0 } };
static const struct hr_param adjustment_reject_params[] = {
        ID("adjustment", "Number of the adjustment"), REASON, { 0 }
};
static const struct hr_param budget_create_params[] = {
        { "contract", HR_TEXT, HR_BODY, true, "Contract number" },
        { "from", HR_DATE, HR_BODY, true, "First day of the plan" },
        { "months", HR_INT, HR_BODY, false, "Length, 12 when absent", NULL, 1, 24 },
        { "amount", HR_INT, HR_BODY, false,
          "Minor units of each bill, last year's mean when absent", NULL, 1, INT64_MAX / 1000 },
        { 0 },
};
static const struct hr_param budget_list_params[] = {
        BRANCH(HR_QUERY, false),
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state", "active|settled" },
        { "contract", HR_TEXT, HR_QUERY, false, "Only of this contract" },
        { 0 },
};
static const struct hr_param budget_params[] = { ID("budget", "Number of the plan"), { 0 } };
static const struct hr_param budget_settle_params[] = {
        ID("budget", "Number of the plan"),
        { "early", HR_BOOL, HR_BODY, false, "Settle before the plan's last day" },
        { 0 },
};

static const struct hr_param report_unbilled_params[] = { BRANCH(HR_QUERY, true), PERIOD, { 0 } };
static const struct hr_param report_params[] = { BRANCH(HR_QUERY, false), PERIOD, { 0 } };

#define REPORT(name, path, params, summary, table)                                                 \
        { "report." #name, "run.read", "GET",      "/v1/reports/" path, "report " #name,           \
          summary,         params,     HR_OP_READ, ops_report_##name,   table },                   \
        {                                                                                          \
                "report." #name "_csv", "run.read", "GET", "/v1/reports/" path "/csv",             \
                        "report " #name "-csv", summary ", as CSV", params,                        \
                        HR_OP_READ | HR_OP_FILE, ops_report_##name##_csv                           \
        }

static const struct hr_operation operations[] = {
        { "cycle.set", "run.write", "POST", "/v1/cycles", "cycle set",
          "Make or change a billing cycle and its rules", cycle_set_params, HR_OP_WRITE,
          ops_cycle_set },
        { "cycle.list", "run.read", "GET", "/v1/cycles", "cycle list",
          "Billing cycles with their contracts", branch_query_params, HR_OP_READ, ops_cycle_list,
          "items:branch,code,name,months,due_days,due_kind,due_roll,contracts,planned_until" },
        { "cycle.plan", "run.write", "POST", "/v1/cycles/{cycle}/plan", "cycle plan CYCLE",
          "Fill a cycle's calendar ahead", cycle_plan_params, HR_OP_WRITE, ops_cycle_plan },
        { "cycle.calendar", "run.read", "GET", "/v1/calendar", "cycle calendar",
          "When each period is read, billed and due", cycle_calendar_params, HR_OP_READ,
          ops_cycle_calendar,
          "items:branch,cycle,from,to,read_from,read_to,bill_on,due_on,state,run" },
        { "cycle.run", "run.write", "POST", "/v1/cycles/{cycle}/run", "cycle run CYCLE",
          "Start the bill run of a calendar period", cycle_run_params, HR_OP_WRITE, ops_cycle_run },
        { "contract.cycle", "run.write", "POST", "/v1/contracts/{contract}/cycle",
          "contract cycle CONTRACT", "Move a contract to another cycle", contract_cycle_params,
          HR_OP_WRITE, ops_contract_cycle },

        { "policy.set", "run.approve", "POST", "/v1/branches/{branch}/billing-policy",
          "policy set BRANCH", "Set a branch's rules: review, limits, days off", policy_set_params,
          HR_OP_WRITE, ops_policy_set },
        { "policy.show", "run.read", "GET", "/v1/branches/{branch}/billing-policy",
          "policy show BRANCH", "A branch's billing rules", branch_path_params, HR_OP_READ,
          ops_policy_show },
        { "login.person", "user.write", "POST", "/v1/logins/{login}/person", "login person LOGIN",
          "Say whose login this is, so that nobody approves an own work with a second one",
          person_params, HR_OP_WRITE, ops_person_set },
        { "outsort.set", "run.approve", "POST", "/v1/outsort-rules", "outsort set",
          "Set a rule that holds bills back for review", outsort_params, HR_OP_WRITE,
          ops_outsort_set },
        { "outsort.list", "run.read", "GET", "/v1/outsort-rules", "outsort list",
          "Rules that hold bills back", branch_query_params, HR_OP_READ, ops_outsort_rules,
          "items:branch,kind,class,threshold,action" },

        { "run.outsort", "run.read", "GET", "/v1/runs/{run}/outsort", "run outsort RUN",
          "Held and noted bills of a run by cause and money", run_outsort_params, HR_OP_READ,
          ops_run_outsort, "items:bill,state,code,text,total,previous,change" },
        { "run.review", "run.approve", "POST", "/v1/runs/{run}/review", "run review RUN",
          "Show every outlier and a sample of a run, and remember that they were seen", run_params,
          HR_OP_WRITE, ops_run_review, "items:bill,contract,state,outlier,total,previous,change" },
        { "run.reviews", "run.read", "GET", "/v1/runs/{run}/reviews", "run reviews RUN",
          "Who reviewed a run, and whether it changed since", run_params, HR_OP_READ,
          ops_run_reviews, "items:reviewer,at,outliers,sample,current" },
        { "run.undo", "run.approve", "POST", "/v1/runs/{run}/undo", "run undo RUN",
          "Take the approval of a run back while nothing was issued", run_undo_params, HR_OP_WRITE,
          ops_run_undo },
        { "run.release", "bill.write", "POST", "/v1/runs/{run}/release", "run release RUN",
          "Let held bills of a run go: one, those of one cause, or all", run_release_params,
          HR_OP_WRITE, ops_run_release },
        { "run.hold", "bill.write", "POST", "/v1/runs/{run}/hold", "run hold RUN",
          "Hold back a run's drafts of one cause or over an amount", run_hold_params, HR_OP_WRITE,
          ops_run_hold },
        { "run.monitor", "run.read", "GET", "/v1/runs/{run}/monitor", "run monitor RUN",
          "Progress of a run: rate, errors, time left", run_params, HR_OP_READ, ops_run_monitor },
        { "run.resume", "run.write", "POST", "/v1/runs/{run}/resume", "run resume RUN",
          "Go on with a run whose job was stopped or failed", run_params, HR_OP_WRITE,
          ops_run_resume },
        { "bill.hold", "bill.write", "POST", "/v1/bills/{bill}/hold", "bill hold BILL",
          "Hold a draft bill back", bill_hold_params, HR_OP_WRITE, ops_bill_hold },
        { "bill.final", "run.write", "POST", "/v1/contracts/{contract}/final-bill",
          "bill final CONTRACT", "Bill a contract from its last bill to its end", bill_final_params,
          HR_OP_WRITE, ops_bill_final },

        { "trial.create", "run.write", "POST", "/v1/trials", "trial create",
          "Compute a cycle's bills without keeping them", trial_create_params, HR_OP_WRITE,
          ops_trial_create },
        { "trial.show", "run.read", "GET", "/v1/trials/{trial}", "trial show TRIAL",
          "A trial run: totals, causes, changes against the last bills", trial_show_params,
          HR_OP_READ, ops_trial_show, "items:contract,state,total,previous,change,change_percent" },
        { "accrual.create", "run.write", "POST", "/v1/accruals", "accrual create",
          "Price what was used but not billed up to a day", accrual_create_params, HR_OP_WRITE,
          ops_accrual_create },
        { "accrual.show", "run.read", "GET", "/v1/accruals/{accrual}", "accrual show ACCRUAL",
          "Unbilled revenue by tariff and class, and what could not be priced", accrual_show_params,
          HR_OP_READ, ops_accrual_show,
          "items:tariff,class,contracts,without,quantity,unit,net,tax,total" },

        { "rebill.create", "run.write", "POST", "/v1/rebills", "rebill create",
          "List bills to cancel and bill again, and simulate the effect", rebill_create_params,
          HR_OP_WRITE, ops_rebill_create, "items:bill,contract,from,to,state,old_total" },
        { "rebill.list", "run.read", "GET", "/v1/rebills", "rebill list", "Re-bills, newest first",
          rebill_list_params, HR_OP_READ, ops_rebill_list,
          "items:rebill,branch,mode,state,bills,change,created_by,reason" },
        { "rebill.show", "run.read", "GET", "/v1/rebills/{rebill}", "rebill show REBILL",
          "A re-bill's effect: counts, money, how it spreads, the largest changes", rebill_params,
          HR_OP_READ, ops_rebill_show,
          "items:bill,contract,from,to,state,old_total,new_total,change,note" },
        { "rebill.approve", "run.approve", "POST", "/v1/rebills/{rebill}/approve",
          "rebill approve REBILL", "Approve a simulated re-bill of somebody else and carry it out",
          rebill_params, HR_OP_WRITE, ops_rebill_approve },
        { "rebill.execute", "run.write", "POST", "/v1/rebills/{rebill}/execute",
          "rebill execute REBILL", "Carry out an own simulated re-bill within the branch's limit",
          rebill_params, HR_OP_WRITE, ops_rebill_execute },
        { "rebill.cancel", "run.write", "POST", "/v1/rebills/{rebill}/cancel",
          "rebill cancel REBILL", "Drop a re-bill that was not approved", rebill_params,
          HR_OP_WRITE, ops_rebill_cancel },
        { "proposal.list", "run.read", "GET", "/v1/rebill-proposals", "proposal list",
          "Issued bills whose readings changed", proposal_list_params, HR_OP_READ,
          ops_proposal_list, "items:proposal,bill,contract,from,to,total,cause,detail,state" },
        { "proposal.dismiss", "run.write", "POST", "/v1/rebill-proposals/{proposal}/dismiss",
          "proposal dismiss PROPOSAL", "Leave a bill as it is, with a reason",
          proposal_dismiss_params, HR_OP_WRITE, ops_proposal_dismiss },
        { "estimate.list", "run.read", "GET", "/v1/estimated-contracts", "estimate list",
          "Contracts billed on estimates several times in a row", estimate_list_params, HR_OP_READ,
          ops_estimate_list, "items:branch,contract,meter,address,in_a_row,since,over" },

        { "adjustment.create", "bill.write", "POST", "/v1/adjustments", "adjustment create",
          "Credit or debit a customer by hand; over the limit it waits for a second person",
          adjustment_create_params, HR_OP_WRITE, ops_adjustment_create },
        { "adjustment.list", "bill.read", "GET", "/v1/adjustments", "adjustment list",
          "Notes by hand, newest first", adjustment_list_params, HR_OP_READ, ops_adjustment_list,
          "items:adjustment,number,kind,state,amount,currency,account,bill,created_by" },
        { "adjustment.show", "bill.read", "GET", "/v1/adjustments/{adjustment}",
          "adjustment show ADJUSTMENT", "One note by hand", adjustment_params, HR_OP_READ,
          ops_adjustment_show },
        { "adjustment.approve", "run.approve", "POST", "/v1/adjustments/{adjustment}/approve",
          "adjustment approve ADJUSTMENT", "Post a note that somebody else proposed",
          adjustment_params, HR_OP_WRITE, ops_adjustment_approve },
        { "adjustment.reject", "run.approve", "POST", "/v1/adjustments/{adjustment}/reject",
          "adjustment reject ADJUSTMENT", "Refuse a proposed note", adjustment_reject_params,
          HR_OP_WRITE, ops_adjustment_reject },
        { "budget.create", "bill.write", "POST", "/v1/budgets", "budget create",
          "Let a customer pay the same every bill, and settle later", budget_create_params,
          HR_OP_WRITE, ops_budget_create },
        { "budget.list", "bill.read", "GET", "/v1/budgets", "budget list",
          "Budget plans, the next to settle first", budget_list_params, HR_OP_READ, ops_budget_list,
          "items:budget,contract,amount,currency,from,to,state,waiting,to_settle" },
        { "budget.show", "bill.read", "GET", "/v1/budgets/{budget}", "budget show BUDGET",
          "A budget plan with its bills", budget_params, HR_OP_READ, ops_budget_show,
          "items:bill,from,to,actual,planned,waiting" },
        { "budget.settle", "bill.write", "POST", "/v1/budgets/{budget}/settle",
          "budget settle BUDGET", "Bring what waited to the customer's account",
          budget_settle_params, HR_OP_WRITE, ops_budget_settle },

        REPORT(control, "control/{run}", run_params, "Control report of a bill run",
               "items:tariff,class,bills,held,quantity,unit,total,smallest,largest,change_percent"),
        REPORT(unbilled, "unbilled", report_unbilled_params,
               "Points not billed in a period, and why",
               "items:service_point,contract,days,reason,text"),
        REPORT(consumption, "consumption", report_params,
               "Billed quantities by tariff, class and zone",
               "items:tariff,class,zone,bills,points,quantity,unit,total"),
        REPORT(revenue, "revenue", report_params,
               "Revenue by tariff, class and branch from the ledger",
               "items:branch,tariff,class,gl,name,source,amount,currency"),
        { 0 },
};

static const struct hr_subscription subscriptions[] = {
        { "reading.changed", ops_reading_changed },
        { 0 },
};

static const struct hr_job_type jobs[] = {
        { "billops.trial", "run.write", "Compute bills without keeping them", ops_job_trial },
        { "billops.simulate", "run.write", "Compute the effect of a re-bill", ops_job_simulate },
        { "billops.rebill", "run.approve", "Carry out an approved re-bill", ops_job_rebill },
        { "billops.execute", "run.write", "Carry out a re-bill within the limit", ops_job_rebill },
        { 0 },
};

static const struct hr_config_key config[] = {
        { "batch", "100", "Contracts of a trial computed in one transaction" },
        { "single_operator", "no", "As in [plugin billrun]" },
        { "complete_permille", "1000", "As in [plugin billrun]; give both the same value" },
        { "high_percent", "300", "As in [plugin billrun]" },
        { "estimated_percent", "50", "As in [plugin billrun]" },
        { 0 },
};

static const char *const needs[] = { "billrun", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "billops",
        .version = HEADRACE_VERSION,
        .summary = "Cycles, review, re-bills, notes, budget plans and reports around bill runs",
        .needs = needs,
        .config = config,
        .migrations = billops_migrations,
        .operations = operations,
        .subscriptions = subscriptions,
        .jobs = jobs,
        .init = init,
};
