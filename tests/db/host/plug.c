/* A plugin for the host's tests: items in branches, events about them, a job that counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "headrace/plugin.h"
#include "plug_sql.h"

static const struct hr_host *host;

static enum hr_status item_create(struct hr_call *call)
{
        const char *name = host->param(call, "name");
        const char *params[] = { host->param(call, "branch_id"), name,
                                 host->param(call, "sleep") ? host->param(call, "sleep") : "0" };
        struct hr_rows *rows;
        enum hr_status st =
                host->query(call,
                            "insert into plug.item (branch_id, name) select $1::smallint, $2 "
                            "from pg_sleep($3::double precision) returning item_id",
                            3, params, &rows);
        const char *json;

        if (st != HR_OK)
                return st;
        if (!strcmp(name, "refused"))
                return host->reject(call, 422, "refused", "name", "Not this one");
        json = host->format(call, "{\"item_id\":%s,\"name\":\"%s\",\"branch_id\":%s}",
                            host->rows_text(rows, 0, "item_id"), name, params[0]);
        st = host->publish(call, "plug.created", name, json);
        host->reply_status(call, 201);
        host->reply_json(call, json, strlen(json));
        return st;
}

static enum hr_status item_list(struct hr_call *call)
{
        struct hr_rows *rows;
        enum hr_status st = host->query(
                call,
                "select coalesce(string_agg(name, ',' order by name), '') as names from plug.item",
                0, NULL, &rows);
        const char *json;

        if (st != HR_OK)
                return st;
        json = host->format(call, "{\"names\":\"%s\",\"greeting\":\"%s\"}",
                            host->rows_text(rows, 0, "names"), host->config(call, "greeting"));
        host->reply_json(call, json, strlen(json));
        return HR_OK;
}

static enum hr_status count_start(struct hr_call *call)
{
        const char *json = host->format(call, "{\"to\":%s}", host->param(call, "to"));
        int64_t id;
        enum hr_status st = host->submit_job(call, "plug.count", json, &id);

        if (st != HR_OK)
                return st;
        json = host->format(call, "{\"job_id\":%lld}", (long long)id);
        host->reply_json(call, json, strlen(json));
        return HR_OK;
}

/* A read that writes: a defect the host must catch. */
static enum hr_status broken_read(struct hr_call *call)
{
        return host->publish(call, "plug.created", "x", "{}");
}

static int number(const char *json, const char *member)
{
        const char *s = strstr(json, member);

        return s ? atoi(s + strcspn(s, "0123456789")) : 0;
}

static enum hr_status count_run(struct hr_call *call, struct hr_job *job)
{
        int to = number(host->job_params(job), "to"), n = number(host->job_state(job), "at");

        while (n < to) {
                char text[24], id[24], state[40];
                const char *params[] = { id, text };
                enum hr_status st;

                snprintf(text, sizeof text, "%d", ++n);
                snprintf(id, sizeof id, "%lld", (long long)host->job_id(job));
                st = host->query(
                        call,
                        "insert into plug.step select $1::bigint, $2::int from pg_sleep(0.005)", 2,
                        params, NULL);
                snprintf(state, sizeof state, "{\"at\":%d}", n);
                if (st == HR_OK)
                        st = host->job_commit(call, job, state, n, to);
                if (st != HR_OK)
                        return st;
        }
        host->reply_json(call, "{\"counted\":true}", 16);
        return HR_OK;
}

static enum hr_status on_created(struct hr_call *call, const struct hr_event *event)
{
        const char *params[] = { host->format(call, "%lld", (long long)event->id), event->key };
        enum hr_status st =
                host->query(call, "insert into plug.seen (event_id, name) values ($1::bigint, $2)",
                            2, params, NULL);

        return st == HR_OK && !strcmp(event->key, "poison") ? HR_FATAL : st;
}

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

static const struct hr_param create_params[] = {
        { "branch_id", HR_INT, HR_BODY, true, "Branch", NULL, 1, 99 },
        { "name", HR_TEXT, HR_BODY, true, "Name", NULL, 1, 40 },
        { "sleep", HR_DECIMAL, HR_BODY, false, "Seconds" },
        { "password", HR_TEXT, HR_BODY, false, "To be masked", NULL, 1, 40 },
        { NULL },
};
static const struct hr_param count_params[] = {
        { "to", HR_INT, HR_BODY, true, "Count so far", NULL, 1, 100000 },
        { NULL },
};
static const struct hr_operation operations[] = {
        { "plug.create", "plug.write", "POST", "/v1/plug", "plug create NAME", "Make an item",
          create_params, HR_OP_WRITE, item_create, NULL },
        { "plug.list", "plug.read", "GET", "/v1/plug", "plug list", "Items", NULL, HR_OP_READ,
          item_list, NULL },
        { "plug.count", "plug.write", "POST", "/v1/plug/count", NULL, "Count", count_params,
          HR_OP_WRITE, count_start, NULL },
        { "plug.broken", "plug.read", "GET", "/v1/plug/broken", NULL, "A defect", NULL, HR_OP_READ,
          broken_read, NULL },
        { NULL },
};
static const struct hr_subscription subscriptions[] = { { "plug.created", on_created }, { NULL } };
static const struct hr_job_type jobs[] = { { "plug.count", "plug.write", "Count", count_run },
                                           { NULL } };
static const struct hr_config_key config[] = { { "greeting", "hello", "Greeting" }, { NULL } };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "plug",
        .version = "1",
        .summary = "Test plugin",
        .config = config,
        .migrations = plug_migrations,
        .operations = operations,
        .subscriptions = subscriptions,
        .jobs = jobs,
        .init = init,
};
