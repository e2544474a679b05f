#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"

void routes_init(struct routes *r)
{
        memset(r, 0, sizeof *r);
        arena_init(&r->arena, 0);
}

void routes_deinit(struct routes *r)
{
        free(r->list);
        arena_deinit(&r->arena);
        memset(r, 0, sizeof *r);
}

static bool method_known(const char *m)
{
        static const char *const known[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (!strcmp(known[i], m))
                        return true;
        return false;
}

static bool name_ok(const char *s, size_t n, const char *extra)
{
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
                      strchr(extra, s[i])))
                        return false;
        return n > 0;
}

static int segment_parse(struct arena *a, const char *s, size_t n, struct route_segment *ret)
{
        ret->capture = n > 2 && s[0] == '{' && s[n - 1] == '}';
        if (ret->capture) {
                s++;
                n -= 2;
        }
        if (!name_ok(s, n, ret->capture ? "_" : "-_."))
                return -EINVAL;
        ret->text = arena_strn(a, s, n);
        return ret->text ? 0 : -ENOMEM;
}

static bool same_shape(const struct route *a, const struct route *b)
{
        if (a->n != b->n || strcmp(a->method, b->method))
                return false;
        for (size_t i = 0; i < a->n; i++) {
                const struct route_segment *x = &a->segments[i], *y = &b->segments[i];

                if (x->capture != y->capture || (!x->capture && strcmp(x->text, y->text)))
                        return false;
        }
        return true;
}

static int route_parse(struct arena *a, const char *path, struct route *ret)
{
        const char *s = path;
        int r;

        if (s[0] != '/' || strlen(path) > ROUTE_MAX_PATH)
                return -EINVAL;
        while (*s) {
                size_t n = strcspn(++s, "/");

                if (ret->n == ROUTE_MAX_SEGMENTS)
                        return -EINVAL;
                r = segment_parse(a, s, n, &ret->segments[ret->n++]);
                if (r)
                        return r;
                s += n;
        }
        return ret->n ? 0 : -EINVAL;
}

int routes_add(struct routes *r, const char *method, const char *path, void *target)
{
        struct route route = { .method = method, .path = path, .target = target };
        int e = method_known(method) ? route_parse(&r->arena, path, &route) : -EINVAL;

        if (e)
                return e;
        for (size_t i = 0; i < r->n; i++)
                if (same_shape(&r->list[i], &route))
                        return -EEXIST;
        if (r->n == r->cap) {
                size_t cap = r->cap ? 2 * r->cap : 64;
                struct route *list = realloc(r->list, cap * sizeof *list);

                if (!list)
                        return -ENOMEM;
                r->list = list;
                r->cap = cap;
        }
        r->list[r->n++] = route;
        return 0;
}

bool utf8_valid(const char *text, size_t n)
{
        const uint8_t *s = (const uint8_t *)text;

        for (size_t i = 0; i < n;) {
                static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
                uint8_t c = s[i];
                int more = c < 0x80                ? 0
                           : c >= 0xC2 && c < 0xE0 ? 1
                           : c >= 0xE0 && c < 0xF0 ? 2
                           : c >= 0xF0 && c < 0xF5 ? 3
                                                   : -1;
                uint32_t v;

                if (more < 0 || c == 0 || n - i <= (size_t)more)
                        return false;
                v = more == 0 ? c : c & (0x3Fu >> more);
                for (int k = 1; k <= more; k++) {
                        if ((s[i + (size_t)k] & 0xC0) != 0x80)
                                return false;
                        v = v << 6 | (s[i + (size_t)k] & 0x3F);
                }
                if (v < least[more] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
                        return false;
                i += (size_t)more + 1;
        }
        return true;
}

size_t utf8_length(const char *s, size_t n)
{
        size_t length = 0;

        for (size_t i = 0; i < n; i++)
                length += ((uint8_t)s[i] & 0xC0) != 0x80;
        return length;
}

static int digit(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                      : -1;
}

char *route_decode(struct arena *a, const char *s, size_t n, bool plus)
{
        char *out = arena_alloc(a, n + 1);
        size_t len = 0;

        if (!out)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (s[i] == '%') {
                        int hi = n - i > 2 ? digit(s[i + 1]) : -1;
                        int lo = hi >= 0 ? digit(s[i + 2]) : -1;

                        if (lo < 0)
                                return NULL;
                        out[len++] = (char)(hi << 4 | lo);
                        i += 2;
                } else {
                        out[len++] = plus && s[i] == '+' ? ' ' : s[i];
                }
        }
        out[len] = 0;
        return utf8_valid(out, len) ? out : NULL;
}

/* Splits and decodes; number of segments, or -1. */
static int path_split(const char *path, struct arena *a, char *segments[ROUTE_MAX_SEGMENTS])
{
        int n = 0;

        if (path[0] != '/')
                return -1;
        while (*path) {
                size_t len = strcspn(++path, "/");

                if (n == ROUTE_MAX_SEGMENTS)
                        return -1;
                segments[n] = route_decode(a, path, len, false);
                if (!segments[n++])
                        return -1;
                path += len;
        }
        return n;
}

/* How well a route fits: -1 not, otherwise one bit a segment, literal ones set, first highest. */
static int fit(const struct route *r, char *const segments[], size_t n)
{
        int score = 0;

        if (r->n != n)
                return -1;
        for (size_t i = 0; i < n; i++) {
                bool literal = !r->segments[i].capture;

                if (literal ? strcmp(r->segments[i].text, segments[i]) != 0 : !segments[i][0])
                        return -1;
                score = score << 1 | literal;
        }
        return score;
}

static void allow_add(char *allow, size_t size, const char *method)
{
        size_t n = strlen(allow);

        if (!strstr(allow, method))
                snprintf(allow + n, size - n, "%s%s", n ? ", " : "", method);
}

int routes_find(const struct routes *r, const char *method, const char *path, struct arena *a,
                struct route_match *ret, struct problem *problem)
{
        char *segments[ROUTE_MAX_SEGMENTS];
        const struct route *best = NULL;
        int best_score = -1, n;

        memset(ret, 0, sizeof *ret);
        if (strlen(path) > ROUTE_MAX_PATH)
                return problem_set(problem, 414, "path_too_long", NULL,
                                   "The path is longer than %d bytes", ROUTE_MAX_PATH);
        n = path_split(path, a, segments);
        if (n < 0)
                return problem_set(problem, 400, "bad_path", NULL,
                                   "The path is not percent-encoded UTF-8 of at most %d segments",
                                   ROUTE_MAX_SEGMENTS);
        for (size_t i = 0; i < r->n; i++) {
                int score = fit(&r->list[i], segments, (size_t)n);

                if (score < 0)
                        continue;
                allow_add(ret->allow, sizeof ret->allow, r->list[i].method);
                if (score > best_score && !strcmp(r->list[i].method, method)) {
                        best = &r->list[i];
                        best_score = score;
                }
        }
        if (!best && ret->allow[0])
                return problem_set(problem, 405, "method_not_allowed", NULL,
                                   "This address takes %s", ret->allow);
        if (!best)
                return problem_set(problem, 404, "unknown_route", NULL,
                                   "There is nothing at this address; GET /v1/operations lists "
                                   "what there is");
        ret->target = best->target;
        for (size_t i = 0; i < best->n; i++)
                if (best->segments[i].capture)
                        ret->captures[ret->n++] =
                                (struct route_capture){ .name = best->segments[i].text,
                                                        .value = segments[i] };
        return 0;
}
