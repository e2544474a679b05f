#include <argon2.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host_int.h"
#include "host_sql.h"

/* OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
enum { ARGON_PASSES = 2, ARGON_KIB = 19456, ARGON_LANES = 1, ARGON_SALT = 16, ARGON_HASH = 32 };

/* ---- passwords and tokens ---- */

int password_hash(const char *password, char out[static 128])
{
        uint8_t salt[ARGON_SALT];

        if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt)
                return -EIO;
        return argon2id_hash_encoded(ARGON_PASSES, ARGON_KIB, ARGON_LANES, password,
                                     strlen(password), salt, sizeof salt, ARGON_HASH, out,
                                     128) == ARGON2_OK
                       ? 0
                       : -ENOMEM;
}

bool password_verify(const char *encoded, const char *password)
{
        /* An unknown login costs the same time as a known one. */
        static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                                     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        bool any = encoded && encoded[0];

        return argon2id_verify(any ? encoded : nobody, password, strlen(password)) == ARGON2_OK &&
               any;
}

void token_digest(const char *token, uint8_t out[32])
{
        unsigned n = 0;

        if (!EVP_Digest(token, strlen(token), out, &n, EVP_sha256(), NULL))
                abort();
}

/* ---- permissions ---- */

static bool one_matches(const char *p, size_t n, const char *permission)
{
        if (n == 1 && *p == '*')
                return true;
        if (n > 2 && p[n - 1] == '*' && p[n - 2] == '.')
                return !strncmp(p, permission, n - 1);
        return strlen(permission) == n && !memcmp(p, permission, n);
}

bool permission_matches(const char *list, const char *permission)
{
        while (list && *list) {
                size_t n = strcspn(list, " ");

                if (one_matches(list, n, permission))
                        return true;
                list += n + (list[n] == ' ');
        }
        return false;
}

static bool grant_gives(const struct identity *who, const struct grant *g, const char *permission)
{
        if (!strcmp(permission, "auth.self"))
                return true;
        return permission_matches(g->permissions, permission) &&
               (!who->narrowed || permission_matches(who->narrowed, permission));
}

bool identity_may(const struct identity *who, const char *permission)
{
        if (who->all || (who->known && !strcmp(permission, "auth.self")))
                return true;
        for (size_t i = 0; who->known && i < who->n; i++)
                if (grant_gives(who, &who->grants[i], permission))
                        return true;
        return false;
}

bool call_scope(const struct identity *who, const char *permission, char ret[HOST_SCOPE_SIZE])
{
        size_t len = 0;

        snprintf(ret, HOST_SCOPE_SIZE, "%s", who->all ? "*" : "{}");
        if (who->all || !permission)
                return true;
        for (size_t i = 0; i < who->n; i++) {
                const struct grant *g = &who->grants[i];
                char item[16];
                int n;

                if (!grant_gives(who, g, permission))
                        continue;
                if (g->branch_id < 0) {
                        snprintf(ret, HOST_SCOPE_SIZE, "*");
                        return true;
                }
                n = snprintf(item, sizeof item, "%c%d", len ? ',' : '{', g->branch_id);
                if (len + (size_t)n + 2 > HOST_SCOPE_SIZE)
                        break; /* narrower than granted, never wider */
                memcpy(ret + len, item, (size_t)n + 1);
                len += (size_t)n;
        }
        if (len)
                memcpy(ret + len, "}", 2);
        return len || identity_may(who, permission);
}

/* ---- who is it ---- */

void identity_system(struct identity *ret, const char *login)
{
        memset(ret, 0, sizeof *ret);
        ret->known = ret->all = true;
        snprintf(ret->login, sizeof ret->login, "%s", login);
        ret->name = "";
}

static void identity_fill(struct db_rows *rows, struct arena *a, struct identity *ret)
{
        size_t n = db_rows_count(rows);
        int branch = db_rows_column(rows, "branch_id");
        int permissions = db_rows_column(rows, "permissions");
        int narrowed = db_rows_column(rows, "narrowed");

        ret->user_id = (int)db_rows_int(rows, 0, db_rows_column(rows, "user_id"));
        ret->token_id = (int)db_rows_int(rows, 0, db_rows_column(rows, "token_id"));
        snprintf(ret->login, sizeof ret->login, "%s",
                 db_rows_text(rows, 0, db_rows_column(rows, "login")));
        ret->name = arena_str(a, db_rows_text(rows, 0, db_rows_column(rows, "name")));
        if (!db_rows_null(rows, 0, narrowed))
                ret->narrowed = arena_str(a, db_rows_text(rows, 0, narrowed));
        ret->known = ret->name && (ret->narrowed || db_rows_null(rows, 0, narrowed));
        for (size_t i = 0; i < n && ret->n < HOST_MAX_GRANTS; i++) {
                struct grant *g = &ret->grants[ret->n];

                if (db_rows_null(rows, i, permissions))
                        continue;
                g->permissions = arena_str(a, db_rows_text(rows, i, permissions));
                g->branch_id =
                        db_rows_null(rows, i, branch) ? -1 : (int)db_rows_int(rows, i, branch);
                ret->n += g->permissions != NULL;
        }
}

static enum identity_result identity_query(struct host *h, const char *sql, const char *param,
                                           struct arena *a, struct identity *ret)
{
        memset(ret, 0, sizeof *ret);
        /* A connection that died while idle shows at its first use: once more with another. */
        for (int i = 0; i < 2; i++) {
                struct db_conn *c = db_take(h->db, 2000, NULL);
                struct db_rows *rows = NULL;
                enum db_status st = c ? db_query(c, sql, 1, &param, &rows) : DB_RETRY;
                bool found = st == DB_OK && db_rows_count(rows) > 0;

                if (found)
                        identity_fill(rows, a, ret);
                db_rows_free(rows);
                if (c)
                        db_give(h->db, c);
                if (st == DB_OK)
                        return found && ret->known ? IDENTITY_OK : IDENTITY_UNKNOWN;
        }
        return IDENTITY_AWAY;
}

enum identity_result identity_by_token(struct host *h, const char *token, struct arena *a,
                                       struct identity *ret)
{
        uint8_t digest[32];
        char text[2 + 64 + 1] = "\\x";

        memset(ret, 0, sizeof *ret);
        if (strlen(token) != HOST_TOKEN_TEXT - 1 || strncmp(token, "hr_", 3))
                return IDENTITY_UNKNOWN;
        token_digest(token, digest);
        for (size_t i = 0; i < sizeof digest; i++)
                snprintf(text + 2 + 2 * i, 3, "%02x", digest[i]);
        return identity_query(h, sql_auth_token, text, a, ret);
}

enum identity_result identity_by_login(struct host *h, const char *login, struct arena *a,
                                       struct identity *ret)
{
        return identity_query(h, sql_auth_login, login, a, ret);
}

/* ---- guessing passwords ---- */

enum { RATE_ENTRIES = 4096, RATE_PROBES = 16, RATE_WINDOW_MS = 60000 };

struct rate_entry {
        uint64_t key; /* 0 = free */
        int64_t since;
        int failures;
};

struct rate {
        pthread_mutex_t lock;
        uint64_t salt;
        struct rate_entry entries[RATE_ENTRIES];
};

struct rate *rate_new(void)
{
        struct rate *r = calloc(1, sizeof *r);

        if (!r)
                return NULL;
        pthread_mutex_init(&r->lock, NULL);
        if (getrandom(&r->salt, sizeof r->salt, 0) != (ssize_t)sizeof r->salt)
                r->salt = (uint64_t)host_now_ms();
        return r;
}

void rate_free(struct rate *r)
{
        if (!r)
                return;
        pthread_mutex_destroy(&r->lock);
        free(r);
}

static uint64_t rate_key(const struct rate *r, char kind, const char *a, const char *b)
{
        uint64_t x = r->salt ^ (uint64_t)kind;

        for (; *a; a++)
                x = (x ^ (uint8_t)*a) * 0x100000001b3u;
        x = (x ^ 0x100) * 0x100000001b3u;
        for (; *b; b++)
                x = (x ^ (uint8_t)*b) * 0x100000001b3u;
        return (x ^ x >> 29) | 1;
}

/* The key's entry; with @make a free, outdated or the oldest one nearby. */
static struct rate_entry *rate_find(struct rate *r, uint64_t key, int64_t now, bool make)
{
        struct rate_entry *oldest = NULL;

        for (int i = 0; i < RATE_PROBES; i++) {
                struct rate_entry *e = &r->entries[(key + (uint64_t)i) % RATE_ENTRIES];

                if (e->key && now - e->since > RATE_WINDOW_MS)
                        memset(e, 0, sizeof *e);
                if (e->key == key)
                        return e;
                if (!oldest || !e->key || (oldest->key && e->since < oldest->since))
                        oldest = e;
        }
        if (!make)
                return NULL;
        *oldest = (struct rate_entry){ .key = key, .since = now };
        return oldest;
}

static void rate_keys(const struct rate *r, const char *login, const char *peer, uint64_t keys[3])
{
        keys[0] = rate_key(r, 'b', login, peer);
        keys[1] = rate_key(r, 'l', login, "");
        keys[2] = rate_key(r, 'p', "", peer);
}

int rate_check(struct host *h, const char *login, const char *peer)
{
        static const int limits[] = { 5, 30, 30 };
        int64_t now = host_now_ms();
        uint64_t keys[3];
        int wait = 0;

        rate_keys(h->rate, login, peer, keys);
        pthread_mutex_lock(&h->rate->lock);
        for (int i = 0; i < 3; i++) {
                const struct rate_entry *e = rate_find(h->rate, keys[i], now, false);
                int left = e ? (int)((RATE_WINDOW_MS - (now - e->since)) / 1000) + 1 : 0;

                if (e && e->failures >= limits[i] && left > wait)
                        wait = left;
        }
        pthread_mutex_unlock(&h->rate->lock);
        return wait;
}

void rate_failed(struct host *h, const char *login, const char *peer)
{
        int64_t now = host_now_ms();
        uint64_t keys[3];

        rate_keys(h->rate, login, peer, keys);
        pthread_mutex_lock(&h->rate->lock);
        for (int i = 0; i < 3; i++)
                rate_find(h->rate, keys[i], now, true)->failures++;
        pthread_mutex_unlock(&h->rate->lock);
        atomic_fetch_add(&h->logins_failed, 1);
}
