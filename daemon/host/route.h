#pragma once

/*
 * Routes: method and path to an operation. A path is "/v1/meters/{meter}/curve"; a literal
 * segment is preferred to a {capture}. Pure.
 */

#include <stddef.h>

#include "arena.h"
#include "problem.h"

enum { ROUTE_MAX_SEGMENTS = 12, ROUTE_MAX_PATH = 2048 };

struct route_segment {
        const char *text; /* owned by the table's arena; name of the capture without braces */
        bool capture;
};

struct route {
        const char *method, *path; /* borrowed */
        struct route_segment segments[ROUTE_MAX_SEGMENTS];
        size_t n;
        void *target; /* borrowed */
};

struct routes {
        struct route *list; /* owned */
        size_t n, cap;
        struct arena arena;
};

struct route_capture {
        const char *name;  /* borrowed from the route */
        const char *value; /* in the caller's arena; decoded UTF-8 without NUL */
};

struct route_match {
        void *target;
        struct route_capture captures[ROUTE_MAX_SEGMENTS];
        size_t n;
        char allow[64]; /* with 405: "GET, POST" */
};

void routes_init(struct routes *r);
void routes_deinit(struct routes *r);
/* 0; -EINVAL (malformed path or method), -EEXIST (the same method and shape), -ENOMEM. */
int routes_add(struct routes *r, const char *method, const char *path, void *target);
/* Finds @path, percent-encoded, without its query. 0 or -EINVAL with *@problem: 400 for a path
 * that is no proper text, 404 unknown, 405 with allow. */
int routes_find(const struct routes *r, const char *method, const char *path, struct arena *a,
                struct route_match *ret, struct problem *problem);

/* Decodes %XX (and '+' as a blank if @plus). NULL for a broken escape, NUL, bytes that are no
 * UTF-8, or no memory. */
char *route_decode(struct arena *a, const char *s, size_t n, bool plus);
/* Well-formed UTF-8 without NUL. */
bool utf8_valid(const char *s, size_t n);
/* Code points of well-formed UTF-8. */
size_t utf8_length(const char *s, size_t n);
