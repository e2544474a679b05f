#pragma once

/* What a refused request is told: RFC 9457 with code, param and request_id. Pure. */

#include <stdarg.h>

#include "buf.h"

enum { PROBLEM_CODE_SIZE = 64, PROBLEM_TEXT_SIZE = 800 };

struct problem {
        int status;                    /* HTTP; 0 = none */
        char code[PROBLEM_CODE_SIZE];  /* snake_case, stable: programs branch on it */
        char param[PROBLEM_CODE_SIZE]; /* parameter at fault, "" if none */
        char text[PROBLEM_TEXT_SIZE];  /* what is wrong and what to do */
};

/* Returns -EINVAL, so that a checker can say `return problem_set(...)`. */
int problem_set(struct problem *p, int status, const char *code, const char *param, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
int problem_vset(struct problem *p, int status, const char *code, const char *param,
                 const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));
/* Appends the JSON document; @request_id may be NULL. */
void problem_write(const struct problem *p, const char *request_id, struct buf *json);
/* "Not Found" */
const char *problem_title(int status);
