#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "host_migrations.h"
#include "host_sql.h"

/* The builtin "host": logins, tokens, branches, jobs, events, audit, status. */

enum { SESSION_SECONDS = 12 * 3600, PASSWORD_MIN = 10, PASSWORD_MAX = 200, PAGE_DEFAULT = 100 };

#define HOST host_table

/* Replies with a jansson object; takes the reference. */
static enum hr_status reply(struct hr_call *c, json_t *root)
{
        char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

        json_decref(root);
        if (!text)
                return HR_FATAL;
        HOST->reply_json(c, text, strlen(text));
        free(text);
        return HR_OK;
}

/* {"items":[...],"next":N}: the database makes the array; next is the cursor of the page after
 * this one, absent on the last. */
static enum hr_status reply_items(struct hr_call *c, const char *sql, size_t n,
                                  const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql, n, params, &rows);
        const char *text;

        if (st != HR_OK)
                return st;
        text = HOST->format(c, "{\"items\":%s%s%s}", HOST->rows_text(rows, 0, "items"),
                            HOST->rows_null(rows, 0, "next") ? "" : ",\"next\":",
                            HOST->rows_text(rows, 0, "next"));
        if (!text)
                return HR_RETRY;
        HOST->reply_json(c, text, strlen(text));
        return HR_OK;
}

static const char *text_or(struct hr_call *c, const char *name, const char *otherwise)
{
        const char *s = HOST->param(c, name);

        return s ? s : otherwise;
}

static const char *number_text(struct hr_call *c, int64_t v)
{
        return HOST->format(c, "%" PRId64, v);
}

/* ---- auth ---- */

static enum hr_status token_make(struct hr_call *c, int user_id, const char *kind, const char *name,
                                 const char *permissions, int seconds, char token[HOST_TOKEN_TEXT],
                                 struct hr_rows **ret)
{
        uint8_t digest[32];
        const char *params[6];

        memcpy(token, "hr_", 3);
        host_random_hex(token + 3, HOST_TOKEN_BYTES);
        token_digest(token, digest);
        params[0] = number_text(c, user_id);
        params[1] = kind;
        params[2] = call_bytea(c, digest, sizeof digest);
        params[3] = name;
        params[4] = permissions;
        params[5] = number_text(c, seconds);
        return HOST->query(c, sql_token_insert, 6, params, ret);
}

static enum hr_status login_refused(struct hr_call *c, const char *login)
{
        rate_failed(c->host, login, c->peer);
        log_warn(NULL, "login refused", LOG_S("peer", c->peer), LOG_S("request", c->request_id));
        return call_reject(c, 401, "login_refused", NULL, "Login or password is wrong");
}

static enum hr_status auth_login(struct hr_call *c)
{
        const char *login = HOST->param(c, "user"), *password = HOST->param(c, "password");
        bool cookie = !strcmp(text_or(c, "cookie", "false"), "true"), good;
        int wait = rate_check(c->host, login, c->peer);
        char token[HOST_TOKEN_TEXT];
        struct hr_rows *found, *made;
        enum hr_status st;
        size_t n;

        if (wait) {
                c->retry_after_s = wait;
                return call_reject(c, 429, "too_many_attempts", NULL,
                                   "Too many wrong passwords; try again in %d seconds", wait);
        }
        st = HOST->query(c, sql_login_find, 1, &login, &found);
        if (st != HR_OK)
                return st;
        n = HOST->rows_count(found);
        good = password_verify(n ? HOST->rows_text(found, 0, "password") : "", password);
        if (!good)
                return login_refused(c, login);
        c->actor = HOST->rows_text(found, 0, "login");
        st = token_make(c, (int)HOST->rows_int(found, 0, "user_id"), "session", "", "",
                        SESSION_SECONDS, token, &made);
        if (st != HR_OK)
                return st;
        if (cookie) {
                memcpy(c->session, token, sizeof token);
                c->session_set = true;
        }
        return reply(c, json_pack("{s:s,s:s,s:s,s:s*}", "user", HOST->rows_text(found, 0, "login"),
                                  "name", HOST->rows_text(found, 0, "name"), "expires_at",
                                  HOST->rows_text(made, 0, "expires_at"), "token",
                                  cookie ? NULL : token));
}

static enum hr_status auth_logout(struct hr_call *c)
{
        const char *id = number_text(c, c->who->token_id);

        c->session[0] = 0;
        c->session_set = true;
        return c->who->token_id ? HOST->query(c, sql_token_revoke, 1, &id, NULL) : HR_OK;
}

/* Permissions and the branches each counts in: what the console shows depends on it. */
static enum hr_status auth_me(struct hr_call *c)
{
        json_t *grants = json_array(), *branches = json_array();
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_branch_allowed_list, 0, NULL, &rows);

        for (size_t i = 0; st == HR_OK && i < HOST->rows_count(rows); i++)
                json_array_append_new(branches, json_string(HOST->rows_text(rows, i, "code")));
        if (c->who->all)
                json_array_append_new(grants,
                                      json_pack("{s:s,s:n}", "permissions", "*", "branch_id"));
        for (size_t i = 0; i < c->who->n; i++) {
                const struct grant *g = &c->who->grants[i];

                json_array_append_new(
                        grants,
                        json_pack("{s:s,s:o}", "permissions", g->permissions, "branch_id",
                                  g->branch_id < 0 ? json_null() : json_integer(g->branch_id)));
        }
        if (st != HR_OK) {
                json_decref(grants);
                json_decref(branches);
                return st;
        }
        return reply(c, json_pack("{s:s,s:s,s:s?,s:o,s:o}", "user", c->who->login, "name",
                                  c->who->name ? c->who->name : "", "narrowed_to", c->who->narrowed,
                                  "grants", grants, "branches", branches));
}

/* ---- users, tokens ---- */

static enum hr_status password_check(struct hr_call *c, const char *password)
{
        size_t n = strlen(password);

        if (n < PASSWORD_MIN || n > PASSWORD_MAX)
                return call_reject(c, 422, "weak_password", "password",
                                   "A password has %d to %d bytes", PASSWORD_MIN, PASSWORD_MAX);
        return HR_OK;
}

/* "clerk,operator" in "HN,SG" or "*": every role in every branch. */
static enum hr_status grant_all(struct hr_call *c, const char *user_id, const char *roles,
                                const char *branches)
{
        for (const char *r = roles; *r;) {
                size_t rn = strcspn(r, ",");

                for (const char *b = branches; *b;) {
                        size_t bn = strcspn(b, ",");
                        const char *params[] = { user_id, HOST->format(c, "%.*s", (int)rn, r),
                                                 HOST->format(c, "%.*s", (int)bn, b) };
                        enum hr_status st = HOST->query(c, sql_login_grant, 3, params, NULL);

                        if (st != HR_OK)
                                return st;
                        b += bn + (b[bn] == ',');
                }
                r += rn + (r[rn] == ',');
        }
        return HR_OK;
}

static enum hr_status user_insert(struct hr_call *c, const char *login, const char *name,
                                  const char *password, const char *roles, const char *branches,
                                  const char **ret_id)
{
        char hash[128];
        const char *params[] = { login, name, password ? hash : NULL };
        struct hr_rows *rows;
        enum hr_status st;

        if (password && password_hash(password, hash))
                return HR_RETRY;
        st = HOST->query(c, sql_login_insert, 3, params, &rows);
        if (st != HR_OK)
                return st;
        *ret_id = HOST->rows_text(rows, 0, "user_id");
        return grant_all(c, *ret_id, roles, branches);
}

static enum hr_status user_create(struct hr_call *c)
{
        const char *password = HOST->param(c, "password"), *id;
        enum hr_status st = password ? password_check(c, password) : HR_OK;

        /* Who may only act in some branches cannot hand out more than that. */
        if (st == HR_OK && strcmp(c->scope, "*"))
                st = call_reject(c, 403, "forbidden", NULL,
                                 "Only an administrator of all branches creates users");
        if (st == HR_OK)
                st = user_insert(c, HOST->param(c, "login"), text_or(c, "name", ""), password,
                                 HOST->param(c, "roles"), HOST->param(c, "branches"), &id);
        if (st != HR_OK)
                return st;
        HOST->reply_status(c, 201);
        return reply(c, json_pack("{s:I,s:s}", "user_id", (json_int_t)atoll(id), "login",
                                  HOST->param(c, "login")));
}

/* A new password or the end of an account ends its sessions and tokens too, but for the one this
 * request came with. */
static enum hr_status user_update(struct hr_call *c)
{
        const char *password = HOST->param(c, "password"), *active = HOST->param(c, "active");
        const char *params[] = { HOST->param(c, "login"), HOST->param(c, "name"), NULL, active };
        enum hr_status st = password ? password_check(c, password) : HR_OK;
        const char *revoke[2];
        struct hr_rows *rows;
        char hash[128];

        if (st == HR_OK && strcmp(c->scope, "*"))
                st = call_reject(c, 403, "forbidden", NULL,
                                 "Only an administrator of all branches changes users");
        if (st != HR_OK)
                return st;
        if (password && password_hash(password, hash))
                return HR_RETRY;
        params[2] = password ? hash : NULL;
        st = HOST->query(c, sql_login_update, 4, params, &rows);
        if (st == HR_OK && !HOST->rows_count(rows))
                st = call_reject(c, 404, "unknown_user", "login", "There is no user %.64s",
                                 params[0]);
        if (st != HR_OK || (!password && !active))
                return st;
        revoke[0] = HOST->rows_text(rows, 0, "user_id");
        revoke[1] = number_text(c, c->who->token_id);
        return HOST->query(c, sql_token_revoke_all, 2, revoke, NULL);
}

static enum hr_status user_list(struct hr_call *c)
{
        const char *params[] = { text_or(c, "after", ""),
                                 number_text(c, HOST->param_int(c, "limit", PAGE_DEFAULT)) };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_login_list, 2, params, &rows);
        json_t *items = json_array(), *root;
        size_t n = st == HR_OK ? HOST->rows_count(rows) : 0;

        for (size_t i = 0; i < n; i++)
                json_array_append_new(
                        items, json_pack("{s:I,s:s,s:s,s:b,s:o}", "user_id",
                                         (json_int_t)HOST->rows_int(rows, i, "user_id"), "login",
                                         HOST->rows_text(rows, i, "login"), "name",
                                         HOST->rows_text(rows, i, "name"), "active",
                                         !strcmp(HOST->rows_text(rows, i, "active"), "t"), "grants",
                                         json_loads(HOST->rows_text(rows, i, "grants"), 0, NULL)));
        if (st != HR_OK) {
                json_decref(items);
                return st;
        }
        root = json_pack("{s:o}", "items", items);
        if (n && (int64_t)n == HOST->param_int(c, "limit", PAGE_DEFAULT))
                json_object_set_new(root, "next",
                                    json_string(HOST->rows_text(rows, n - 1, "login")));
        return reply(c, root);
}

static enum hr_status token_create(struct hr_call *c)
{
        const char *login = text_or(c, "user", c->who->login);
        const char *permissions = text_or(c, "permissions", "");
        int days = (int)HOST->param_int(c, "days", 365);
        char token[HOST_TOKEN_TEXT], scope[HOST_SCOPE_SIZE];
        struct hr_rows *found, *made;
        enum hr_status st;

        if (c->who->narrowed)
                return call_reject(c, 403, "forbidden", NULL,
                                   "A token narrowed to some permissions makes no further tokens");
        if (strcmp(login, c->who->login) &&
            (!call_scope(c->who, "user.write", scope) || strcmp(scope, "*")))
                return call_reject(c, 403, "forbidden", "user",
                                   "A token for somebody else needs the permission user.write in "
                                   "all branches");
        st = HOST->query(c, sql_login_find, 1, &login, &found);
        if (st == HR_OK && !HOST->rows_count(found))
                st = call_reject(c, 422, "unknown_user", "user", "There is no active user %.64s",
                                 login);
        if (st == HR_OK)
                st = token_make(c, (int)HOST->rows_int(found, 0, "user_id"), "api",
                                HOST->param(c, "name"), permissions, days * 86400, token, &made);
        if (st != HR_OK)
                return st;
        /* Repeated with the same key, the answer lacks the secret: it is stored nowhere. */
        c->stored_reply = HOST->format(
                c, "{\"token_id\":%s,\"expires_at\":\"%s\",\"repeated\":true}",
                HOST->rows_text(made, 0, "token_id"), HOST->rows_text(made, 0, "expires_at"));
        HOST->reply_status(c, 201);
        return reply(c, json_pack("{s:I,s:s,s:s}", "token_id",
                                  (json_int_t)HOST->rows_int(made, 0, "token_id"), "token", token,
                                  "expires_at", HOST->rows_text(made, 0, "expires_at")));
}

/* ---- branches ---- */

static enum hr_status branch_list(struct hr_call *c)
{
        return reply_items(c, sql_branch_list, 0, NULL);
}

static enum hr_status branch_create(struct hr_call *c)
{
        const char *params[] = {
                text_or(c, "branch_id", ""),   HOST->param(c, "code"),
                HOST->param(c, "name"),        text_or(c, "tz", "UTC"),
                text_or(c, "currency", "EUR"), text_or(c, "minor_digits", "2"),
                text_or(c, "language", "en"),
        };
        struct hr_rows *rows;
        enum hr_status st = HR_OK;

        if (strcmp(c->scope, "*"))
                st = call_reject(c, 403, "forbidden", NULL,
                                 "Only an administrator of all branches creates one");
        if (st == HR_OK)
                st = HOST->query(c, sql_branch_insert, 7, params, &rows);
        if (st != HR_OK)
                return st;
        HOST->reply_status(c, 201);
        return reply(c, json_pack("{s:I,s:s}", "branch_id",
                                  (json_int_t)HOST->rows_int(rows, 0, "branch_id"), "code",
                                  HOST->param(c, "code")));
}

/* ---- jobs ---- */

static enum hr_status job_list(struct hr_call *c)
{
        const char *params[] = { text_or(c, "status", ""), text_or(c, "type", ""),
                                 text_or(c, "before", "0"),
                                 number_text(c, HOST->param_int(c, "limit", PAGE_DEFAULT)) };

        return reply_items(c, sql_job_list, 4, params);
}

static enum hr_status job_find(struct hr_call *c, struct hr_rows **ret)
{
        const char *id = HOST->param(c, "id");
        enum hr_status st = HOST->query(c, sql_job_show, 1, &id, ret);

        if (st == HR_OK && !HOST->rows_count(*ret))
                st = call_reject(c, 404, "unknown_job", "id", "There is no job %s", id);
        return st;
}

static enum hr_status job_show(struct hr_call *c)
{
        struct hr_rows *rows;
        enum hr_status st = job_find(c, &rows);
        const char *item;

        if (st != HR_OK)
                return st;
        item = HOST->rows_text(rows, 0, "item");
        HOST->reply_json(c, item, strlen(item));
        return HR_OK;
}

static enum hr_status job_cancel(struct hr_call *c)
{
        const char *id = HOST->param(c, "id");
        const struct hr_job_type *type;
        struct hr_rows *rows;
        enum hr_status st = job_find(c, &rows);

        if (st != HR_OK)
                return st;
        type = job_type_find(c->host, HOST->rows_text(rows, 0, "type"), NULL);
        if (type && !HOST->may(c, type->permission))
                return call_reject(c, 403, "forbidden", NULL, "This needs the permission %s",
                                   type->permission);
        st = HOST->query(c, sql_job_cancel, 1, &id, &rows);
        if (st == HR_OK && !HOST->rows_count(rows))
                st = call_reject(c, 409, "job_ended", "id", "Job %s has ended already", id);
        if (st != HR_OK)
                return st;
        return reply(c, json_pack("{s:I,s:s}", "job_id", (json_int_t)atoll(id), "status",
                                  HOST->rows_text(rows, 0, "status")));
}

/* ---- events, audit, status ---- */

static enum hr_status event_list(struct hr_call *c)
{
        const char *params[] = { text_or(c, "after", "0"), text_or(c, "type", ""),
                                 number_text(c, HOST->param_int(c, "limit", PAGE_DEFAULT)) };

        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_event_list, 3, params, &rows);
        const char *text;

        if (st != HR_OK)
                return st;
        text = HOST->format(c, "{\"items\":%s,\"last\":%s}", HOST->rows_text(rows, 0, "items"),
                            HOST->rows_text(rows, 0, "last"));
        if (!text)
                return HR_RETRY;
        HOST->reply_json(c, text, strlen(text));
        return HR_OK;
}

static enum hr_status event_resume(struct hr_call *c)
{
        const char *params[] = { HOST->param(c, "plugin"), text_or(c, "skip", "false") };
        struct hr_rows *rows;
        enum hr_status st = HOST->query(c, sql_cursor_resume, 2, params, &rows);

        if (st == HR_OK && !HOST->rows_count(rows))
                st = call_reject(c, 404, "unknown_plugin", "plugin",
                                 "No plugin %s listens to events", params[0]);
        if (st != HR_OK)
                return st;
        return reply(c, json_pack("{s:s,s:I}", "plugin", params[0], "event_id",
                                  (json_int_t)HOST->rows_int(rows, 0, "event_id")));
}

static enum hr_status audit_list(struct hr_call *c)
{
        const char *params[] = { text_or(c, "actor", ""), text_or(c, "what", ""),
                                 text_or(c, "object", ""), text_or(c, "before", "0"),
                                 number_text(c, HOST->param_int(c, "limit", PAGE_DEFAULT)) };

        return reply_items(c, sql_audit_list, 5, params);
}

static enum hr_status audit_verify(struct hr_call *c)
{
        struct hr_rows *rows;
        enum hr_status st;

        if (strcmp(c->scope, "*"))
                return call_reject(c, 403, "forbidden", NULL,
                                   "The chain spans all branches; so must your audit.read");
        st = HOST->query(c, sql_audit_verify, 0, NULL, &rows);
        if (st != HR_OK)
                return st;
        if (HOST->rows_null(rows, 0, "seq"))
                return reply(c, json_pack("{s:b,s:I}", "intact", 1, "rows",
                                          (json_int_t)HOST->rows_int(rows, 0, "audit_seq")));
        return reply(c, json_pack("{s:b,s:I,s:s}", "intact", 0, "broken_at",
                                  (json_int_t)HOST->rows_int(rows, 0, "seq"), "reason",
                                  HOST->rows_text(rows, 0, "reason")));
}

static enum hr_status status_show(struct hr_call *c)
{
        struct buf json = BUF_INIT;

        host_status(c->host, &json);
        if (!json.failed)
                HOST->reply_json(c, buf_cstr(&json), json.len);
        buf_deinit(&json);
        return HR_OK;
}

static enum hr_status document(struct hr_call *c, void (*make)(struct host *, struct buf *),
                               const char *content_type)
{
        struct buf text = BUF_INIT;

        make(c->host, &text);
        if (!text.failed)
                HOST->reply_file(c, content_type, NULL, buf_cstr(&text), text.len);
        buf_deinit(&text);
        return HR_OK;
}

static enum hr_status api_openapi(struct hr_call *c)
{
        return document(c, host_openapi, "application/json");
}

static enum hr_status api_operations(struct hr_call *c)
{
        return document(c, host_operations, "application/json");
}

static enum hr_status status_metrics(struct hr_call *c)
{
        return document(c, host_metrics, "text/plain; version=0.0.4");
}

/* ---- the table ---- */

#define LIMIT                                                                                      \
        {                                                                                          \
                "limit", HR_INT, HR_QUERY, false, "Rows at most", NULL, 1, 1000                    \
        }
#define BEFORE                                                                                     \
        {                                                                                          \
                "before", HR_INT, HR_QUERY, false, "Only rows before this number (next page)"      \
        }
#define JOB_ID                                                                                     \
        {                                                                                          \
                "id", HR_INT, HR_PATH, true, "Job number", NULL, 1, INT64_MAX                      \
        }

static const struct hr_param login_params[] = {
        { "user", HR_TEXT, HR_BODY, true, "Login name", NULL, 1, 64 },
        { "password", HR_TEXT, HR_BODY, true, "Password", NULL, 1, PASSWORD_MAX },
        { "cookie", HR_BOOL, HR_BODY, false,
          "Set a session cookie instead of returning the token" },
        { NULL },
};
static const struct hr_param user_list_params[] = {
        { "after", HR_TEXT, HR_QUERY, false, "Only logins after this one (next page)", NULL, 1,
          64 },
        LIMIT,
        { NULL },
};
static const struct hr_param user_create_params[] = {
        { "login", HR_TEXT, HR_BODY, true, "Login name", NULL, 2, 64 },
        { "name", HR_TEXT, HR_BODY, false, "Full name", NULL, 0, 200 },
        { "password", HR_TEXT, HR_BODY, false, "Password; without one only tokens work", NULL, 1,
          PASSWORD_MAX },
        { "roles", HR_TEXT, HR_BODY, true, "Roles, such as clerk,operator", NULL, 1, 200 },
        { "branches", HR_TEXT, HR_BODY, true, "Branch codes, such as HN,SG, or * for all", NULL, 1,
          200 },
        { NULL },
};
static const struct hr_param user_update_params[] = {
        { "login", HR_TEXT, HR_PATH, true, "Login name", NULL, 1, 64 },
        { "name", HR_TEXT, HR_BODY, false, "Full name", NULL, 0, 200 },
        { "password", HR_TEXT, HR_BODY, false, "New password; ends the user's sessions", NULL, 1,
          PASSWORD_MAX },
        { "active", HR_BOOL, HR_BODY, false, "false shuts the user out at once" },
        { NULL },
};
static const struct hr_param token_create_params[] = {
        { "name", HR_TEXT, HR_BODY, true, "What the token is for", NULL, 1, 100 },
        { "user", HR_TEXT, HR_BODY, false, "Login it acts as; default: your own", NULL, 1, 64 },
        { "permissions", HR_TEXT, HR_BODY, false, "Narrow it to these, blank-separated", NULL, 1,
          1000 },
        { "days", HR_INT, HR_BODY, false, "Valid for so many days", NULL, 1, 3650 },
        { NULL },
};
static const struct hr_param branch_create_params[] = {
        { "code", HR_TEXT, HR_BODY, true, "Short code, such as HN", NULL, 2, 12 },
        { "name", HR_TEXT, HR_BODY, true, "Name", NULL, 1, 200 },
        { "branch_id", HR_INT, HR_BODY, false, "Number; default: the next one", NULL, 1, 9999 },
        { "tz", HR_TEXT, HR_BODY, false, "Time zone, such as Asia/Ho_Chi_Minh", NULL, 1, 64 },
        { "currency", HR_TEXT, HR_BODY, false, "Currency, such as VND", NULL, 3, 3 },
        { "minor_digits", HR_INT, HR_BODY, false, "Digits after the point of an amount", NULL, 0,
          3 },
        { "language", HR_TEXT, HR_BODY, false, "Language, such as vi", NULL, 2, 10 },
        { NULL },
};
static const struct hr_param job_list_params[] = {
        { "status", HR_TEXT, HR_QUERY, false, "Only such jobs",
          "queued|running|done|failed|cancelled" },
        { "type", HR_TEXT, HR_QUERY, false, "Only this type", NULL, 1, 64 },
        BEFORE,
        LIMIT,
        { NULL },
};
static const struct hr_param job_params[] = { JOB_ID, { NULL } };
static const struct hr_param event_list_params[] = {
        { "after", HR_INT, HR_QUERY, false, "Only events after this number" },
        { "type", HR_TEXT, HR_QUERY, false, "Only this type", NULL, 1, 64 },
        LIMIT,
        { NULL },
};
static const struct hr_param event_resume_params[] = {
        { "plugin", HR_TEXT, HR_BODY, true, "Plugin whose events were suspended", NULL, 1, 40 },
        { "skip", HR_BOOL, HR_BODY, false, "Leave out the event that failed" },
        { NULL },
};
static const struct hr_param audit_list_params[] = {
        { "actor", HR_TEXT, HR_QUERY, false, "Only what this login did", NULL, 1, 64 },
        { "what", HR_TEXT, HR_QUERY, false, "Only this operation", NULL, 1, 64 },
        { "object", HR_TEXT, HR_QUERY, false, "Only about this object", NULL, 1, 200 },
        BEFORE,
        LIMIT,
        { NULL },
};

static const struct hr_operation operations[] = {
        { "auth.login", NULL, "POST", "/v1/login", NULL, "Log in with name and password",
          login_params, HR_OP_WRITE | HR_OP_PUBLIC, auth_login, NULL },
        { "auth.logout", "auth.self", "POST", "/v1/logout", NULL, "End this session", NULL,
          HR_OP_WRITE, auth_logout, NULL },
        { "auth.me", "auth.self", "GET", "/v1/me", "me", "Who am I and what may I do", NULL,
          HR_OP_READ, auth_me, "grants:branch_id,permissions" },
        { "user.list", "user.read", "GET", "/v1/users", "user list", "Users and their roles",
          user_list_params, HR_OP_READ, user_list, "items:login,name,active,grants" },
        { "user.create", "user.write", "POST", "/v1/users", "user create LOGIN",
          "Make a user with roles in branches", user_create_params, HR_OP_WRITE, user_create,
          NULL },
        { "user.update", "user.write", "PATCH", "/v1/users/{login}", "user update LOGIN",
          "Change a user's name or password, or shut the user out", user_update_params, HR_OP_WRITE,
          user_update, NULL },
        { "token.create", "auth.self", "POST", "/v1/tokens", "token create NAME",
          "Make an API token; shown once", token_create_params, HR_OP_WRITE, token_create, NULL },
        { "branch.list", "branch.read", "GET", "/v1/branches", "branch list", "Branches", NULL,
          HR_OP_READ, branch_list, "items:code,name,tz,currency" },
        { "branch.create", "branch.write", "POST", "/v1/branches", "branch create CODE",
          "Make a branch", branch_create_params, HR_OP_WRITE, branch_create, NULL },
        { "job.list", "job.read", "GET", "/v1/jobs", "job list", "Jobs, newest first",
          job_list_params, HR_OP_READ, job_list,
          "items:job_id,type,status,done,total,actor,error" },
        { "job.show", "job.read", "GET", "/v1/jobs/{id}", "job show ID", "One job", job_params,
          HR_OP_READ, job_show, NULL },
        { "job.cancel", "job.read", "POST", "/v1/jobs/{id}/cancel", "job cancel ID",
          "Ask a job to stop after its current piece", job_params, HR_OP_WRITE, job_cancel, NULL },
        { "event.list", "event.read", "GET", "/v1/events", "event list",
          "Events since a number; with Accept: text/event-stream, as they come", event_list_params,
          HR_OP_READ, event_list, "items:event_id,at,type,key" },
        { "event.resume", "event.write", "POST", "/v1/events/resume", "event resume PLUGIN",
          "Tell a suspended plugin its events again", event_resume_params, HR_OP_WRITE,
          event_resume, NULL },
        { "audit.list", "audit.read", "GET", "/v1/audit", "audit list",
          "Who did what, newest first", audit_list_params, HR_OP_READ, audit_list,
          "items:seq,at,actor,what,object,peer" },
        { "audit.verify", "audit.read", "GET", "/v1/audit/verify", "audit verify",
          "Check the chain of hashes of the whole audit trail", NULL, HR_OP_READ, audit_verify,
          NULL },
        { "status.show", "status.read", "GET", "/v1/status", "status", "Health of every component",
          NULL, HR_OP_READ, status_show, NULL },
        { "status.metrics", NULL, "GET", "/metrics", NULL, "The same figures for Prometheus", NULL,
          HR_OP_READ | HR_OP_PUBLIC | HR_OP_FILE, status_metrics, NULL },
        { "api.openapi", NULL, "GET", "/v1/openapi.json", NULL, "This interface as OpenAPI 3.1",
          NULL, HR_OP_READ | HR_OP_PUBLIC, api_openapi, NULL },
        { "api.operations", NULL, "GET", "/v1/operations", NULL,
          "This interface as the command line reads it", NULL, HR_OP_READ | HR_OP_PUBLIC,
          api_operations, NULL },
        { NULL },
};

const struct hr_plugin core_plugin = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "host",
        .version = HEADRACE_VERSION,
        .summary = "Logins, branches, jobs, events, audit and status",
        .migrations = host_migrations,
        .operations = operations,
};

/* ---- the first administrator ---- */

static enum hr_status bootstrap(struct hr_call *c, const char *login, const char *password)
{
        struct hr_rows *rows;
        const char *id;
        bool unknown = false;
        enum hr_status st = HOST->query(c, sql_login_count, 0, NULL, &rows);

        if (st != HR_OK)
                return st;
        if (HOST->rows_int(rows, 0, "n"))
                return HR_REJECT;
        st = password_check(c, password);
        if (st == HR_OK)
                st = user_insert(c, login, "Administrator", password, "admin", "*", &id);
        if (st == HR_OK)
                call_audit(c, "user.bootstrap", login, "{}");
        return st == HR_OK ? call_commit(c, &unknown) : st;
}

int host_bootstrap_admin(struct host *h, const char *login, const char *password)
{
        struct identity who;
        struct hr_call c;
        enum hr_status st;
        int r;

        identity_system(&who, "system");
        call_init(&c, h, h->ordered[0], &who);
        strcpy(c.scope, "*");
        st = bootstrap(&c, login, password);
        if (st == HR_OK)
                r = 0;
        else if (st != HR_REJECT)
                r = -EIO;
        else
                r = c.problem.status ? -EINVAL : 1;
        call_deinit(&c);
        return r;
}
