#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "db.h"
#include "hex.h"
#include "key.h"
#include "log.h"
#include "quarantine.h"
#include "registry.h"
#include "store_sql.h"

enum { BACKOFF_FIRST_MS = 200, BACKOFF_MAX_MS = 10000, POLL_MS = 2000 };

struct registry_snapshot {
        atomic_uint refs;
        uint64_t version;
        struct arena arena;            /* strings and meters */
        struct registry_meter *meters; /* ascending meter_id; with keys: wiped at the end */
        size_t n;
        uint32_t *index; /* by protocol and identity: position + 1, 0 = free; in the arena */
        size_t slots;    /* a power of two */
};

struct registry {
        struct registry_options options;
        struct secret master;
        struct db *db;
        pthread_t thread;
        int wake; /* eventfd */
        atomic_bool stop, reload;

        pthread_mutex_t lock; /* guards current */
        pthread_cond_t changed;
        struct registry_snapshot *current;
};

static const char *const protocols[] = { "dlms", "modbus", "mqtt", "coap", "manual" };

int registry_protocol(const char *name)
{
        for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
                if (!strcmp(name, protocols[i]))
                        return (int)i;
        return -1;
}

/* ---- snapshots ---- */

static struct registry_snapshot *snapshot_new(uint64_t version)
{
        struct registry_snapshot *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        atomic_init(&s->refs, 1);
        s->version = version;
        arena_init(&s->arena, 0);
        return s;
}

void registry_unref(struct registry_snapshot *s)
{
        if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
                return;
        for (size_t i = 0; i < s->n; i++) {
                struct registry_meter *m = &s->meters[i];

                secret_wipe(&m->guek);
                secret_wipe(&m->gak);
                secret_wipe(&m->lls);
                secret_wipe(&m->hls);
                secret_wipe(&m->psk);
        }
        arena_deinit(&s->arena);
        free(s);
}

struct registry_snapshot *registry_get(struct registry *r)
{
        struct registry_snapshot *s;

        pthread_mutex_lock(&r->lock);
        s = r->current;
        atomic_fetch_add(&s->refs, 1);
        pthread_mutex_unlock(&r->lock);
        return s;
}

uint64_t registry_version(const struct registry_snapshot *s)
{
        return s->version;
}

size_t registry_count(const struct registry_snapshot *s)
{
        return s->n;
}

const struct registry_meter *registry_at(const struct registry_snapshot *s, size_t i)
{
        return i < s->n ? &s->meters[i] : NULL;
}

static int fold(enum meter_protocol protocol, char c)
{
        return protocol == METER_DLMS && c >= 'a' && c <= 'z' ? c - 32 : (unsigned char)c;
}

static uint32_t identity_hash(enum meter_protocol protocol, const char *s)
{
        uint32_t h = 2166136261u ^ (uint32_t)protocol;

        for (; *s; s++)
                h = (h ^ (uint32_t)fold(protocol, *s)) * 16777619u;
        return h;
}

static bool identity_same(enum meter_protocol protocol, const char *a, const char *b)
{
        while (*a && fold(protocol, *a) == fold(protocol, *b))
                a++, b++;
        return !*a && !*b;
}

const struct registry_meter *registry_by_identity(const struct registry_snapshot *s,
                                                  enum meter_protocol protocol,
                                                  const char *identity)
{
        if (!s->slots)
                return NULL;
        for (size_t i = identity_hash(protocol, identity) & (s->slots - 1); s->index[i];
             i = (i + 1) & (s->slots - 1)) {
                const struct registry_meter *m = &s->meters[s->index[i] - 1];

                if (m->protocol == protocol && identity_same(protocol, m->identity, identity))
                        return m;
        }
        return NULL;
}

const struct registry_meter *registry_by_id(const struct registry_snapshot *s, uint32_t meter_id)
{
        size_t lo = 0, hi = s->n;

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;

                if (s->meters[mid].meter_id < meter_id)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo < s->n && s->meters[lo].meter_id == meter_id ? &s->meters[lo] : NULL;
}

static bool snapshot_index(struct registry_snapshot *s)
{
        size_t slots = 16;

        while (slots < 2 * s->n)
                slots *= 2;
        s->index = arena_alloc(&s->arena, slots * sizeof *s->index);
        if (!s->index)
                return false;
        s->slots = slots;
        for (size_t k = 0; k < s->n; k++) {
                size_t i =
                        identity_hash(s->meters[k].protocol, s->meters[k].identity) & (slots - 1);

                while (s->index[i])
                        i = (i + 1) & (slots - 1);
                s->index[i] = (uint32_t)k + 1;
        }
        return true;
}

/* ---- loading ---- */

static const char *model_profile(const char *model, const struct db_rows *models,
                                 const char **profiles)
{
        size_t lo = 0, hi = db_rows_count(models);

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;
                int order = strcmp(db_rows_text(models, mid, 0), model);

                if (!order)
                        return profiles[mid];
                if (order < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return NULL;
}

static bool fill_meters(struct registry_snapshot *s, const struct db_rows *meters,
                        const struct db_rows *models)
{
        size_t n_models = db_rows_count(models);
        const char **profiles = arena_alloc(&s->arena, (n_models + 1) * sizeof *profiles);

        for (size_t i = 0; profiles && i < n_models; i++) {
                profiles[i] = arena_str(&s->arena, db_rows_text(models, i, 1));
                if (!profiles[i])
                        return false;
        }
        s->meters = arena_alloc(&s->arena, (db_rows_count(meters) + 1) * sizeof *s->meters);
        if (!profiles || !s->meters)
                return false;
        for (size_t i = 0; i < db_rows_count(meters); i++) {
                struct registry_meter *m = &s->meters[s->n];
                int protocol = registry_protocol(db_rows_text(meters, i, 2));

                if (protocol < 0)
                        continue;
                m->meter_id = (uint32_t)db_rows_int(meters, i, 0);
                m->branch_id = (int16_t)db_rows_int(meters, i, 1);
                m->protocol = (enum meter_protocol)protocol;
                m->serial = arena_str(&s->arena, db_rows_text(meters, i, 3));
                m->maker = arena_str(&s->arena, db_rows_text(meters, i, 4));
                m->identity = arena_str(&s->arena, db_rows_text(meters, i, 5));
                m->model = arena_str(&s->arena, db_rows_text(meters, i, 6));
                m->address = arena_str(&s->arena, db_rows_text(meters, i, 7));
                m->period_s = (uint32_t)db_rows_int(meters, i, 8);
                if (!m->serial || !m->maker || !m->identity || !m->model || !m->address)
                        return false;
                m->profile = model_profile(m->model, models, profiles);
                s->n++;
        }
        return snapshot_index(s);
}

static struct secret *key_place(struct registry_meter *m, const char *kind)
{
        return !strcmp(kind, "guek")  ? &m->guek
               : !strcmp(kind, "gak") ? &m->gak
               : !strcmp(kind, "lls") ? &m->lls
               : !strcmp(kind, "hls") ? &m->hls
               : !strcmp(kind, "psk") ? &m->psk
                                      : NULL;
}

static void fill_keys(struct registry *r, struct registry_snapshot *s, const struct db_rows *keys)
{
        size_t refused = 0;

        for (size_t i = 0; i < db_rows_count(keys); i++) {
                uint32_t id = (uint32_t)db_rows_int(keys, i, 0);
                const struct registry_meter *found = registry_by_id(s, id);
                const char *kind = db_rows_text(keys, i, 1), *hex = db_rows_text(keys, i, 2);
                struct secret *place =
                        found ? key_place(&s->meters[found - s->meters], kind) : NULL;
                uint8_t sealed[KEY_SEALED_MAX];
                ssize_t n = hex_decode(hex, strlen(hex), sealed, sizeof sealed);

                if (place && (n < 0 || !key_open(&r->master, id, kind, sealed, (size_t)n, place)))
                        refused++;
        }
        if (refused)
                log_error(NULL, "meter keys do not open under this master key",
                          LOG_I("keys", refused));
}

static enum db_status load(struct registry *r, struct db_conn *c)
{
        struct db_rows *meters = NULL, *models = NULL, *keys = NULL;
        struct registry_snapshot *s = NULL, *old;
        enum db_status st = db_begin(c, "*", true);

        if (st == DB_OK)
                st = db_query(c, sql_registry_meters, 0, NULL, &meters);
        if (st == DB_OK)
                st = db_query(c, sql_registry_models, 0, NULL, &models);
        if (st == DB_OK && r->master.len)
                st = db_query(c, sql_registry_keys, 0, NULL, &keys);
        db_rollback(c);
        if (st == DB_OK) {
                s = snapshot_new(r->current->version + 1);
                if (!s || !fill_meters(s, meters, models)) {
                        registry_unref(s);
                        s = NULL;
                        st = DB_RETRY;
                }
        }
        if (s) {
                fill_keys(r, s, keys);
                pthread_mutex_lock(&r->lock);
                old = r->current;
                r->current = s;
                pthread_cond_broadcast(&r->changed);
                pthread_mutex_unlock(&r->lock);
                registry_unref(old);
        }
        db_rows_free(meters);
        db_rows_free(models);
        db_rows_free(keys);
        return st;
}

/* ---- the thread ---- */

static bool take_notifies(PGconn *pg)
{
        bool any = false;
        PGnotify *n;

        while ((n = PQnotifies(pg))) {
                any = true;
                PQfreemem(n);
        }
        return any;
}

/* Waits for a notification, a wake-up or the time of the regular look. False when the connection
 * is gone. *@ret_news: something told of a change. */
static bool wait_news(struct registry *r, struct db_conn *c, int ms, bool *ret_news)
{
        PGconn *pg = db_raw(c);
        struct pollfd p[2] = { { .fd = PQsocket(pg), .events = POLLIN },
                               { .fd = r->wake, .events = POLLIN } };
        uint64_t v;

        /* One may have come along with the results of the queries just made. */
        if (take_notifies(pg))
                *ret_news = true;
        if (poll(p, 2, *ret_news ? 0 : ms) < 0 && errno != EINTR)
                return false;
        if (p[1].revents && read(r->wake, &v, sizeof v) < 0 && errno != EAGAIN)
                return false;
        if (p[0].revents && !PQconsumeInput(pg))
                return false;
        if (take_notifies(pg))
                *ret_news = true;
        if (atomic_exchange(&r->reload, false))
                *ret_news = true;
        return PQstatus(pg) == CONNECTION_OK;
}

static int64_t revision(struct db_conn *c)
{
        struct db_rows *rows = NULL;
        int64_t v = -1;

        if (db_query(c, sql_registry_revision, 0, NULL, &rows) == DB_OK)
                v = db_rows_int(rows, 0, 0);
        db_rows_free(rows);
        return v;
}

/* Whether messages came that were held although their meter is known; false also on an error, which
 * the next query meets again. */
static bool held_wrongly(struct registry *r, struct db_conn *c)
{
        struct db_rows *rows = NULL;
        bool any = false;

        if (!r->options.normalise || db_begin(c, "*", false) != DB_OK)
                return false;
        if (db_query(c, sql_quarantine_known, 0, NULL, &rows) == DB_OK)
                any = db_rows_int(rows, 0, 0) > 0;
        db_rows_free(rows);
        if (db_commit(c) != DB_OK)
                db_rollback(c);
        return any;
}

static bool replay(struct registry *r, struct db_conn *c)
{
        struct registry_snapshot *s = registry_get(r);
        int n = 1;

        while (r->options.normalise && n > 0 && !atomic_load(&r->stop))
                n = quarantine_replay(c, s, r->options.normalise);
        registry_unref(s);
        return n >= 0;
}

/* One connection's life: from LISTEN until it is lost or the end. True if it worked at all. */
static bool serve(struct registry *r, struct db_conn *c)
{
        bool news = true, worked = false;
        int64_t seen = -1;

        if (db_exec(c, "listen headrace_registry") != DB_OK)
                return false;
        while (!atomic_load(&r->stop)) {
                int64_t now = revision(c);

                if (now < 0)
                        return worked;
                if (news || now != seen) {
                        if (load(r, c) != DB_OK || !replay(r, c))
                                return worked;
                        seen = now;
                        worked = true;
                } else if (held_wrongly(r, c) && !replay(r, c)) {
                        return worked;
                }
                news = false;
                if (!wait_news(r, c, POLL_MS, &news))
                        return worked;
        }
        return worked;
}

static void pause_ms(struct registry *r, int ms)
{
        struct pollfd p = { .fd = r->wake, .events = POLLIN };

        if (!atomic_load(&r->stop))
                poll(&p, 1, ms);
}

static void *registry_thread(void *arg)
{
        struct registry *r = arg;
        int backoff = BACKOFF_FIRST_MS;
        bool told = false;

        while (!atomic_load(&r->stop)) {
                struct db_error e = { 0 };
                struct db_conn *c = db_take(r->db, 0, &e);

                if (c) {
                        if (serve(r, c)) {
                                backoff = BACKOFF_FIRST_MS;
                                told = false;
                        }
                        e = *db_last_error(c);
                        db_exec(c, "unlisten *");
                        db_give(r->db, c);
                }
                if (atomic_load(&r->stop))
                        break;
                if (!told) {
                        const char *why = e.message;

                        log_warn(NULL,
                                 "the registry cannot be read; meters known so far stay known",
                                 LOG_S("error", why));
                }
                told = true;
                pause_ms(r, backoff);
                backoff = backoff < BACKOFF_MAX_MS / 2 ? 2 * backoff : BACKOFF_MAX_MS;
        }
        return NULL;
}

static void registry_free(struct registry *r)
{
        db_close(r->db);
        registry_unref(r->current);
        secret_wipe(&r->master);
        if (r->wake >= 0)
                close(r->wake);
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
}

int registry_open(struct registry **ret, const struct registry_options *options)
{
        struct registry *r = calloc(1, sizeof *r);
        pthread_condattr_t attr;
        int e;

        if (!r)
                return -ENOMEM;
        r->options = *options;
        if (options->master)
                secret_set(&r->master, options->master->bytes, options->master->len);
        pthread_mutex_init(&r->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&r->changed, &attr);
        pthread_condattr_destroy(&attr);
        r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r->current = snapshot_new(0);
        e = r->wake < 0 ? -errno : r->current ? 0 : -ENOMEM;
        if (!e)
                e = db_open(&r->db, options->conninfo, 1);
        if (!e)
                e = -pthread_create(&r->thread, NULL, registry_thread, r);
        if (e) {
                registry_free(r);
                return e;
        }
        *ret = r;
        return 0;
}

static void wake(struct registry *r)
{
        uint64_t one = 1;

        if (write(r->wake, &one, sizeof one) < 0)
                return; /* full: it will wake anyway */
}

void registry_close(struct registry *r)
{
        if (!r)
                return;
        atomic_store(&r->stop, true);
        wake(r);
        pthread_join(r->thread, NULL);
        registry_free(r);
}

void registry_reload(struct registry *r)
{
        atomic_store(&r->reload, true);
        wake(r);
}

bool registry_wait(struct registry *r, uint64_t version, int timeout_ms)
{
        struct timespec until;
        bool got;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&r->lock);
        while (r->current->version <= version)
                if (pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT)
                        break;
        got = r->current->version > version;
        pthread_mutex_unlock(&r->lock);
        return got;
}

int registry_put_model(struct db *db, const char *model, const char *maker, const char *protocol,
                       int digits, const char *profile_json)
{
        char number[12];
        const char *params[] = { model, maker, protocol, number, profile_json };
        struct db_conn *c = db_take(db, 10000, NULL);
        enum db_status st;

        if (!c)
                return -ECANCELED;
        snprintf(number, sizeof number, "%d", digits);
        st = db_begin(c, "*", false);
        if (st == DB_OK)
                st = db_query(c, sql_model_put, 5, params, NULL);
        if (st == DB_OK)
                st = db_commit(c);
        db_give(db, c);
        return st == DB_OK ? 0 : st == DB_RETRY || st == DB_UNKNOWN ? -ECANCELED : -EINVAL;
}
