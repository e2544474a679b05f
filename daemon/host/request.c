#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"

/* ---- one request, on a worker ---- */

struct input {
        struct route_match match;
        struct params params;
        struct identity who;
        uint8_t hash[32];
};

static void digest_part(EVP_MD_CTX *ctx, const void *p, size_t n)
{
        uint64_t length = n;

        EVP_DigestUpdate(ctx, &length, sizeof length);
        EVP_DigestUpdate(ctx, p, n);
}

static bool request_digest(const struct host_request *r, uint8_t out[32])
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        unsigned n;
        bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

        if (ok) {
                digest_part(ctx, r->method, strlen(r->method));
                digest_part(ctx, r->path, strlen(r->path));
                digest_part(ctx, r->query ? r->query : "", r->query ? strlen(r->query) : 0);
                digest_part(ctx, r->body ? r->body : "", r->body_len);
                ok = EVP_DigestFinal_ex(ctx, out, &n);
        }
        EVP_MD_CTX_free(ctx);
        return ok;
}

static int key_check(const struct host_request *r, struct problem *problem)
{
        const char *k = r->idempotency_key;
        size_t n = k ? strlen(k) : 0;

        if (!k)
                return 0;
        for (const char *s = k; *s; s++)
                if (*s <= ' ' || *s > '~')
                        n = 0;
        if (!n || n > 128 || !strncmp(k, "auto:", 5))
                return problem_set(problem, 400, "bad_idempotency_key", NULL,
                                   "An Idempotency-Key has 1 to 128 printable ASCII characters and "
                                   "does not begin with auto:");
        return 0;
}

static int authenticate(struct host_request_item *item, const struct hr_operation *op,
                        struct identity *who, struct problem *problem)
{
        const struct host_request *r = &item->in;
        enum identity_result got = IDENTITY_UNKNOWN;

        if (r->token)
                got = identity_by_token(item->host, r->token, &item->arena, who);
        else if (r->local_admin)
                identity_system(who, "local");
        if (got == IDENTITY_AWAY)
                return problem_set(problem, 503, "database_away", NULL,
                                   "The database does not answer; try again shortly");
        if (op->flags & HR_OP_PUBLIC) {
                if (!who->known)
                        snprintf(who->login, sizeof who->login, "anyone");
                return 0;
        }
        if (!who->known)
                return problem_set(
                        problem, 401, r->token ? "bad_token" : "unauthenticated", NULL,
                        r->token ? "The token is unknown, expired or revoked; log in again"
                                 : "Log in with POST /v1/login and send the token as "
                                   "Authorization: Bearer TOKEN");
        if (!identity_may(who, op->permission))
                return problem_set(problem, 403, "forbidden", NULL, "This needs the permission %s",
                                   op->permission);
        return 0;
}

static const char *last_capture(const struct route_match *m)
{
        return m->n ? m->captures[m->n - 1].value : NULL;
}

static int prepare(struct host_request_item *item, struct input *in, struct problem *problem)
{
        const struct host_request *r = &item->in;
        struct params_input from = { .query = r->query,
                                     .body = item->body,
                                     .body_len = r->body_len };
        const struct host_op *op;
        int e = routes_find(&item->host->routes, r->method, r->path, &item->arena, &in->match,
                            problem);

        if (e)
                return e;
        op = in->match.target;
        from.captures = in->match.captures;
        from.captures_n = in->match.n;
        e = key_check(r, problem);
        if (!e)
                e = authenticate(item, op->op, &in->who, problem);
        if (!e)
                e = params_read(&item->arena, op->op->params, &from, &in->params, problem);
        if (!e && !request_digest(r, in->hash))
                e = problem_set(problem, 503, "out_of_memory", NULL,
                                "The server is short of memory");
        return e;
}

static void serve(struct host_request_item *item)
{
        struct host_reply reply = { .request_id = item->request_id };
        struct input *in = arena_alloc(&item->arena, sizeof *in);
        struct problem problem = { 0 };

        buf_init(&reply.body);
        if (!in) {
                problem_set(&problem, 503, "out_of_memory", NULL, "The server is short of memory");
                reply_problem(&reply, &problem);
        } else if (prepare(item, in, &problem)) {
                reply.allow = problem.status == 405 ? in->match.allow : NULL;
                reply_problem(&reply, &problem);
        } else {
                struct run_input run = {
                        .op = in->match.target,
                        .who = &in->who,
                        .params = &in->params,
                        .request_id = item->request_id,
                        .peer = item->in.peer,
                        .idempotency_key = item->in.idempotency_key,
                        .object = last_capture(&in->match),
                        .hash = in->hash,
                        .arena = &item->arena,
                };

                run_operation(item->host, &run, &reply);
        }
        item->done(item->arg, &reply);
        buf_deinit(&reply.body);
}

/* ---- the queue ---- */

static void item_free(struct host_request_item *item)
{
        arena_deinit(&item->arena);
        free(item->body);
        free(item);
}

static struct host_request_item *item_new(struct host *h, const struct host_request *r,
                                          host_done *done, void *arg)
{
        struct host_request_item *item = calloc(1, sizeof *item);
        const char **strings[7];
        size_t n = 0;

        if (!item)
                return NULL;
        item->host = h;
        item->done = done;
        item->arg = arg;
        item->in = *r;
        arena_init(&item->arena, 256 << 20); /* an import's body and its parts */
        strings[n++] = &item->in.method;
        strings[n++] = &item->in.path;
        strings[n++] = &item->in.query;
        strings[n++] = &item->in.token;
        strings[n++] = &item->in.peer;
        strings[n++] = &item->in.idempotency_key;
        strings[n++] = &item->in.request_id;
        for (size_t i = 0; i < n; i++)
                if (*strings[i] && !(*strings[i] = arena_str(&item->arena, *strings[i])))
                        goto fail;
        if (!item->in.peer)
                item->in.peer = "";
        if (r->body_len) {
                item->body = malloc(r->body_len);
                if (!item->body)
                        goto fail;
                memcpy(item->body, r->body, r->body_len);
        }
        item->in.body = item->body;
        if (r->request_id)
                snprintf(item->request_id, sizeof item->request_id, "%s", r->request_id);
        else
                host_random_hex(item->request_id, 12);
        return item;
fail:
        item_free(item);
        return NULL;
}

static void refuse(struct host *h, const struct host_request *r, host_done *done, void *arg)
{
        struct host_reply reply = { .request_id = r->request_id ? r->request_id : "none" };
        struct problem problem = { 0 };

        atomic_fetch_add(&h->refused_busy, 1);
        buf_init(&reply.body);
        problem_set(&problem, 503, "overloaded", NULL,
                    "Too many requests are waiting; try again in a moment");
        reply_problem(&reply, &problem);
        done(arg, &reply);
        buf_deinit(&reply.body);
}

void host_submit(struct host *h, const struct host_request *request, host_done *done, void *arg)
{
        struct host_request_item *item = item_new(h, request, done, arg);
        bool queued = false;

        if (item) {
                pthread_mutex_lock(&h->lock);
                queued = h->started && !h->stopping && h->queued < h->options.queue;
                if (queued) {
                        *h->tail = item;
                        h->tail = &item->next;
                        h->queued++;
                        pthread_cond_signal(&h->work);
                }
                pthread_mutex_unlock(&h->lock);
        }
        if (queued)
                return;
        if (item)
                item_free(item);
        refuse(h, request, done, arg);
}

/* NULL at the end, when the queue is empty too: what was taken is answered. */
static struct host_request_item *next_item(struct host *h, int worker)
{
        struct host_request_item *item;

        pthread_mutex_lock(&h->lock);
        while (!h->head && !h->stopping)
                pthread_cond_wait(&h->work, &h->lock);
        item = h->head;
        if (item) {
                h->head = item->next;
                if (!h->head)
                        h->tail = &h->head;
                h->queued--;
                h->busy++;
                h->working_since[worker] = host_now_ms();
        }
        pthread_mutex_unlock(&h->lock);
        return item;
}

void *worker_thread(void *arg)
{
        struct host *h = arg;
        struct host_request_item *item;
        int worker;

        pthread_mutex_lock(&h->lock);
        worker = h->workers_n++;
        pthread_mutex_unlock(&h->lock);
        while ((item = next_item(h, worker))) {
                serve(item);
                item_free(item);
                pthread_mutex_lock(&h->lock);
                h->busy--;
                h->working_since[worker] = 0;
                pthread_mutex_unlock(&h->lock);
        }
        return NULL;
}

/* ---- by name, on the calling thread ---- */

struct host_op *host_find_op(struct host *h, const char *name)
{
        for (size_t i = 0; i < h->ops_n; i++)
                if (!strcmp(h->ops[i].op->name, name))
                        return &h->ops[i];
        return NULL;
}

static const char *path_object(const struct params *p)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->values[i].param->where == HR_PATH && p->values[i].text)
                        return p->values[i].text;
        return NULL;
}

static void call_named(struct host *h, const struct identity *who, const char *operation,
                       const char *json, struct arena *a, struct host_reply *reply)
{
        struct params_input from = { .body = json,
                                     .body_len = json ? strlen(json) : 0,
                                     .anywhere = true };
        struct params *params = arena_alloc(a, sizeof *params);
        struct host_op *op = host_find_op(h, operation);
        struct problem problem = { 0 };
        uint8_t hash[32] = { 0 };

        if (!params || !op)
                problem_set(&problem, 404, "unknown_operation", NULL, "There is no operation %s",
                            operation);
        else if (!(op->op->flags & HR_OP_PUBLIC) && !identity_may(who, op->op->permission))
                problem_set(&problem, 403, "forbidden", NULL, "This needs the permission %s",
                            op->op->permission);
        else
                params_read(a, op->op->params, &from, params, &problem);
        if (problem.status) {
                reply_problem(reply, &problem);
                return;
        }
        host_random_hex((char *)hash, 15);
        run_operation(h,
                      &(struct run_input){ .op = op,
                                           .who = who,
                                           .params = params,
                                           .request_id = reply->request_id,
                                           .peer = "",
                                           .object = path_object(params),
                                           .hash = hash,
                                           .arena = a },
                      reply);
}

static int call_identified(struct host *h, const struct identity *who, const char *operation,
                           const char *json, struct buf *ret)
{
        char request_id[HOST_ID_SIZE];
        struct host_reply reply = { .request_id = request_id };
        struct arena a;

        host_random_hex(request_id, 12);
        arena_init(&a, 256 << 20);
        buf_init(&reply.body);
        call_named(h, who, operation, json, &a, &reply);
        if (ret)
                buf_put(ret, reply.body.p ? reply.body.p : (const uint8_t *)"", reply.body.len);
        buf_deinit(&reply.body);
        arena_deinit(&a);
        return reply.status;
}

int host_call(struct host *h, const char *operation, const char *json, struct buf *ret)
{
        struct identity who;

        identity_system(&who, "local");
        return call_identified(h, &who, operation, json, ret);
}

int host_call_as(struct host *h, const char *login, const char *operation, const char *json,
                 struct buf *ret)
{
        struct arena a;
        struct identity who;
        int status = 401;

        arena_init(&a, 1 << 20);
        if (identity_by_login(h, login, &a, &who) == IDENTITY_OK)
                status = call_identified(h, &who, operation, json, ret);
        arena_deinit(&a);
        return status;
}
